/* SPDX-License-Identifier: ISC */
/*
 * When a message is tried again: at once by an operator's word, else after growing delays, until
 * its time in the queue is over; not at all while an operator holds it.
 *
 * What failed by a fault of our own is repeated within seconds, by itself: those whom their
 * destination put off go on waiting, and a repeat counts as no attempt.
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
/* A message whose next attempt or repeat is due and begins, not waiting for it any more; NULL:
 * none. */
struct message *attempts_take_due(struct attempts *a);
/* A message that the start found, and when its log plans the next attempt by the wall clock: true
 * when all of it goes on waiting, false when something of it is to go on now: what was put off
 * waits for its attempt, what was under way does not. */
bool attempts_waits_on(struct attempts *a, struct message *m, int64_t next_wall_ms);

/* Plans what is not planned yet: the attempt of recipients that are DEFERRED, the repeat of those
 * that are AGAIN; also for reports that could not be made. */
void attempts_plan(struct attempts *a, struct message *m);
/* The attempt begins: all who wait are to be asked about anew. */
void attempts_begin(struct attempts *a, struct message *m);
/* The same by an operator's word, before its time; written, so that a crash on the way does not
 * make them wait on. */
void attempts_hasten(struct attempts *a, struct message *m);
/* Nothing is waited for. */
void attempts_forget(struct attempts *a, struct message *m);
/* Its time in the queue is over: deferred recipients are given up. Harmless before. */
void attempts_expire(struct attempts *a, struct message *m);
/* Written at once. */
void attempts_hold(struct attempts *a, struct message *m, bool hold);

#endif
