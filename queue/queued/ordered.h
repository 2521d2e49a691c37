/* SPDX-License-Identifier: ISC */
/*
 * The ids of all messages, the oldest first, for who goes through them while they come and go: a
 * million are taken at once in some ten milliseconds, and put in order in pieces.
 */
#ifndef QUEUE_QUEUED_ORDERED_H
#define QUEUE_QUEUED_ORDERED_H

#include "queue/queued/record.h"

struct ordered; /* 8 bytes for each */

struct ordered *ordered_new(const struct records *records);
void ordered_free(struct ordered **o); /* *o is NULL then; harmless when it was */
/* A piece of the work, less than a millisecond; true: there is more to do before the first id. */
bool ordered_work(struct ordered *o);
/* The next one; the message may have gone since. false: there is none. */
bool ordered_next(struct ordered *o, uint64_t *id);

#endif
