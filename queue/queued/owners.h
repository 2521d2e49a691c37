/* SPDX-License-Identifier: ISC */
/*
 * The agents that run under a mailbox owner's uid: a channel for each owner and kind, whose parent
 * master starts on our word when there is work, and which goes when it is idle.
 */
#ifndef QUEUE_QUEUED_OWNERS_H
#define QUEUE_QUEUED_OWNERS_H

#include "queue/queued/channel.h"

struct owners {
	int master;           /* the wire over which an owner's agent is asked for */
	struct hash channels; /* by kind, uid and gid */
};

/* NULL: there is none. */
struct channel *owners_find(struct owners *o, enum agent agent, uint32_t uid, uint32_t gid);
/* A new one; its hub and its schedule are the caller's to set up, with owners_lost as hub.lost. */
struct channel *owners_add(struct owners *o, enum agent agent, uint32_t uid, uint32_t gid);
void owners_each(struct owners *o, void (*visit)(struct channel *c, void *context), void *context);

/* There is work for it: the parent, unless it runs; after a while when it was lost just now. */
void owners_start(struct channel *c);
/* The parent has gone, idle or dead; the channel runs once more. */
void owners_lost(struct hub *hub);
/* Then, when the last line has gone too: it waits for work, or there is none and it is freed. */
void owners_ended(struct channel *c);

#endif
