/* SPDX-License-Identifier: ISC */
/* The schedule, with a clock of our own: windows, turns, pauses, delays. */
#include "queue/queued/schedule.h"

#include "t/tap.h"

enum { ITEMS = SCHEDULE_WAITING_MANY + 2000, MANY = 2000 /* from here on */ };

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

static int64_t now_ms;

static struct schedule_item *take(struct schedule *s)
{
	return schedule_take(s, now_ms);
}

static void add(struct schedule *s, struct schedule_destination *d, struct schedule_item *item,
                unsigned sender, bool old, int64_t at_ms)
{
	char name[16];
	int len = snprintf(name, sizeof name, "s%u", sender);

	schedule_add(s, d, item, (struct view){ name, (size_t)len }, old, at_ms);
}

static unsigned take_all(struct schedule *s)
{
	unsigned n = 0;

	while (take(s) != NULL)
		n++;
	return n;
}

static void windows(void)
{
	struct schedule *s = fresh();
	struct schedule_destination *d = schedule_find(s, VIEW("a.test"));
	unsigned i;

	for (i = 0; i < 100; i++)
		add(s, d, &items[i], 1, false, 0);
	ok(schedule_runnable(s, 1000) == 4, "a new destination may have window_start jobs");
	ok(schedule_runnable(s, 3) == 3, "or as many as one wants to know of");
	ok(take_all(s) == 4, "and gets no more");
	for (i = 0; i < 4; i++)
		schedule_finished(s, d, SCHEDULE_SUCCESS, 0);
	ok(schedule_window(d) == 8, "each success adds one, at first (%u)", schedule_window(d));
	for (i = 0; i < 1000; i++)
		schedule_finished(s, d, SCHEDULE_SUCCESS, 0);
	ok(schedule_window(d) == 10, "never over window_max");
	ok(take_all(s) == 10, "which then may run");
	schedule_finished(s, d, SCHEDULE_TROUBLE, 0);
	ok(schedule_window(d) == 5 && !schedule_is_down(d, 0), "trouble halves it");
	for (i = 0; i < 5; i++)
		schedule_finished(s, d, SCHEDULE_SUCCESS, 0);
	ok(schedule_window(d) == 5 || schedule_window(d) == 6,
	   "from then on a full window of successes adds about one (%u)", schedule_window(d));
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
		add(s, d, &items[i], i, i % 2, 0);
	add(s, other, &items[50], 1, false, 0);
	ok(take_all(s) == 5, "what may run is taken");
	for (i = 0; i < 4; i++)
		schedule_finished(s, d, SCHEDULE_TROUBLE, 0);
	while (schedule_drain(s, d) != NULL)
		drained++;
	ok(drained == 16, "what waits for it is handed back (%u)", drained);
	ok(schedule_is_down(d, 999) && !schedule_is_down(d, 1000), "it is down for pause_first");
	add(s, d, &items[100], 1, false, 1000);
	add(s, d, &items[101], 1, false, 1000);
	while (take(s) != &items[100])
		;
	ok(take(s) == NULL, "then one job tries it");
	schedule_finished(s, d, SCHEDULE_TROUBLE, 1000);
	ok(schedule_is_down(d, 2999) && !schedule_is_down(d, 3000),
	   "its trouble doubles the pause");
	(void)!schedule_drain(s, d);
	for (i = 1; i <= 5; i++) {
		add(s, d, &items[102 + i], 1, false, 100000 * i);
		(void)!take(s);
		schedule_finished(s, d, SCHEDULE_TROUBLE, 100000 * i);
	}
	ok(schedule_is_down(d, 500000 + 2999) && !schedule_is_down(d, 500000 + 3000),
	   "up to pause_max");
	schedule_forgive(s);
	add(s, d, &items[200], 1, false, 500001);
	ok(!schedule_is_down(d, 500001) && take(s) == &items[200],
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
		add(s, d, &items[i], i, false, 0);
	ok(take_all(s) == 4, "as many jobs as a new destination may have");
	for (i = 0; i < 100; i++) {
		schedule_finished(s, d, SCHEDULE_UNTRIED, 0);
		(void)!take(s);
	}
	ok(schedule_window(d) == 4 && !schedule_is_down(d, 0),
	   "a hundred that were not tried: the window is what it was (%u)", schedule_window(d));
	ok(schedule_runnable(s, 1000) == 0 && take(s) == NULL, "and each has made room for one");
	for (i = 0; i < 4; i++)
		schedule_finished(s, d, SCHEDULE_TROUBLE, 0);
	while (schedule_drain(s, d) != NULL)
		;
	add(s, d, &items[400], 1, false, 1000);
	ok(take(s) == &items[400], "after the pause one job tries it");
	schedule_finished(s, d, SCHEDULE_UNTRIED, 1000);
	ok(!schedule_is_down(d, 1000), "it comes to nothing: no word of the destination");
	add(s, d, &items[401], 1, false, 1001);
	add(s, d, &items[402], 1, false, 1001);
	ok(take(s) == &items[401] && take(s) == NULL, "so one job tries it");
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
		add(s, big, &items[i], 1, false, 0);
	add(s, small, &items[1500], 2, false, 0);
	first = take(s);
	second = take(s);
	ok(first->destination != second->destination,
	   "destinations take turns, however much one has");
	schedule_finished(s, first->destination, SCHEDULE_SUCCESS, 0);
	schedule_finished(s, second->destination, SCHEDULE_SUCCESS, 0);
	/* One sender with a thousand, another with four. */
	for (i = 0; i < 4; i++)
		add(s, big, &items[1600 + i], 9, false, 0);
	for (i = 0; i < 8; i++) {
		struct schedule_item *item = take(s);

		flooder += item < &items[1000];
		schedule_finished(s, item->destination, SCHEDULE_SUCCESS, 0);
	}
	ok(flooder == 4, "senders take turns within one (%u of 8)", flooder);
	for (i = 0; i < 100; i++)
		add(s, big, &items[1700 + i], 1, true, 0);
	for (i = 0; i < 40; i++) {
		struct schedule_item *item = take(s);

		old += item->old;
		schedule_finished(s, item->destination, SCHEDULE_SUCCESS, 0);
	}
	ok(old == 10, "one turn in four is for old mail (%u of 40)", old);
	schedule_free(&s);
}

/* ---- shares ---- */

enum { AGENTS = 16, HALF = AGENTS / 2, QUARTER = AGENTS / 4 };

static struct schedule *shared(int agents, int start, int max)
{
	struct schedule_limits l = limits;

	memset(items, 0, sizeof items);
	now_ms = 0;
	l.agents = agents;
	l.window_start = start;
	l.window_max = max;
	return schedule_new(&l);
}

static struct schedule_destination *numbered(struct schedule *s, unsigned n)
{
	char name[32];
	int len = snprintf(name, sizeof name, "d%u.test", n);

	return schedule_find(s, (struct view){ name, (size_t)len });
}

/* So many items for each of `count` destinations, from number `first` on; items from there * 10. */
static void add_to(struct schedule *s, unsigned first, unsigned count, unsigned each)
{
	for (unsigned i = first; i < first + count; i++)
		for (unsigned n = 0; n < each; n++)
			add(s, numbered(s, i), &items[i * 10 + n], i, false, now_ms);
}

/* They answer once, and nothing of them runs. */
static void prove(struct schedule *s, unsigned first, unsigned count)
{
	for (unsigned i = first; i < first + count; i++)
		schedule_finished(s, numbered(s, i), SCHEDULE_SUCCESS, now_ms);
}

/* All that may begin, begins, beside what runs: `running` in all, of an agents' number. */
static unsigned fill(struct schedule *s, unsigned running, unsigned agents)
{
	unsigned begun = 0;

	while (running + begun < agents && take(s) != NULL)
		begun++;
	return begun;
}

static void unknown_ones(void)
{
	struct schedule *s = shared(AGENTS, 2, 10);
	struct schedule_item *item;
	unsigned running;

	add_to(s, 0, 12, 5);
	ok(schedule_runnable(s, 1000) <= HALF, "no more agents are asked for than may be used");
	running = fill(s, 0, AGENTS);
	ok(running == HALF, "12 destinations without a success hold half of the agents (%u)",
	   running);
	ok(schedule_runnable(s, 1000) == 0, "and ask for no more");
	add_to(s, 20, 1, 1);
	ok(take(s) == NULL, "one that nothing is known of waits with them");
	prove(s, 30, 20);
	add_to(s, 30, 20, 2);
	ok(fill(s, running, AGENTS) == HALF, "those that have answered have all the others");
	schedule_finished(s, numbered(s, 0), SCHEDULE_SUCCESS, 0);
	item = take(s);
	ok(item && item->destination != numbered(s, 0),
	   "with its first success one makes room for another");
	schedule_free(&s);

	s = shared(AGENTS, 2, 10);
	add_to(s, 0, 1, 9);
	ok(fill(s, 0, AGENTS) == 2, "one starts with window_start");
	schedule_finished(s, numbered(s, 0), SCHEDULE_SUCCESS, 0);
	ok(schedule_standing(numbered(s, 0)) == SCHEDULE_PROVEN && fill(s, 1, AGENTS) == 2,
	   "and has its window from its first success on");
	for (unsigned i = 0; i < 9; i++)
		schedule_finished(s, numbered(s, 0), SCHEDULE_TROUBLE, 0);
	ok(schedule_standing(numbered(s, 0)) == SCHEDULE_UNKNOWN,
	   "one that was down has to prove itself anew");
	schedule_free(&s);
}

/* Their second jobs leave room for others' first ones. */
static void second_jobs(void)
{
	struct schedule *s = shared(AGENTS, 2, 10);
	unsigned first = 0;

	add_to(s, 0, 2, 5);
	ok(fill(s, 0, AGENTS) == QUARTER, "two destinations have two jobs each");
	add_to(s, 2, 10, 5);
	while (take(s) != NULL)
		first++;
	for (unsigned i = 2; i < 2 + first; i++)
		schedule_finished(s, numbered(s, i), SCHEDULE_TROUBLE, 0);
	ok(first == HALF - QUARTER, "beyond a quarter each has one (%u)", first);
	schedule_free(&s);
}

/* Big ones that were proven, with all their windows running, and say nothing any more. */
static void silent_ones(void)
{
	struct schedule *s = shared(AGENTS, 2, 10);
	struct schedule_item *item;
	struct schedule_held held;
	unsigned running;

	for (unsigned i = 0; i < 10; i++)
		prove(s, 0, 3);
	add_to(s, 0, 3, 10);
	running = fill(s, 0, AGENTS);
	ok(running == 3 + HALF, "second and further jobs hold half at most, whoever's (%u)",
	   running);
	now_ms = SCHEDULE_SILENT_MS;
	ok(take(s) == NULL && schedule_standing(numbered(s, 0)) == SCHEDULE_PROVEN,
	   "they are waited for");
	ok(!schedule_is_short(s, &held) && schedule_look_ms(s) == SCHEDULE_SILENT_MS + 1,
	   "and looked at again");
	now_ms++;
	ok(take(s) == NULL && schedule_standing(numbered(s, 0)) == SCHEDULE_SILENT,
	   "then they count as silent");
	ok(schedule_window(numbered(s, 0)) == 10, "what they could take is remembered");
	add_to(s, 10, 20, 1);
	ok(fill(s, running, AGENTS) == 1, "unknown ones have what is left of three quarters");
	ok(schedule_is_short(s, &held), "that others wait is told");
	ok(held.unknown == 1 && held.further == running && held.silent == 3,
	   "with what is held (%u, %u)", held.unknown, held.further);
	running++;
	prove(s, 40, 20);
	add_to(s, 40, 20, 2);
	ok(fill(s, running, AGENTS) == AGENTS - running,
	   "the last quarter is for first jobs of those that answer");
	for (unsigned i = 0; i < 4; i++)
		schedule_finished(s, numbered(s, 0), SCHEDULE_UNTRIED, now_ms);
	while ((item = take(s)) != NULL && item->destination != numbered(s, 0))
		;
	ok(item == NULL, "a silent one begins no more than window_start");
	for (unsigned i = 0; i < 9; i++)
		schedule_finished(s, numbered(s, 1), SCHEDULE_UNTRIED, now_ms);
	schedule_finished(s, numbered(s, 0), SCHEDULE_SUCCESS, now_ms);
	ok(schedule_standing(numbered(s, 0)) == SCHEDULE_PROVEN, "until it answers");
	while ((item = take(s)) != NULL && item->destination != numbered(s, 0))
		;
	ok(item != NULL, "and then goes on");
	schedule_free(&s);
}

/* Small ones that were proven: the first jobs of many of them. */
static void many_silent(void)
{
	struct schedule *s = shared(AGENTS, 2, 10);

	prove(s, 0, 12);
	add_to(s, 0, 12, 1);
	ok(fill(s, 0, AGENTS) == 12, "12 that have answered have a job each");
	now_ms = SCHEDULE_SILENT_MS + 1;
	add_to(s, 20, 10, 1);
	ok(take(s) == NULL,
	   "those that fall silent leave unknown ones what is left of three quarters");
	prove(s, 40, 10);
	add_to(s, 40, 10, 1);
	ok(fill(s, 12, AGENTS) == AGENTS - 12, "and the others all the rest");
	schedule_free(&s);
}

/* What waits for who says nothing, unknown or proven, keeps no others from being admitted. */
static void crowds(bool proven)
{
	struct schedule *s = shared(AGENTS, 2, 10);
	struct schedule_destination *d = numbered(s, 0);
	unsigned drained = 0;

	if (proven)
		prove(s, 0, 1);
	for (unsigned i = 0; i < SCHEDULE_SILENT_WAITING + 12; i++)
		add(s, d, &items[i], i, i % 2, 0);
	(void)!take(s);
	(void)!take(s);
	ok(schedule_look_ms(s) == 0 && schedule_crowded(s, SCHEDULE_SILENT_MS + 1) == NULL,
	   "%s: a crowd may wait while few do", proven ? "proven" : "unknown");
	schedule_finished(s, d, proven ? SCHEDULE_SUCCESS : SCHEDULE_UNTRIED, 0);
	schedule_finished(s, d, SCHEDULE_UNTRIED, 0);
	add(s, d, &items[200], 1, false, 0);
	add(s, d, &items[201], 1, false, 0);
	(void)!take(s);
	(void)!take(s);
	for (unsigned i = 0; i < SCHEDULE_WAITING_MANY - SCHEDULE_SILENT_WAITING; i++)
		add(s, numbered(s, 1), &items[MANY + i], i, false, 0);
	ok(schedule_look_ms(s) == SCHEDULE_SILENT_MS + 1, "where many do it is looked at again");
	ok(schedule_crowded(s, SCHEDULE_SILENT_MS) == NULL, "it may wait for some time");
	ok(schedule_crowded(s, SCHEDULE_SILENT_MS + 1) == d, "not longer, when nothing is heard");
	while (schedule_drain(s, d) != NULL)
		drained++;
	ok(drained == 10 && schedule_crowded(s, SCHEDULE_SILENT_MS + 1) == NULL &&
	           schedule_look_ms(s) == 0,
	   "but for SCHEDULE_SILENT_WAITING it is handed back (%u)", drained);
	add(s, d, &items[202], 1, false, 0);
	add(s, numbered(s, 1), &items[203], 1, false, 0);
	ok(schedule_crowded(s, SCHEDULE_SILENT_MS + 2) == d && schedule_drain(s, d) != NULL &&
	           schedule_drain(s, d) == NULL,
	   "for one that comes another one goes");
	add(s, d, &items[204], 1, false, 0);
	schedule_finished(s, d, SCHEDULE_SUCCESS, SCHEDULE_SILENT_MS + 2);
	ok(schedule_crowded(s, SCHEDULE_SILENT_MS + 3) == NULL, "until something is heard");
	schedule_finished(s, d, SCHEDULE_UNTRIED, SCHEDULE_SILENT_MS + 3);
	for (unsigned i = 300; i < 400; i++)
		add(s, d, &items[i], i, false, SCHEDULE_SILENT_MS + 3);
	ok(schedule_look_ms(s) == 0 && schedule_crowded(s, 10 * SCHEDULE_SILENT_MS) == NULL,
	   "where nothing runs nobody is silent");
	schedule_free(&s);
}

/* So many of one sender wait, old or fresh, and one of another sender's. */
static void small_ones_stay(bool bulk_old, bool small_old)
{
	enum { BULK = SCHEDULE_WAITING_MANY + 500, SMALL, LATE };
	struct schedule *s = shared(AGENTS, 2, 10);
	struct schedule_destination *d = numbered(s, 0);
	unsigned drained = 0, others = 0, before = 0;
	struct schedule_item *item;

	for (unsigned i = 0; i < BULK; i++)
		add(s, d, &items[i], 1, bulk_old, 0);
	(void)!take(s);
	add(s, d, &items[SMALL], 2, small_old, SCHEDULE_SILENT_MS / 2);
	now_ms = SCHEDULE_SILENT_MS + 1;
	ok(schedule_crowded(s, now_ms) == d, "a silent one has too many waiting");
	while ((item = schedule_drain(s, d)) != NULL && drained++ < BULK)
		others += item == &items[SMALL] || item <= &items[SCHEDULE_WAITING_MANY - 1];
	ok(drained == 500 && others == 0, "the last of who has most go (%u, %u others)", drained,
	   others);
	add(s, d, &items[LATE], 3, true, now_ms);
	ok(schedule_drain(s, d) == &items[SCHEDULE_WAITING_MANY - 1],
	   "for the one of a third sender, too");
	schedule_finished(s, d, SCHEDULE_SUCCESS, now_ms);
	do {
		item = take(s);
		schedule_finished(s, d, SCHEDULE_SUCCESS, now_ms);
	} while (++before < BULK && item != &items[SMALL]);
	ok(before <= SCHEDULE_OLD_TURN, "and the small one's comes soon (%u)", before);
	schedule_free(&s);
}

static void few_agents(void)
{
	static const struct {
		int agents;
		unsigned unknown, all;
	} cases[] = { { 1, 1, 1 }, { 2, 1, 2 }, { 3, 1, 3 }, { 4, 2, 4 }, { 5, 2, 5 } };

	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct schedule *s = shared(cases[i].agents, 2, 10);
		unsigned all = (unsigned)cases[i].agents, unknown, proven;

		add_to(s, 0, 10, 3);
		unknown = fill(s, 0, all);
		prove(s, 20, 10);
		add_to(s, 20, 10, 3);
		proven = fill(s, unknown, all);
		ok(unknown == cases[i].unknown && unknown + proven == cases[i].all,
		   "of %u agents unknown ones hold %u, with the others %u", all, unknown,
		   unknown + proven);
		schedule_free(&s);
	}
	/* The only one there is falls silent, and its job ends without a word. */
	struct schedule *s = shared(1, 2, 10);

	prove(s, 0, 1);
	add_to(s, 0, 1, 2);
	(void)!take(s);
	now_ms = SCHEDULE_SILENT_MS + 1;
	ok(take(s) == NULL, "one agent: one job");
	schedule_finished(s, numbered(s, 0), SCHEDULE_UNTRIED, now_ms);
	ok(take(s) != NULL, "then the next one");
	schedule_free(&s);
}

static void no_shares(void)
{
	struct schedule *s = shared(0, 10, 10);

	add_to(s, 0, 3, 10);
	ok(fill(s, 0, AGENTS * 2) == 30, "without shares the windows alone count");
	for (unsigned i = 0; i < SCHEDULE_WAITING_MANY + 12; i++)
		add(s, numbered(s, 0), &items[100 + i], i, false, 0);
	ok(schedule_look_ms(s) == 0 && schedule_crowded(s, 10 * SCHEDULE_SILENT_MS) == NULL,
	   "and nobody is turned away");
	schedule_free(&s);
}

/* A sender with mail to 1,000 destinations, and one who writes to one. */
static void senders_across(void)
{
	struct schedule *s = shared(AGENTS, 2, 10);
	struct schedule_destination *last;
	unsigned before = 0, old = 0, both;

	for (unsigned i = 0; i < 1000; i++) {
		schedule_finished(s, numbered(s, i), SCHEDULE_SUCCESS, 0);
		add(s, numbered(s, i), &items[i], 1, i >= 500, 0);
	}
	last = numbered(s, 1000);
	schedule_finished(s, last, SCHEDULE_SUCCESS, 0);
	add(s, last, &items[1000], 2, false, 0);
	while (take(s) != &items[1000])
		before++;
	ok(before <= 4, "one who writes to one of 1,001 destinations waits for %u", before);
	for (both = 0; both < 100; both++)
		old += take(s)->old;
	ok(old == 25, "of 100 over all destinations 25 are old (%u)", old);
	schedule_free(&s);
}

static void taking_back(void)
{
	struct schedule *s = fresh();
	struct schedule_destination *d = schedule_find(s, VIEW("a.test"));

	for (unsigned i = 0; i < 3; i++)
		add(s, d, &items[i], 1, false, 0);
	schedule_cancel(s, &items[1]);
	schedule_cancel(s, &items[1]);
	ok(take(s) == &items[0] && take(s) == &items[2] && take(s) == NULL,
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
	unknown_ones();
	second_jobs();
	silent_ones();
	many_silent();
	crowds(false);
	crowds(true);
	small_ones_stay(true, false);
	small_ones_stay(false, false);
	small_ones_stay(false, true);
	few_agents();
	no_shares();
	senders_across();
	taking_back();
	many_destinations();
	delays();
	own_faults();
	return tap_done();
}
