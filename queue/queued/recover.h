/* SPDX-License-Identifier: ISC */
/*
 * The start: every file of the queue is looked at once, what is whole is handed on, all
 * else is set aside (recover.c, queue/INTERNALS).
 */
#ifndef QUEUE_QUEUED_RECOVER_H
#define QUEUE_QUEUED_RECOVER_H

#include "lib/base/reason.h"
#include "queue/queued/disk.h"
#include "queue/queued/record.h"

/*
 * The names come first, all at once: from then on what was there is known by its id, new ids are
 * greater than any of it, and messages can be taken and delivered. The files are looked at one
 * after the other, the oldest first, whenever the caller has time, or when somebody asks for one.
 */
struct recovery;

struct recovery_setup {
	struct disk *disk;
	void *context;
	/* A message, its recipients as its log left them; it is the callee's. next_wall_ms: when
	 * its next attempt was planned, 0: it was not. */
	void (*found)(void *context, struct message *m, int64_t next_wall_ms);
};

/* Reads the names. NULL: the queue cannot be read at all. */
struct recovery *recovery_begin(const struct recovery_setup *setup, struct reason *why);
/* From now on messages are taken: to be called once, before the first. -1: the mark of a clean stop
 * would hold for them. */
int recovery_serve(struct recovery *r, struct reason *why);
/* The next file; false: all is known. */
bool recovery_step(struct recovery *r);
/* This one at once, where it has not been looked at. */
void recovery_look_at(struct recovery *r, uint64_t id);
bool recovery_is_unread(const struct recovery *r, uint64_t id);
/* How many files have not been looked at; 0: all is known. */
uint32_t recovery_left(const struct recovery *r, uint32_t *all);

/* One file that stands in its place and was not taken at the start, nor will be, now that it is. */
int recover_one(struct recovery *start, const struct recovery_setup *setup, uint64_t id,
                struct reason *why);

#endif
