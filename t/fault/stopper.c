/* SPDX-License-Identifier: ISC */
/*
 * Ends a program as kill -9 does, at a chosen call: loaded with LD_PRELOAD, so that the program
 * itself has no test code in it.
 *
 *	STOP_AT=unlinkat:2:before    before the second call of unlinkat (or after it)
 *	STOP_ARMED=1                 counting begins at once, otherwise with SIGUSR1
 *	STOP_SIGNAL=15               sends itself this signal instead
 *
 * _exit without any cleaning up is what kill -9 leaves, and no sandbox forbids it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

static char wanted[32];
static int number, after, counted;
static volatile sig_atomic_t armed;

static void arm(int signal_number)
{
	(void)signal_number;
	armed = 1;
}

__attribute__((constructor)) static void start(void)
{
	const char *at = getenv("STOP_AT");
	const char *colon = at ? strchr(at, ':') : NULL;

	if (colon == NULL || (size_t)(colon - at) >= sizeof wanted)
		return;
	memcpy(wanted, at, (size_t)(colon - at));
	number = (int)strtol(colon + 1, NULL, 10);
	after = strstr(colon, ":after") != NULL;
	armed = getenv("STOP_ARMED") != NULL;
	signal(SIGUSR1, arm);
}

/* STOP_SIGNAL: which it may see through. */
static void stop(void)
{
	const char *signal_number = getenv("STOP_SIGNAL");

	if (signal_number)
		kill(getpid(), (int)strtol(signal_number, NULL, 10));
	else
		_exit(137);
}

/* Is this the call?  It is counted once, before it is made. */
static int is_it(const char *name)
{
	return armed && strcmp(name, wanted) == 0 && ++counted == number;
}

static void stop_before(int it)
{
	if (it && !after)
		stop();
}

static void stop_after(int it)
{
	if (it && after)
		stop();
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define AROUND(name, type, call) \
	int it = is_it(#name);   \
	stop_before(it);         \
	type result = call;      \
	stop_after(it);          \
	return result

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
	AROUND(pwrite, ssize_t, REAL(pwrite)(fd, bytes, size, offset));
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset)
{
	AROUND(pwrite, ssize_t, REAL(pwrite64)(fd, bytes, size, offset));
}

int fsync(int fd)
{
	AROUND(fsync, int, REAL(fsync)(fd));
}

int unlinkat(int directory, const char *path, int flags)
{
	AROUND(unlinkat, int, REAL(unlinkat)(directory, path, flags));
}

int renameat(int from, const char *old, int to, const char *new)
{
	AROUND(renameat, int, REAL(renameat)(from, old, to, new));
}

/* Who is to be stopped at linkat is on a file system that cannot rename without replacing. */
int renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
	if (strcmp(wanted, "linkat") == 0) {
		errno = EINVAL;
		return -1;
	}
	AROUND(renameat2, int, REAL(renameat2)(from, old, to, new, flags));
}

int linkat(int from, const char *old, int to, const char *new, int flags)
{
	AROUND(linkat, int, REAL(linkat)(from, old, to, new, flags));
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	AROUND(sendmsg, ssize_t, REAL(sendmsg)(fd, message, flags));
}

static mode_t mode_of(int flags, va_list list)
{
	return flags & O_CREAT ? va_arg(list, mode_t) : 0;
}

int openat(int directory, const char *path, int flags, ...)
{
	va_list list;

	va_start(list, flags);
	mode_t mode = mode_of(flags, list);

	va_end(list);
	AROUND(openat, int, REAL(openat)(directory, path, flags, mode));
}

int openat64(int directory, const char *path, int flags, ...)
{
	va_list list;

	va_start(list, flags);
	mode_t mode = mode_of(flags, list);

	va_end(list);
	AROUND(openat, int, REAL(openat64)(directory, path, flags, mode));
}
