/* SPDX-License-Identifier: ISC */
/*
 * Reading and writing files and pipes, and walking through directories.
 *
 * A failure is not the end: whoever reads learns which of the three it was, whole, short or failed.
 * Interrupted calls are made again. No other file of the tree calls readdir, and none loops around
 * read or write, but for sockets (lib/net/stream.h, lib/wire/wire.h), logd, which waits for a log
 * without room and counts what went (master/logd/logd.c), and local's writev
 * (deliver/local/local.c).
 */
#ifndef LIB_BASE_FILE_H
#define LIB_BASE_FILE_H

#include <dirent.h>
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
/* poll() of one descriptor for `events`, at least once however little time there is, and on after a
 * signal: 1 ready (or ended), 0 not within timeout_ms, -1 with errno. */
int file_wait(int fd, short events, int64_t timeout_ms);
/* An errno that says nothing of what was asked for: the process or the system has no descriptor or
 * no memory now. */
bool out_of_resources(int error);
/* Words for a log line or a reason: "is shorter than expected", strerror(errno) ... */
const char *file_result_text(enum file_result result);

/* A walk through a directory. readdir tells its failures as it tells the end: here the end of the
 * walk says which of the two it was, and nobody may leave without asking.
 *
 *	if (walk_begin(&w, at, "new") == 0)
 *		while ((entry = walk_next(&w)) != NULL)
 *			...
 *	if (walk_end(&w) < 0)
 *		fail_errno(...);
 */
struct walk {
	void *directory;
	int error;
};

/* `name` below `at` is opened anew (so "." walks an open directory from its start), never through a
 * link. 0, -1: errno, and walk_end says it again. */
int walk_begin(struct walk *w, int at, const char *name);
/* The same of a descriptor, which is the walk's from now on; negative: its open failed, errno. */
int walk_begin_fd(struct walk *w, int fd);
/* The next entry but "." and "..", valid until the next call; NULL: the end, or a failure. */
const struct dirent *walk_next(struct walk *w);
int walk_fd(const struct walk *w); /* the walk's own: for fstatat, unlinkat */
/* 0: all that was asked for was seen; -1, errno: it could not be opened, or broke off. */
int walk_end(struct walk *w) __attribute__((warn_unused_result));

/* All of it, however often the system takes a part or is interrupted: 0, or -1 (errno) with some
 * part written. */
int write_whole(int fd, const void *bytes, size_t len);
int pwrite_whole(int fd, const void *bytes, size_t len, uint64_t at);
/* A file of these bytes, mode 0600, instead of the one of this name, if there is one: written as
 * NAME.new, renamed, and synced with its directory. -1, errno: the old one is as it was, but for a
 * failure of the last sync. */
int file_replace(int directory, const char *name, const void *bytes, size_t len);
/* The same with mode 0644, whatever the umask: for what programs without privileges read. */
int file_replace_shown(int directory, const char *name, const void *bytes, size_t len);

#endif
