/* SPDX-License-Identifier: ISC */
/* The event loop: order of timers, taking out from inside callbacks, signals. */
#include "lib/base/loop.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "t/tap.h"

enum { TIMERS = 200 };

static struct loop *loop;
static struct numbered {
	struct timer timer;
	int64_t wanted_ms;
} timers[TIMERS];
static int64_t last_ms;
static unsigned fired;
static bool ordered = true;

static void fires(struct timer *t)
{
	struct numbered *n = loop_owner(t, struct numbered, timer);

	ordered = ordered && n->wanted_ms >= last_ms && loop_now_ms(loop) >= n->wanted_ms;
	last_ms = n->wanted_ms;
	if (++fired == TIMERS / 2)
		loop_stop(loop);
}

static void test_timers(void)
{
	int64_t now = clock_ms();

	for (int i = 0; i < TIMERS; i++) {
		timers[i].timer.due = fires;
		timers[i].wanted_ms = now + (i * 7919) % 50;
		loop_timer_set(loop, &timers[i].timer, timers[i].wanted_ms + 1000);
		loop_timer_set(loop, &timers[i].timer, timers[i].wanted_ms); /* moved */
	}
	for (int i = 0; i < TIMERS; i += 2)
		loop_timer_clear(loop, &timers[i].timer);
	loop_timer_clear(loop, &timers[0].timer); /* again: harmless */
	ok(!loop_timer_is_set(&timers[0].timer) && loop_timer_is_set(&timers[1].timer),
	   "one that was cleared is not set, another one is");
	loop_run(loop);
	ok(!loop_timer_is_set(&timers[1].timer), "nor is one that has fired");
	ok(fired == TIMERS / 2, "every timer that was not cleared fires once");
	ok(ordered, "in order, and not early");
}

/* Two descriptors ready in one round; the first callback takes the second out and frees it. */
static struct pair {
	struct watch watch;
	struct pair *other;
	int calls;
} * first, *second;

static void takes_other_out(struct watch *w, unsigned events)
{
	struct pair *p = loop_owner(w, struct pair, watch);

	ok(events & LOOP_READ, "told of something to read");
	p->calls++;
	loop_unwatch(loop, &p->other->watch);
	free(p->other);
	p->other = NULL;
	loop_stop(loop);
}

static void test_taking_out(void)
{
	int a[2], b[2];

	ok(pipe(a) == 0 && pipe(b) == 0, "two pipes");
	first = calloc(1, sizeof *first);
	second = calloc(1, sizeof *second);
	*first =
		(struct pair){ .watch = { .fd = a[0], .ready = takes_other_out }, .other = second };
	*second =
		(struct pair){ .watch = { .fd = b[0], .ready = takes_other_out }, .other = first };
	loop_watch(loop, &first->watch, LOOP_READ);
	loop_watch(loop, &second->watch, LOOP_READ);
	ok(write(a[1], "x", 1) == 1 && write(b[1], "x", 1) == 1, "both ready");
	loop_run(loop);
	struct pair *left = first->other == NULL ? first : second;

	/* Whichever came first freed the other, whose event of the same round must not be delivered
	 * (the sanitizer sees it). */
	ok(left->calls == 1, "one callback");
	ok(loop_is_watched(&left->watch), "what is watched says so");
	loop_unwatch(loop, &left->watch);
	ok(!loop_is_watched(&left->watch), "what was taken out too");
	free(left);
}

static void caught(int number, void *context)
{
	*(int *)context = number;
	loop_stop(loop);
}

static void test_signal(void)
{
	int got = 0;

	loop_signal(loop, SIGUSR1, caught, &got);
	kill(getpid(), SIGUSR1);
	loop_run(loop);
	ok(got == SIGUSR1, "a signal is an ordinary callback");
}

int main(void)
{
	loop = loop_new();
	test_timers();
	test_taking_out();
	test_signal();
	loop_free(&loop);
	return tap_done();
}
