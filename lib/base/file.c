/* SPDX-License-Identifier: ISC */
#include "lib/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"

enum { PIECE_BYTES = 16384 };

ssize_t file_read_some(int fd, void *out, size_t size)
{
	ssize_t got;

	do
		got = read(fd, out, size);
	while (got < 0 && errno == EINTR);
	return got;
}

ssize_t file_read_some_at(int fd, void *out, size_t size, uint64_t at)
{
	ssize_t got;

	do
		got = pread(fd, out, size, (off_t)at);
	while (got < 0 && errno == EINTR);
	return got;
}

enum file_result file_read_at(int fd, void *out, size_t len, uint64_t at)
{
	char *to = out;

	while (len > 0) {
		ssize_t got = file_read_some_at(fd, to, len, at);

		if (got <= 0)
			return got < 0 ? FILE_FAILED : FILE_SHORT;
		to += got;
		at += (uint64_t)got;
		len -= (size_t)got;
	}
	return FILE_WHOLE;
}

enum file_result file_read_rest(int fd, struct text *out)
{
	for (;;) {
		/* A text that is full may still be all of the file. */
		size_t left = out->max - out->len, want = left < PIECE_BYTES ? left : PIECE_BYTES;
		char byte, *to = want ? text_reserve(out, want) : &byte;
		ssize_t got = to ? file_read_some(fd, to, want ? want : 1) : -1;

		if (got < 0)
			return FILE_FAILED;
		if (got == 0)
			return FILE_WHOLE;
		if (want == 0)
			return FILE_TOO_LARGE;
		out->len += (size_t)got;
		out->raw[out->len] = '\0';
	}
}

int file_wait(int fd, short events, int64_t timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = events };
	int64_t until_ms = clock_ms() + timeout_ms;
	int ready;

	do {
		int64_t left_ms = until_ms - clock_ms();

		ready = poll(&p, 1, left_ms > 0 ? (int)left_ms : 0);
	} while (ready < 0 && errno == EINTR);
	return ready;
}

bool out_of_resources(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

const char *file_result_text(enum file_result result)
{
	switch (result) {
	case FILE_WHOLE: return "is whole";
	case FILE_SHORT: return "is shorter than expected";
	case FILE_TOO_LARGE: return "is too large";
	default: return strerror(errno);
	}
}

int walk_begin_fd(struct walk *w, int fd)
{
	*w = (struct walk){ .directory = fd < 0 ? NULL : fdopendir(fd) };
	if (w->directory != NULL)
		return 0;
	w->error = errno;
	if (fd >= 0)
		close(fd);
	errno = w->error;
	return -1;
}

int walk_begin(struct walk *w, int at, const char *name)
{
	return walk_begin_fd(w, openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

const struct dirent *walk_next(struct walk *w)
{
	const struct dirent *entry;

	if (w->directory == NULL || w->error)
		return NULL;
	do {
		errno = 0;
		entry = readdir(w->directory);
	} while (entry != NULL &&
	         (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
	if (entry == NULL)
		w->error = errno;
	return entry;
}

int walk_fd(const struct walk *w)
{
	return dirfd(w->directory);
}

int walk_end(struct walk *w)
{
	if (w->directory != NULL)
		closedir(w->directory);
	w->directory = NULL;
	errno = w->error;
	return w->error ? -1 : 0;
}

int write_whole(int fd, const void *bytes, size_t len)
{
	const char *p = bytes;

	while (len > 0) {
		ssize_t put = write(fd, p, len);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -1;
		p += put;
		len -= (size_t)put;
	}
	return 0;
}

int pwrite_whole(int fd, const void *bytes, size_t len, uint64_t at)
{
	const char *p = bytes;

	while (len > 0) {
		ssize_t put = pwrite(fd, p, len, (off_t)at);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -1;
		p += put;
		at += (uint64_t)put;
		len -= (size_t)put;
	}
	return 0;
}

static int replace(int directory, const char *name, const void *bytes, size_t len, mode_t mode)
{
	char fresh[NAME_MAX + 1];

	if (!string_format(fresh, sizeof fresh, "%s.new", name)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (unlinkat(directory, fresh, 0) < 0 && errno != ENOENT)
		return -1;
	int fd = openat(directory, fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return -1;
	bool good = (mode == 0600 || fchmod(fd, mode) == 0) && write_whole(fd, bytes, len) == 0 &&
	            fsync(fd) == 0 && renameat(directory, fresh, directory, name) == 0;
	int kept_errno = errno;

	close(fd);
	errno = kept_errno;
	return good ? fsync(directory) : -1;
}

int file_replace(int directory, const char *name, const void *bytes, size_t len)
{
	return replace(directory, name, bytes, len, 0600);
}

int file_replace_shown(int directory, const char *name, const void *bytes, size_t len)
{
	return replace(directory, name, bytes, len, 0644);
}
