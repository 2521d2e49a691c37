/* SPDX-License-Identifier: ISC */
/*
 * Moves a program's clocks: loaded with LD_PRELOAD, so that the program itself has no test code in
 * it. CLOCK_PAGE names a file of two numbers, milliseconds that are added to the wall clock and to
 * the one that only goes forward; it is mapped before any sandbox, and the test changes it while
 * the program runs.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *page;

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("CLOCK_PAGE");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *mapped =
		fd < 0 ? MAP_FAILED : mmap(NULL, 2 * sizeof *page, PROT_READ, MAP_SHARED, fd, 0);

	if (mapped != MAP_FAILED)
		page = mapped;
	if (fd >= 0)
		close(fd);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int clock_gettime(clockid_t which, struct timespec *t)
{
	int result = REAL(clock_gettime)(which, t);
	int64_t add = page == NULL || result != 0                                 ? 0
	              : which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE ? page[0]
	                                                                          : page[1];

	if (add) {
		int64_t ms = (int64_t)t->tv_nsec / 1000000 + add % 1000 + 1000;

		t->tv_sec += (time_t)(add / 1000 + ms / 1000 - 1);
		t->tv_nsec = (long)(ms % 1000) * 1000000 + t->tv_nsec % 1000000;
	}
	return result;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
	int result = REAL(gettimeofday)(t, zone);

	if (result == 0 && page)
		t->tv_sec += (time_t)(page[0] / 1000);
	return result;
}

time_t time(time_t *out)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (out)
		*out = now.tv_sec;
	return now.tv_sec;
}
