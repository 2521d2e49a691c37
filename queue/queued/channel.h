/* SPDX-License-Identifier: ISC */
/* One kind of agent (agents.def), or those of a kind that one owner has: agents.c's and owners.c's
 * own. */
#ifndef QUEUE_QUEUED_CHANNEL_H
#define QUEUE_QUEUED_CHANNEL_H

#include "lib/wire/hub.h"
#include "queue/queued/delivery.h"

struct channel {
	struct hub hub;
	struct agents *agents;
	enum agent agent;
	struct schedule *schedule;
	int parent;        /* whose agents are given jobs: of the last line */
	struct timer run;  /* gives jobs to who is idle, at the end of this round of the loop */
	struct timer look; /* looks for who is silent, while others wait for that */
	int64_t shortage_again_ms; /* not told of before that */
	/* The owners' (owners.h): NULL where the agents are behind a wire. */
	struct owners *owners;
	struct hashed owned; /* in owners->channels */
	uint32_t uid, gid;
	bool started;          /* a parent is running */
	bool ending;           /* the parent has gone, its workers perhaps not */
	int64_t not_before_ms; /* the parent was lost a moment ago */
};

/* Not at once: an agent that is lost meanwhile would change the message that the caller is working
 * on. */
static inline void channel_run_soon(struct channel *c)
{
	if (!loop_timer_is_set(&c->run))
		loop_timer_set(c->hub.loop, &c->run, loop_now_ms(c->hub.loop));
}

/* Mail waits since destinations that say nothing use up the shares: told once a minute. */
void channel_tell_shortage(struct channel *c);

#endif
