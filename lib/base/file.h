/* SPDX-License-Identifier: ISC */
/*
 * Reading and writing files and pipes.
 *
 * A failure is not the end: whoever reads learns which of the three it was, whole, short or failed.
 * Interrupted calls are made again. No other file of the tree loops around read or write, but for
 * sockets (lib/net/stream.h, lib/wire/wire.h), logd, which waits for a log without room and counts
 * what went (master/logd/logd.c), and local's writev (deliver/local/local.c).
 */
#ifndef LIB_BASE_FILE_H
#define LIB_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/bytes.h"

enum file_result {
	FILE_WHOLE,
	FILE_SHORT,     /* the file ends before the bytes that were asked for */
	FILE_TOO_LARGE, /* more than the text may hold */
	FILE_FAILED     /* errno */
};

/* Exactly len bytes at offset `at`; what stands in `out` after any other result is not to be
 * used. */
enum file_result file_read_at(int fd, void *out, size_t len, uint64_t at);
/* From the present position to the end, added to `out`. Never FILE_SHORT. */
enum file_result file_read_rest(int fd, struct text *out);
/* One piece of at most `size` bytes: its length, 0 at the end, -1 with errno. */
ssize_t file_read_some(int fd, void *out, size_t size);
ssize_t file_read_some_at(int fd, void *out, size_t size, uint64_t at);
/* Words for a log line or a reason: "is shorter than expected", strerror(errno) ... */
const char *file_result_text(enum file_result result);

/* All of it, however often the system takes a part or is interrupted: 0, or -1 (errno) with some
 * part written. */
int write_whole(int fd, const void *bytes, size_t len);
int pwrite_whole(int fd, const void *bytes, size_t len, uint64_t at);

#endif
