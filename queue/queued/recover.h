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

/* Calls found() with every message, in the order of arrival, its recipients as its log left them;
 * it is the callee's. next_wall_ms: when its next attempt was planned, 0: it was not. -1: the queue
 * cannot be read at all. */
int recover(struct disk *disk,
            void (*found)(void *context, struct message *m, int64_t next_wall_ms), void *context,
            struct reason *why);

/* One file that stands in its place and was not taken at the start. */
int recover_one(struct disk *disk, uint64_t id,
                void (*found)(void *context, struct message *m, int64_t next_wall_ms),
                void *context, struct reason *why);

#endif
