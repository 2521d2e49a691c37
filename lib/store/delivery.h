/* SPDX-License-Identifier: ISC */
/*
 * Delivery: a message into `new`, atomic and durable, in few system calls and without the index.
 *
 *     delivery_begin    opens home/Maildir/new (made when missing) and a file in tmp
 *     ... the caller writes the message to d.fd, with CRLF ...
 *     delivery_finish   fsync, rename into new (and fsync of new when asked)
 *
 * A crash before the rename leaves a file in tmp, which nobody reads and a later scan removes after
 * 36 hours; after it the message is there.
 */
#ifndef LIB_STORE_DELIVERY_H
#define LIB_STORE_DELIVERY_H

#include "lib/store/store.h"

enum { DELIVERY_NAME_MAX = 161 };

struct delivery {
	int new;     /* the directory; the others are looked for from here */
	int fd;      /* the file in tmp, -1 none */
	int maildir; /* the directory, -1: it was not needed */
	uint64_t quota_bytes;
	char tmp[DELIVERY_NAME_MAX + 8];
	char name[DELIVERY_NAME_MAX];
};

/* size_bytes: what will be written, for the quota (STORE_OVER_QUOTA, STORE_TOO_LARGE). */
enum store_result delivery_begin(struct delivery *d, const char *home, uint64_t quota_bytes,
                                 uint64_t size_bytes, struct reason *why);
/* size_bytes: what was written. sync_directory: the message's other copy is on another file
 * system. */
enum store_result delivery_finish(struct delivery *d, uint64_t size_bytes, bool sync_directory,
                                  struct reason *why);
/* Removes what delivery_begin made; harmless after delivery_finish. */
void delivery_abort(struct delivery *d);

#endif
