/* SPDX-License-Identifier: ISC */
/*
 * What a clean stop keeps of the records of messages that wait, so that the next start reads one
 * file, `records' of the queue directory, instead of one for each. It holds only together with the
 * mark of that stop, for files that are in a directory whose time is as it was then; of all others,
 * and of those that do more than wait, the files are read.
 */
#ifndef QUEUE_QUEUED_KEPT_H
#define QUEUE_QUEUED_KEPT_H

#include "queue/queued/disk.h"
#include "queue/queued/record.h"

enum {
	KEPT_MESSAGES_MIN = 100, /* fewer are read as fast from their files */
	KEPT_RECIPIENTS_MAX = 20 /* of a message */
};

struct kept;

/* Before the mark of a clean stop; what was there before is gone. */
void kept_write(struct disk *d, const struct records *records);
/* NULL: there is none that holds. */
struct kept *kept_open(struct disk *d);
/* The message, as it was, and the time of its next attempt; ids come in order. NULL: it
 * is not among them. */
struct message *kept_take(struct kept *k, uint64_t id, int64_t *next_wall_ms);
void kept_close(struct kept **k); /* *k is NULL then; harmless when it was */
/* Once the mark does not hold for all any more. */
void kept_forget(struct disk *d);

#endif
