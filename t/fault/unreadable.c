/* SPDX-License-Identifier: ISC */
/*
 * A file that cannot be read to its end: loaded with LD_PRELOAD, so that the program itself has no
 * test code in it.
 *
 *	UNREADABLE=users.map     the file, by a part of its path
 *	UNREADABLE_AT=40         so many bytes are read, in one or more pieces, then
 *	UNREADABLE_END=1         the file seems to end there (else: EIO)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static size_t had;

static int is_it(int fd)
{
	const char *wanted = getenv("UNREADABLE");
	char link[64], path[4096];

	if (wanted == NULL)
		return 0;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t len = readlink(link, path, sizeof path - 1);

	if (len < 0)
		return 0;
	path[len] = '\0';
	return strstr(path, wanted) != NULL;
}

/* How much may be read at this offset; 0: nothing any more. */
static size_t allowed(size_t size, size_t offset)
{
	const char *at = getenv("UNREADABLE_AT");
	size_t end = at ? strtoul(at, NULL, 10) : 0;

	return offset >= end ? 0 : size < end - offset ? size : end - offset;
}

static ssize_t over(void)
{
	if (getenv("UNREADABLE_END") != NULL)
		return 0;
	errno = EIO;
	return -1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t read(int fd, void *out, size_t size)
{
	if (!is_it(fd))
		return REAL(read)(fd, out, size);
	if ((size = allowed(size, had)) == 0)
		return over();
	ssize_t got = REAL(read)(fd, out, size);

	had += got > 0 ? (size_t)got : 0;
	return got;
}

ssize_t pread(int fd, void *out, size_t size, off_t offset)
{
	if (!is_it(fd))
		return REAL(pread)(fd, out, size, offset);
	size = allowed(size, (size_t)offset);
	return size ? REAL(pread)(fd, out, size, offset) : over();
}

ssize_t pread64(int fd, void *out, size_t size, off64_t offset)
{
	return pread(fd, out, size, offset);
}
