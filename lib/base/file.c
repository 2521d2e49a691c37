/* SPDX-License-Identifier: ISC */
#include "lib/base/file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

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
		out->data[out->len] = '\0';
	}
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
