/* SPDX-License-Identifier: ISC */
/* The schedule, with a clock of our own: windows, turns, pauses, delays. */
#include "queue/queued/schedule.h"

#include "t/tap.h"

enum { ITEMS = 2000 };

static const struct schedule_limits limits = { .window_start = 4,
	                                       .window_max = 10,
	                                       .pause_first_ms = 1000,
	                                       .pause_max_ms = 3000,
	                                       .retry_first_ms = 300000,
	                                       .retry_max_ms = 3600000 };
static struct schedule_item items[ITEMS];

static struct schedule *fresh(void)
{
	memset(items, 0, sizeof items);
	return schedule_new(&limits);
}

static unsigned take_all(struct schedule *s)
{
	unsigned n = 0;

	while (schedule_take(s) != NULL)
		n++;
	return n;
}

static void windows(void)
{
	struct schedule *s = fresh();
	struct schedule_destination *d = schedule_find(s, VIEW("a.test"));
	unsigned i;

	for (i = 0; i < 100; i++)
		schedule_add(s, d, &items[i], 1, false, 0);
	ok(schedule_runnable(s, 1000) == 4, "a new destination may have window_start jobs");
	ok(schedule_runnable(s, 3) == 3, "or as many as one wants to know of");
	ok(take_all(s) == 4, "and gets no more");
	for (i = 0; i < 4; i++)
		schedule_finished(s, d, SCHEDULE_SUCCESS, 0);
	ok(schedule_window(d) == 4 || schedule_window(d) == 5,
	   "a full window of successes adds about one (%u)", schedule_window(d));
	for (i = 0; i < 1000; i++)
		schedule_finished(s, d, SCHEDULE_SUCCESS, 0);
	ok(schedule_window(d) == 10, "never over window_max");
	ok(take_all(s) == 10, "which then may run");
	schedule_finished(s, d, SCHEDULE_TROUBLE, 0);
	ok(schedule_window(d) == 5 && !schedule_is_down(d, 0), "trouble halves it");
	schedule_finished(s, d, SCHEDULE_TROUBLE, 0);
	schedule_finished(s, d, SCHEDULE_TROUBLE, 0);
	ok(!schedule_is_down(d, 0), "as long as one is left");
	schedule_finished(s, d, SCHEDULE_TROUBLE, 0);
	ok(schedule_is_down(d, 0) && schedule_runnable(s, 10) == 0, "then the destination is down");
	schedule_free(&s);
}

static void down(void)
{
	struct schedule *s = fresh();
	struct schedule_destination *d = schedule_find(s, VIEW("a.test")),
				    *other = schedule_find(s, VIEW("b.test"));
	unsigned drained = 0, i;

	for (i = 0; i < 20; i++)
		schedule_add(s, d, &items[i], i, i % 2, 0);
	schedule_add(s, other, &items[50], 1, false, 0);
	ok(take_all(s) == 5, "what may run is taken");
	for (i = 0; i < 4; i++)
		schedule_finished(s, d, SCHEDULE_TROUBLE, 0);
	while (schedule_drain(d) != NULL)
		drained++;
	ok(drained == 16, "what waits for it is handed back (%u)", drained);
	ok(schedule_is_down(d, 999) && !schedule_is_down(d, 1000), "it is down for pause_first");
	schedule_add(s, d, &items[100], 1, false, 1000);
	schedule_add(s, d, &items[101], 1, false, 1000);
	while (schedule_take(s) != &items[100])
		;
	ok(schedule_take(s) == NULL, "then one job tries it");
	schedule_finished(s, d, SCHEDULE_TROUBLE, 1000);
	ok(schedule_is_down(d, 2999) && !schedule_is_down(d, 3000),
	   "its trouble doubles the pause");
	(void)!schedule_drain(d);
	for (i = 1; i <= 5; i++) {
		schedule_add(s, d, &items[102 + i], 1, false, 100000 * i);
		(void)!schedule_take(s);
		schedule_finished(s, d, SCHEDULE_TROUBLE, 100000 * i);
	}
	ok(schedule_is_down(d, 500000 + 2999) && !schedule_is_down(d, 500000 + 3000),
	   "up to pause_max");
	schedule_forgive(s);
	schedule_add(s, d, &items[200], 1, false, 500001);
	ok(!schedule_is_down(d, 500001) && schedule_take(s) == &items[200],
	   "an operator may forget all that");
	schedule_finished(s, d, SCHEDULE_SUCCESS, 0);
	ok(!schedule_is_down(d, 0), "and a success does");
	schedule_free(&s);
}

/* A job in which the destination had no word, because our own agent died, is neither its success
 * nor its trouble. */
static void untried(void)
{
	struct schedule *s = fresh();
	struct schedule_destination *d = schedule_find(s, VIEW("a.test"));
	unsigned i;

	for (i = 0; i < 300; i++)
		schedule_add(s, d, &items[i], i, false, 0);
	ok(take_all(s) == 4, "as many jobs as a new destination may have");
	for (i = 0; i < 100; i++) {
		schedule_finished(s, d, SCHEDULE_UNTRIED, 0);
		(void)!schedule_take(s);
	}
	ok(schedule_window(d) == 4 && !schedule_is_down(d, 0),
	   "a hundred that were not tried: the window is what it was (%u)", schedule_window(d));
	ok(schedule_runnable(s, 1000) == 0 && schedule_take(s) == NULL,
	   "and each has made room for one");
	for (i = 0; i < 4; i++)
		schedule_finished(s, d, SCHEDULE_TROUBLE, 0);
	while (schedule_drain(d) != NULL)
		;
	schedule_add(s, d, &items[400], 1, false, 1000);
	ok(schedule_take(s) == &items[400], "after the pause one job tries it");
	schedule_finished(s, d, SCHEDULE_UNTRIED, 1000);
	ok(!schedule_is_down(d, 1000), "it comes to nothing: no word of the destination");
	schedule_add(s, d, &items[401], 1, false, 1001);
	schedule_add(s, d, &items[402], 1, false, 1001);
	ok(schedule_take(s) == &items[401] && schedule_take(s) == NULL, "so one job tries it");
	schedule_finished(s, d, SCHEDULE_TROUBLE, 1001);
	ok(schedule_is_down(d, 1001 + 1999) && !schedule_is_down(d, 1001 + 2000),
	   "whose trouble doubles the pause that was not forgotten");
	schedule_free(&s);
}

static void turns(void)
{
	struct schedule *s = fresh();
	struct schedule_destination *big = schedule_find(s, VIEW("big.test")),
				    *small = schedule_find(s, VIEW("small.test"));
	struct schedule_item *first, *second;
	unsigned old = 0, flooder = 0, i;

	for (i = 0; i < 1000; i++)
		schedule_add(s, big, &items[i], 1, false, 0);
	schedule_add(s, small, &items[1500], 2, false, 0);
	first = schedule_take(s);
	second = schedule_take(s);
	ok(first->destination != second->destination,
	   "destinations take turns, however much one has");
	schedule_finished(s, first->destination, SCHEDULE_SUCCESS, 0);
	schedule_finished(s, second->destination, SCHEDULE_SUCCESS, 0);
	/* One sender with a thousand, another with four. */
	for (i = 0; i < 4; i++)
		schedule_add(s, big, &items[1600 + i], 9, false, 0);
	for (i = 0; i < 8; i++) {
		struct schedule_item *item = schedule_take(s);

		flooder += item < &items[1000];
		schedule_finished(s, item->destination, SCHEDULE_SUCCESS, 0);
	}
	ok(flooder == 4, "senders take turns within one (%u of 8)", flooder);
	for (i = 0; i < 100; i++)
		schedule_add(s, big, &items[1700 + i], 1, true, 0);
	for (i = 0; i < 40; i++) {
		struct schedule_item *item = schedule_take(s);

		old += item->old;
		schedule_finished(s, item->destination, SCHEDULE_SUCCESS, 0);
	}
	ok(old == 10, "one turn in four is for old mail (%u of 40)", old);
	schedule_free(&s);
}

static void taking_back(void)
{
	struct schedule *s = fresh();
	struct schedule_destination *d = schedule_find(s, VIEW("a.test"));

	for (unsigned i = 0; i < 3; i++)
		schedule_add(s, d, &items[i], 1, false, 0);
	schedule_cancel(s, &items[1]);
	schedule_cancel(s, &items[1]);
	ok(schedule_take(s) == &items[0] && schedule_take(s) == &items[2] &&
	           schedule_take(s) == NULL,
	   "a cancelled item is not served, once or twice cancelled");
	schedule_free(&s);
}

static void many_destinations(void)
{
	struct schedule *s = fresh();
	char name[32];
	struct schedule_destination *kept = schedule_find(s, VIEW("kept.test")),
				    *idle = schedule_find(s, VIEW("idle.test"));

	schedule_hold(kept);
	for (unsigned i = 0; i < 1000; i++)
		schedule_finished(s, idle, SCHEDULE_SUCCESS, 0);
	ok(schedule_window(idle) == 10, "what was learned of an idle destination is known");
	for (unsigned i = 0; i < 100000; i++) {
		int n = snprintf(name, sizeof name, "d%u.test", i);

		(void)schedule_find(s, (struct view){ name, (size_t)n });
	}
	ok(schedule_window(schedule_find(s, VIEW("idle.test"))) == 4,
	   "for a while: idle destinations are forgotten");
	ok(schedule_find(s, VIEW("kept.test")) == kept, "but not one that is held");
	ok(!schedule_is_idle(s), "which shows");
	schedule_release(kept);
	ok(schedule_is_idle(s), "until it is released");
	schedule_free(&s);
}

static void delays(void)
{
	static const struct {
		unsigned attempts;
		int64_t least, most;
	} cases[] = { { 1, 225000, 375001 },
		      { 2, 337500, 562502 },
		      { 3, 506250, 843756 },
		      { 20, 2700000, 4500000 },
		      { 65535, 2700000, 4500000 } };

	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int64_t least = schedule_retry_ms(&limits, cases[i].attempts, 0),
			most = schedule_retry_ms(&limits, cases[i].attempts, UINT32_MAX);

		ok(least >= cases[i].least && most <= cases[i].most && most > least,
		   "after %u attempts: %lld to %lld ms", cases[i].attempts, (long long)least,
		   (long long)most);
	}
	ok(schedule_retry_ms(&(struct schedule_limits){ .retry_first_ms = 100,
	                                                .retry_max_ms = 100 },
	                     5, 1u << 31) == 100,
	   "first and max alike: the delay is that, in the middle of its jitter");
}

static void own_faults(void)
{
	static const int64_t expected_ms[] = { 0, 1000, 2000, 4000, 8000, 16000, 0, 0 };
	struct schedule_limits soon = limits;

	for (unsigned i = 0; i < sizeof expected_ms / sizeof expected_ms[0]; i++)
		ok(schedule_own_retry_ms(&limits, i) == expected_ms[i],
		   "after %u own faults in a row: %lld ms%s", i, (long long)expected_ms[i],
		   i > OWN_RETRY_MAX ? ", none any more" : "");
	ok(schedule_own_retry_ms(&limits, UINT32_MAX) == 0, "nor after very many");
	soon.retry_first_ms = 1500;
	ok(schedule_own_retry_ms(&soon, 1) == 1000 && schedule_own_retry_ms(&soon, 2) == 1500,
	   "never later than retry_first");
}

int main(void)
{
	windows();
	down();
	untried();
	turns();
	taking_back();
	many_destinations();
	delays();
	own_faults();
	return tap_done();
}
