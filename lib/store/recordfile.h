/* SPDX-License-Identifier: ISC */
/*
 * The file home/posthouse.reserved: its lines, which of them is whose, and whether it is the file
 * that was written last. What is taken from a line is reserved.c's.
 *
 * The first line says which file this is and when it was last written, by what no copy has: a file
 * that was copied is another one, and one that was copied over was changed (ctime) at a time that
 * it does not name. Then as many UIDs are passed over as can have been given since, 2^20
 * and one for each second, and a random number more: what was given after an earlier restore from
 * the same backup is recorded nowhere any more. Two restores that give n and m UIDs meet with a
 * probability of about (n + m) / 2^26 (200 and 200: 1 in 168,000). On average 120 restores use up a
 * UIDVALIDITY; the folder gets another one then (uids.c).
 *
 * Lines are written in place and never lie in two sectors. They only rise, and stay when their
 * folder goes: it may come back. When there is no room for another one, one of them goes, whose
 * folder then has none.
 */
#ifndef LIB_STORE_RECORDFILE_H
#define LIB_STORE_RECORDFILE_H

#include "lib/store/internal.h"

struct first_line {
	uint64_t inode, born_ns;
	uint64_t written_ns; /* 0: this file system's times are not of this clock */
};

struct record_file {
	int fd;            /* the caller closes it */
	char *bytes;       /* the caller frees them */
	uint64_t len;      /* whole lines */
	uint32_t added;    /* to every number: the file was put back */
	bool touched;      /* or its mode, owner or links were changed: once in its life */
	uint64_t since_ns; /* 0: it was not; what was written until then is in it */
	uint32_t *jump;    /* the session's */
	struct first_line first;
};

int record_file_open(struct store *store, int flags);
/* flock(2): the file that has the name when the lock is there. */
int record_file_open_locked(struct store *store, int flags, int how);
/* Sets all but jump, which stands. 0; -1, errno: it cannot be read whole. */
int record_file_load(struct record_file *file, int fd);
/* Where its line is, or where a new one goes; *out: 0 there. */
uint64_t record_file_find(const struct record_file *file, uint32_t validity, struct reserved *out);
/* Of one that was put back: all lines rise by `added`, on disk and in memory, and where that can be
 * it is another file then (fd). */
int record_file_raise(struct store *store, struct record_file *file);
/* Not synced. */
int record_file_write(struct record_file *file, uint64_t at, uint32_t validity,
                      const struct reserved *r);
/* More than can have been given since, by a random number. */
uint32_t record_file_jump(uint64_t since_ns);

#endif
