/* SPDX-License-Identifier: ISC */
/*
 * What is delivered next: a pure module. It knows destinations and items, no messages, files,
 * clocks or processes; times are handed in.
 *
 * A schedule is all destinations of one kind of agent. Each destination has a window, how many jobs
 * may run at once: it starts at window_start, grows by one with each success, after its first
 * trouble by one for every full window of successes (never over window_max), and is halved by a job
 * that found the whole destination in trouble. Below one the destination is down: its items are
 * handed back (schedule_drain), new ones come back at once, and after a pause a single job tries it
 * again. A job in which the destination had no word, by a fault of our own, changes nothing of
 * that.
 *
 * An agent is held for as long as its job lasts, and a destination that accepts a connection and
 * says nothing holds it for minutes. So who may hold how many depends on what is known:
 *	unknown   no success yet, or none since it was down: at most window_start jobs
 *	proven    it has had one: as many as its window
 *	silent    a proven one in which something runs and nothing has succeeded for
 *	          SCHEDULE_SILENT_MS: its jobs run on, and no more than window_start are begun until
 *	          one succeeds. Not measured by what is usual for it: a host that is always slow
 *	          holds agents just as long as one that has become so
 *
 * Of `agents` (0: there are no shares, of agents with a single destination) there may be held by
 *
 *	first jobs of proven destinations                     any
 *	jobs of unknown ones                                  a half; the second and further ones
 *	                                                      of each begin only below a quarter
 *	further jobs of proven ones, and those of silent ones a half
 *	these two together                                    three quarters
 *
 * So nobody's silence, of however many strangers, nor of several big ones that were proven and had
 * their whole windows running, takes the last quarter from those who answer. What runs is not
 * interrupted: a first job whose destination falls silent counts among the further ones then, and
 * may bring them over their half; none is begun until they are below. Each share has at least one
 * agent, and of two or more at least one is nobody's who is silent.
 *
 * While more than SCHEDULE_WAITING_MANY items wait, those of a destination that has said nothing
 * for as long, proven or not, are handed back too, but for SCHEDULE_SILENT_WAITING: only so many
 * messages are active at once (admission.h), and these would keep all others out. Those of the
 * senders who have most go, old before fresh, so that who sends little is not put off for it, not
 * even one who comes when the destination has long been full. (Not where there are no shares.)
 *
 * Senders take turns, over all destinations (turns.h): of what may run now the sender who has had
 * least comes next, so that mail to 10,000 destinations does not keep a single message waiting.
 * Fresh mail has three turns in four before old, over all destinations too.
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

enum {
	SCHEDULE_OLD_TURN = 4,
	SCHEDULE_IDLE_MAX = 4096,
	SCHEDULE_SILENT_MS = 10000,
	SCHEDULE_SILENT_WAITING = 100,
	SCHEDULE_WAITING_MANY = 10000 /* half of what may be active */
};

struct schedule_limits {
	int window_start, window_max;
	int agents; /* that there may be in all; 0: as many as one likes */
	int64_t pause_first_ms, pause_max_ms; /* of a destination that is down; doubles */
	int64_t retry_first_ms, retry_max_ms; /* of a message */
};

/* Embedded in the caller's object; on at most one schedule's queue. */
struct schedule_item {
	struct link link;
	struct schedule_destination *destination;
	bool old;
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

void schedule_add(struct schedule *s, struct schedule_destination *d, struct schedule_item *item,
                  struct view sender, bool old, int64_t now_ms);
void schedule_cancel(struct schedule *s,
                     struct schedule_item *item); /* harmless when it does not wait */
/* The next item that may run now, counted as running; NULL: none may. */
struct schedule_item *schedule_take(struct schedule *s, int64_t now_ms);
enum schedule_end {
	SCHEDULE_SUCCESS, /* the destination answered, whatever it said */
	SCHEDULE_TROUBLE, /* as a whole it did not */
	SCHEDULE_UNTRIED  /* it was not asked, or we did not hear what it said */
};
/* A job of d has ended. */
void schedule_finished(struct schedule *s, struct schedule_destination *d, enum schedule_end end,
                       int64_t now_ms);

bool schedule_is_down(const struct schedule_destination *d, int64_t now_ms);
/* An item of a destination that is down, or silent with more than may wait for it, taken out of its
 * queue: the one that gives way (turns.h). NULL when there is none left. */
struct schedule_item *schedule_drain(struct schedule *s, struct schedule_destination *d);
/* A silent destination for which more waits than may; NULL: none. */
struct schedule_destination *schedule_crowded(struct schedule *s, int64_t now_ms);
/* When to look for one again, at the latest; 0: not before something else happens. */
int64_t schedule_look_ms(const struct schedule *s);
/* Forget all trouble (an operator's retry). */
void schedule_forgive(struct schedule *s);

/* How many items could run now if there were idle agents enough (at most `max` is counted). */
unsigned schedule_runnable(const struct schedule *s, unsigned max);
/* More wait than may begin, since those that say nothing use up the shares. What is held then, by
 * unknown destinations, and by further jobs and silent ones; how many destinations say nothing. */
struct schedule_held {
	unsigned unknown, further;
	size_t silent;
};
bool schedule_is_short(const struct schedule *s, struct schedule_held *held);
unsigned schedule_window(const struct schedule_destination *d); /* whole jobs */
enum schedule_standing { SCHEDULE_UNKNOWN, SCHEDULE_PROVEN, SCHEDULE_SILENT };
enum schedule_standing schedule_standing(const struct schedule_destination *d);
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
