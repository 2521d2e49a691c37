/* SPDX-License-Identifier: ISC */
/*
 * Holds up the start of queued: loaded with LD_PRELOAD, so that the program itself has no test code
 * in it. While the file that BEHIND_PAGE names begins with a byte that is not 0, each queue file
 * that is opened for reading takes long by the program's clock, and a round of its loop in which
 * nothing comes from outside takes a moment: of hundreds of files few are looked at while somebody
 * works with it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { NAME_CHARS = 3 + 13, FIRST_READS = 2, FIRST_MS = 300, LATER_MS = 5, IDLE_MS = 20 };

static const volatile char *page;
static int64_t passed_ms;
static unsigned reads;

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("BEHIND_PAGE");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);

	if (mapped != MAP_FAILED)
		page = mapped;
	if (fd >= 0)
		close(fd);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int is_held(void)
{
	return page != NULL && *page != 0;
}

static int open_behind(const char *real, int directory, const char *name, int flags, mode_t mode)
{
	int (*call)(int, const char *, int, ...) = dlsym(RTLD_NEXT, real);

	if (is_held() && strlen(name) == NAME_CHARS && name[2] == '/' &&
	    (flags & O_ACCMODE) == O_RDONLY)
		passed_ms += reads++ < FIRST_READS ? FIRST_MS : LATER_MS;
	return call(directory, name, flags, mode);
}

#define OPENAT(call)                                                      \
	int call(int directory, const char *name, int flags, ...)         \
	{                                                                 \
		va_list list;                                             \
                                                                          \
		va_start(list, flags);                                    \
		mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0; \
                                                                          \
		va_end(list);                                             \
		return open_behind(#call, directory, name, flags, mode);  \
	}
OPENAT(openat)
OPENAT(openat64)

int clock_gettime(clockid_t which, struct timespec *t)
{
	int result = REAL(clock_gettime)(which, t);

	if (result == 0 && which != CLOCK_REALTIME && which != CLOCK_REALTIME_COARSE) {
		int64_t ms = (int64_t)t->tv_nsec / 1000000 + passed_ms;

		t->tv_sec += (time_t)(ms / 1000);
		t->tv_nsec = (long)(ms % 1000) * 1000000 + t->tv_nsec % 1000000;
	}
	return result;
}

int epoll_wait(int epoll, struct epoll_event *events, int count, int timeout_ms)
{
	return REAL(epoll_wait)(epoll, events, count,
	                        timeout_ms == 0 && is_held() ? IDLE_MS : timeout_ms);
}
