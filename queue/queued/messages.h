/* SPDX-License-Identifier: ISC */
/*
 * What a message needs next: the one piece of queued that knows the others. It is told what has
 * happened (these functions are handed to the sides as their callbacks), and tells resolving.h and
 * agents.h what to do.
 */
#ifndef QUEUE_QUEUED_MESSAGES_H
#define QUEUE_QUEUED_MESSAGES_H

#include "queue/queued/agents.h"
#include "queue/queued/journal.h"
#include "queue/queued/resolving.h"

struct messages;

struct messages_setup {
	struct loop *loop;
	const struct settings *settings; /* may change in place */
	struct disk *disk;
	struct journal *journal;
	struct records *records; /* read by others, changed only here */
};

struct messages *messages_new(const struct messages_setup *setup);
/* When the sides are there: the work begins with what the start has found so far. */
void messages_begin(struct messages *ms, struct agents *agents, struct resolving *resolving);

/* Callbacks; the context is the struct messages. */
void messages_found(void *context, struct message *m, int64_t next_wall_ms);    /* recover.h */
void messages_restored(void *context, struct message *m, int64_t next_wall_ms); /* recover.h */
/* After some were found while the work goes on. */
void messages_look(struct messages *ms);
void messages_accepted(void *context, struct message *m); /* writers.h */
/* resolving.h; messages_admit is agents.h's too */
void messages_answered(void *context, struct message *m, uint32_t index, struct found *found,
                       unsigned count);
void messages_dialled(void *context);
void messages_admit(void *context);
/* agents.h */
void messages_result(void *context, struct delivery *d, struct recipient *r,
                     const struct job_result *result);
void messages_finished(void *context, struct delivery *d);
void messages_damaged(void *context, struct message *m, enum message_damage damage,
                      const char *reason);
void messages_turned_away(void *context, struct delivery *d, enum turned_away why);
/* commands.h; with messages_admit at the end */
void messages_forgive(void *context);
void messages_retry(void *context, struct message *m);
void messages_hold(void *context, struct message *m, bool hold);
void messages_remove(void *context, struct message *m);

#endif
