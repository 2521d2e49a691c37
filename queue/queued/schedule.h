/* SPDX-License-Identifier: ISC */
/*
 * What is delivered next: a pure module. It knows destinations and items, no messages, files,
 * clocks or processes; times are handed in.
 *
 * A schedule is all destinations of one kind of agent. Each destination has a window, how many jobs
 * may run at once: it starts at window_start, grows by one for every full window of successes
 * (never over window_max) and is halved by a job that found the whole destination in trouble. Below
 * one the destination is down: its items are handed back (schedule_drain), new ones come back at
 * once, and after a pause a single job tries it again. A job in which the destination had no word,
 * by a fault of our own, changes nothing of that.
 *
 * Destinations take turns; within one, senders take turns (by 16 buckets, so that a sender with a
 * million messages costs the others at most their share); fresh mail has three turns in four before
 * old.
 */
#ifndef QUEUE_QUEUED_SCHEDULE_H
#define QUEUE_QUEUED_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/bytes.h"
#include "lib/base/list.h"

struct schedule;
struct schedule_destination;

enum { SCHEDULE_SENDER_BUCKETS = 16, SCHEDULE_OLD_TURN = 4, SCHEDULE_IDLE_MAX = 4096 };

struct schedule_limits {
	int window_start, window_max;
	int64_t pause_first_ms, pause_max_ms; /* of a destination that is down; doubles */
	int64_t retry_first_ms, retry_max_ms; /* of a message */
};

/* Embedded in the caller's object; on at most one schedule's queue. */
struct schedule_item {
	struct link link;
	struct schedule_destination *destination;
	uint8_t bucket, old; /* which of the destination's queues */
};

struct schedule *schedule_new(const struct schedule_limits *limits);
void schedule_free(struct schedule **s);
void schedule_set_limits(struct schedule *s, const struct schedule_limits *limits);

/* The destination of this key, made when it is new. It lives while something waits or runs for it,
 * and for a while after. hold and release keep it for those who point at it without having it in
 * the queue. */
struct schedule_destination *schedule_find(struct schedule *s, struct view key);
void schedule_hold(struct schedule_destination *d);
void schedule_release(struct schedule_destination *d);
struct view schedule_key(const struct schedule_destination *d);

/* sender: any hash of who sent it. */
void schedule_add(struct schedule *s, struct schedule_destination *d, struct schedule_item *item,
                  uint64_t sender, bool old, int64_t now_ms);
void schedule_cancel(struct schedule *s,
                     struct schedule_item *item); /* harmless when it does not wait */
/* The next item that may run now, counted as running; NULL: none may. */
struct schedule_item *schedule_take(struct schedule *s);
enum schedule_end {
	SCHEDULE_SUCCESS, /* the destination answered, whatever it said */
	SCHEDULE_TROUBLE, /* as a whole it did not */
	SCHEDULE_UNTRIED  /* it was not asked, or we did not hear what it said */
};
/* A job of d has ended. */
void schedule_finished(struct schedule *s, struct schedule_destination *d, enum schedule_end end,
                       int64_t now_ms);

bool schedule_is_down(const struct schedule_destination *d, int64_t now_ms);
/* An item of a destination that is down, taken out of its queue; NULL when there is none left. */
struct schedule_item *schedule_drain(struct schedule_destination *d);
/* Forget all trouble (an operator's retry). */
void schedule_forgive(struct schedule *s);

/* How many items could run now if there were agents enough (at most `max` is counted). */
unsigned schedule_runnable(const struct schedule *s, unsigned max);
unsigned schedule_window(const struct schedule_destination *d); /* whole jobs */
bool schedule_is_idle(
	const struct schedule *s); /* nothing waits or runs, nobody holds a destination */

/* The delay before attempt number attempts + 1: first, then growing by half of itself each time up
 * to max, with a jitter of a quarter up and down from `random` (any 32 bits). attempts >= 1. */
int64_t schedule_retry_ms(const struct schedule_limits *limits, unsigned attempts, uint32_t random);

enum { OWN_RETRY_FIRST_MS = 1000, OWN_RETRY_MAX = 5 };

/* What failed by a fault of our own, so often in a row (1 ..), is repeated after this: 1, 2, 4 ...
 * seconds, never after retry_first. 0: after OWN_RETRY_MAX times, it waits like any other. */
int64_t schedule_own_retry_ms(const struct schedule_limits *limits, unsigned faults);

#endif
