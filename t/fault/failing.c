/* SPDX-License-Identifier: ISC */
/*
 * Lets chosen calls fail as a bad disk or a full table of descriptors does: loaded with LD_PRELOAD,
 * so that the program itself has no test code in it.
 *
 *	FAIL_CALL=pread    open, openat, read, pread, fsync, syncfs, socket (of the network),
 *	                   unlinkat, renameat2, connect, sendmsg or memory (an allocation)
 *	FAIL_ERRNO=5       its number
 *	FAIL_PATH=part     only of files whose name, as it is opened, has this part; "stdin";
 *	                   of socket and syncfs anything
 *	FAIL_SKIP=1        so many calls pass first
 *	FAIL_TIMES=2       so many fail, then all pass; without it all fail
 *	FAIL_CALL=behind   reads of the file are cut at FAIL_SKIP bytes, and fail behind them; with
 *	                   FAIL_ERRNO=0 the file seems to end there
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <unistd.h>

enum { FDS = 1024 };

static const char *call, *part;
static long error, skip, times;
static unsigned char chosen[FDS];

static long number(const char *name, long otherwise)
{
	const char *value = getenv(name);

	return value ? strtol(value, NULL, 10) : otherwise;
}

__attribute__((constructor)) static void start(void)
{
	const char *chosen_call = getenv("FAIL_CALL");

	part = getenv("FAIL_PATH");
	error = number("FAIL_ERRNO", EIO);
	skip = number("FAIL_SKIP", 0);
	times = number("FAIL_TIMES", -1);
	unsetenv("LD_PRELOAD"); /* what this program starts is not meant, nor is its standard input
	                         */
	chosen[STDIN_FILENO] = part && strcmp(part, "stdin") == 0;
	call = chosen_call; /* from now on */
}

static int fails(const char *name, int is_chosen)
{
	if (call == NULL || part == NULL || strcmp(call, name) != 0 || !is_chosen)
		return 0;
	if (skip > 0) {
		skip--;
		return 0;
	}
	if (times == 0)
		return 0;
	times -= times > 0;
	errno = (int)error;
	return 1;
}

static int fd_chosen(int fd)
{
	return fd >= 0 && fd < FDS && chosen[fd];
}

static int cut(int fd)
{
	return call != NULL && strcmp(call, "behind") == 0 && fd_chosen(fd);
}

/* How much of a piece at this offset can be read. */
static size_t left(size_t size, off_t offset)
{
	return offset >= skip ? 0 : size < (size_t)(skip - offset) ? size : (size_t)(skip - offset);
}

static ssize_t behind(void)
{
	errno = (int)error;
	return error ? -1 : 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t read(int fd, void *out, size_t size)
{
	static off_t had;

	if (cut(fd)) {
		ssize_t got = left(size, had) ? REAL(read)(fd, out, left(size, had)) : behind();

		had += got > 0 ? got : 0;
		return got;
	}
	return fails("read", fd_chosen(fd)) ? -1 : REAL(read)(fd, out, size);
}

ssize_t pread(int fd, void *out, size_t size, off_t offset)
{
	if (cut(fd))
		return left(size, offset) ? REAL(pread)(fd, out, left(size, offset), offset)
		                          : behind();
	return fails("pread", fd_chosen(fd)) ? -1 : REAL(pread)(fd, out, size, offset);
}

ssize_t pread64(int fd, void *out, size_t size, off64_t offset)
{
	if (cut(fd))
		return pread(fd, out, size, offset);
	return fails("pread", fd_chosen(fd)) ? -1 : REAL(pread64)(fd, out, size, offset);
}

int socket(int family, int type, int protocol)
{
	return fails("socket", family != AF_UNIX) ? -1 : REAL(socket)(family, type, protocol);
}

int fsync(int fd)
{
	return fails("fsync", fd_chosen(fd)) ? -1 : REAL(fsync)(fd);
}

int syncfs(int fd)
{
	return fails("syncfs", 1) ? -1 : REAL(syncfs)(fd);
}

static int opened(const char *path, int fd)
{
	if (fd >= 0 && fd < FDS)
		chosen[fd] = part && strstr(path, part) != NULL;
	return fd;
}

static mode_t mode_of(int flags, va_list list)
{
	return flags & O_CREAT ? va_arg(list, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
	va_list list;

	va_start(list, flags);
	mode_t mode = mode_of(flags, list);

	va_end(list);
	return fails("open", part && strstr(path, part))
	               ? -1
	               : opened(path, REAL(open)(path, flags, mode));
}

int openat(int directory, const char *path, int flags, ...)
{
	va_list list;

	va_start(list, flags);
	mode_t mode = mode_of(flags, list);

	va_end(list);
	return fails("openat", part && strstr(path, part))
	               ? -1
	               : opened(path, REAL(openat)(directory, path, flags, mode));
}

int unlinkat(int directory, const char *path, int flags)
{
	return fails("unlinkat", part && strstr(path, part))
	               ? -1
	               : REAL(unlinkat)(directory, path, flags);
}

int renameat2(int from_directory, const char *from, int to_directory, const char *to,
              unsigned flags)
{
	return fails("renameat2", part && strstr(from, part))
	               ? -1
	               : REAL(renameat2)(from_directory, from, to_directory, to, flags);
}

int connect(int fd, const struct sockaddr *to, socklen_t len)
{
	const struct sockaddr_un *un = (const void *)to;

	return fails("connect", part && to->sa_family == AF_UNIX && strstr(un->sun_path, part))
	               ? -1
	               : REAL(connect)(fd, to, len);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	return fails("sendmsg", 1) ? -1 : REAL(sendmsg)(fd, message, flags);
}

#ifdef __GLIBC__
/* What a library makes once, at its first use, is left alone: libcrypto (3.5) waits for itself when
 * an allocation fails there, since its own error would be the first to need what is being made. */
static int making;

int pthread_once(pthread_once_t *once, void (*make)(void))
{
	making++;
	int result = REAL(pthread_once)(once, make);

	making--;
	return result;
}

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t each);
void *__libc_realloc(void *p, size_t n);

void *malloc(size_t n)
{
	return fails("memory", !making) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t each)
{
	return fails("memory", !making) ? NULL : __libc_calloc(n, each);
}

void *realloc(void *p, size_t n)
{
	return fails("memory", !making) ? NULL : __libc_realloc(p, n);
}
#endif

/* What a program calls that was compiled for large files; all are read by the same reads. */
int open64(const char *path, int flags, ...) __attribute__((alias("open")));
int openat64(int directory, const char *path, int flags, ...) __attribute__((alias("openat")));
