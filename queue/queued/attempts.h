/* SPDX-License-Identifier: ISC */
/*
 * When a message is tried again: at once by an operator's word, else after growing delays, until
 * its time in the queue is over; not at all while an operator holds it.
 *
 * All of it by the clock that only goes forward: a wall clock that leaps delays nothing and ends
 * nothing. The log has times of the wall clock, which only a start reads.
 */
#ifndef QUEUE_QUEUED_ATTEMPTS_H
#define QUEUE_QUEUED_ATTEMPTS_H

#include "lib/base/loop.h"
#include "lib/conf/settings.h"
#include "queue/queued/journal.h"

struct attempts {
	/* Set by the caller before attempts_start. */
	struct loop *loop;
	const struct settings *settings;
	struct records *records;
	struct journal *journal;
	void *context;
	void (*due)(void *context); /* for some message: attempts_take_due, attempts_arm */
	/* Its own. */
	struct timer timer;
};

void attempts_start(struct attempts *a);
/* The timer follows the earliest message. */
void attempts_arm(struct attempts *a);
/* A message whose next attempt is due, not waiting for it any more; NULL: none. */
struct message *attempts_take_due(struct attempts *a);
/* A message that the start found, and when its log plans the next attempt by the wall clock: true
 * when it goes on waiting, false when it is to go on now. */
bool attempts_waits_on(struct attempts *a, struct message *m, int64_t next_wall_ms);

/* Plans the next one: there are deferred recipients, or reports that could not be made. */
void attempts_plan(struct attempts *a, struct message *m);
/* The attempt begins: what was deferred is to be asked about anew. */
void attempts_begin(struct attempts *a, struct message *m);
/* Its time in the queue is over: deferred recipients are given up. Harmless before. */
void attempts_expire(struct attempts *a, struct message *m);
/* Written at once. */
void attempts_hold(struct attempts *a, struct message *m, bool hold);

#endif
