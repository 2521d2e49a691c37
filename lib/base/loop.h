/* SPDX-License-Identifier: ISC */
/*
 * The event loop of the programs where many peers meet (master, logd, porter, keyd, authd, dnsd,
 * queued, resolved, pickup) and of the parents of workers: descriptors and timers, one thread.
 *
 * A watch and a timer are embedded in the caller's object (see loop_owner) and
 * must be taken out before that object is freed.  Taking out is allowed at any
 * time, from any callback, also for an object whose own event is pending.
 * Level-triggered.
 */
#ifndef LIB_BASE_LOOP_H
#define LIB_BASE_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/heap.h"
#include "lib/base/list.h"

struct loop;

enum loop_events { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_HANGUP = 4 };

struct watch {
	int fd;
	unsigned events; /* what is asked for; 0 still reports LOOP_HANGUP */
	unsigned slot;   /* the loop's own; 0 while not watched */
	void (*ready)(struct watch *w, unsigned events);
};

struct timer {
	struct heap_entry entry; /* the loop's own; by clock_ms() */
	void (*due)(struct timer *t);
};

/* What is noted now and done by the loop, as soon as the present callback has returned to it: how a
 * call that finds something out tells its caller's object without calling into it. */
struct deferred {
	struct link link; /* the loop's own; zeroed while not noted */
	void (*run)(struct deferred *d);
};

/* The object a watch, a timer or a deferred is embedded in. */
#define loop_owner(pointer, type, member) \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

struct loop *loop_new(void);
void loop_free(struct loop **loop);

/* w->fd and w->ready are set by the caller.  Out of descriptors or memory is fatal. */
void loop_watch(struct loop *loop, struct watch *w, unsigned events);
/* Where one of many is refused for that: 0, or -1 (errno) and it is not watched. */
int loop_try_watch(struct loop *loop, struct watch *w, unsigned events);
void loop_change(struct loop *loop, struct watch *w, unsigned events);
void loop_unwatch(struct loop *loop,
                  struct watch *w); /* before the descriptor is closed; harmless when not watched */
bool loop_is_watched(const struct watch *w);

void loop_timer_set(struct loop *loop, struct timer *t, int64_t at_ms); /* again: moves it */
void loop_timer_clear(struct loop *loop, struct timer *t);              /* harmless when not set */
bool loop_timer_is_set(const struct timer *t);

void loop_defer(struct loop *loop, struct deferred *d); /* noted once, however often it is said */
void loop_defer_clear(struct deferred *d);              /* harmless when not noted */

/* Runs until loop_stop; what is deferred then runs when the loop runs again.  loop_now_ms is the
 * time when the present round of callbacks began. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
int64_t loop_now_ms(const struct loop *loop);

/* Delivers a signal as an ordinary callback (the handler itself writes one byte and returns). */
void loop_signal(struct loop *loop, int signal_number,
                 void (*caught)(int signal_number, void *context), void *context);

/* fork() for a program with a loop: in the child the caught signals are back at their defaults
 * before any can arrive there, where the handler would have told the parent's loop. The child must
 * not run the loop. */
pid_t loop_fork(void);

#endif
