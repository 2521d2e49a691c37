/* SPDX-License-Identifier: ISC */
/* Senders' turns over many queues, beside a plain model of what is fair. */
#include "queue/queued/turns.h"

#include "t/tap.h"

enum { ITEMS = 12000, QUEUES = 10001, SENDERS = 5, BUSY_QUEUES = 7, STEPS = 200000 };

struct item {
	struct link link;
	unsigned sender, queue, number;
};

static struct turns turns;
static struct turns_queue queues[QUEUES];
static struct item items[ITEMS];

static void begin(void)
{
	memset(items, 0, sizeof items);
	turns_begin(&turns);
}

static void end(void)
{
	for (unsigned i = 0; i < QUEUES; i++) {
		turns_queue_free(&queues[i]);
		queues[i] = (struct turns_queue){ 0 };
	}
	turns_free(&turns);
}

static void add(unsigned n, unsigned queue, unsigned sender)
{
	char name[16];
	int len = snprintf(name, sizeof name, "s%u", sender);

	items[n].sender = sender;
	items[n].queue = queue;
	turns_add(&turns, &queues[queue], (struct view){ name, (size_t)len }, &items[n].link);
}

static struct item *item_of(struct link *link)
{
	return list_owner(link, struct item, link);
}

static struct item *take(unsigned queue)
{
	return item_of(turns_take(&turns, &queues[queue]));
}

/* As a schedule does where everything can be served. */
static struct item *take_earliest(unsigned count)
{
	struct turns_queue *best = NULL;

	for (unsigned i = 0; i < count; i++)
		if (queues[i].count && (best == NULL || turns_next(&queues[i]) < turns_next(best)))
			best = &queues[i];
	return best ? item_of(turns_take(&turns, best)) : NULL;
}

static void one_queue(void)
{
	unsigned pairs = 0, next[3] = { 0, 0, 6 };
	bool ordered = true;

	begin();
	ok(turns_first(&queues[0]) == NULL, "nobody waits");
	for (unsigned i = 0; i < 6; i++)
		add(i, 0, 1);
	for (unsigned i = 6; i < 9; i++)
		add(i, 0, 2);
	ok(turns_first(&queues[0]) == &items[0].link && queues[0].count == 9, "the first is first");
	for (unsigned i = 0, last = 0; i < 9; i++) {
		const struct item *item = take(0);

		pairs += i % 2 && i < 6 && item->sender != last;
		last = item->sender;
		ordered = ordered && item == &items[next[last]++];
	}
	ok(pairs == 3, "of two senders each has one of each two turns, while both wait");
	ok(ordered, "and their own in their order");
	ok(queues[0].count == 0 && turns.senders.count == 0 && turns.lines.count == 0,
	   "nothing is kept of who has nothing waiting");
	end();
}

static void many_queues(void)
{
	unsigned before = 0, busy = 0;

	begin();
	for (unsigned i = 0; i < 10000; i++)
		add(i, i, 1);
	add(10000, 10000, 2);
	while (take_earliest(QUEUES)->sender == 1)
		before++;
	ok(before <= 1, "one of 10,001 is the next but one beside 10,000 of another sender (%u)",
	   before);
	for (unsigned i = 0; i < 100; i++)
		add(10001 + i, 10000, 2);
	for (unsigned i = 0; i < 200; i++)
		busy += take_earliest(QUEUES)->sender == 1;
	ok(busy >= 99 && busy <= 101, "and who has many in one queue has every other turn (%u)",
	   busy);
	end();
}

/* What could not be served for long does not count against who comes later. */
static void blocked_queue(void)
{
	unsigned before = 0;

	begin();
	for (unsigned i = 0; i < 5000; i++)
		add(i, 0, 1);
	for (unsigned i = 5000; i < 10000; i++)
		add(i, 1, 1);
	for (unsigned i = 0; i < 5000; i++)
		(void)take(1);
	add(10000, 0, 2);
	while (take(0)->sender == 1)
		before++;
	ok(before <= 2,
	   "in a queue that was not served for 5,000 turns a newcomer comes soon (%u before)",
	   before);
	end();
}

static void removal(void)
{
	begin();
	for (unsigned i = 0; i < 4; i++)
		add(i, 0, i % 2);
	turns_remove(&turns, &items[0].link);
	turns_remove(&turns, &items[2].link);
	ok(queues[0].count == 2 && turns.senders.count == 1, "who has taken all back is forgotten");
	ok(take(0) == &items[1] && take(0) == &items[3], "the other is served");
	end();
}

/* Who gives way: of who has most the last, then of who would have waited longest. */
static void crowds(void)
{
	static const unsigned order[] = { 4, 3, 7, 2, 6, 1 };
	unsigned right = 0;

	begin();
	ok(turns_last(&queues[0]) == NULL && turns_most(&queues[0]) == 0, "nobody gives way");
	for (unsigned i = 0; i < 5; i++)
		add(i, 0, 1);
	for (unsigned i = 5; i < 8; i++)
		add(i, 0, 2);
	add(8, 0, 3);
	ok(take(0) == &items[0] && turns_most(&queues[0]) == 4, "one of five is served");
	for (unsigned i = 0; i < 6; i++) {
		struct link *last = turns_last(&queues[0]);

		right += item_of(last) == &items[order[i]];
		turns_remove(&turns, last);
	}
	ok(right == 6 && turns_most(&queues[0]) == 1 && queues[0].count == 2,
	   "the last of who has most, then of whose turn comes last (%u)", right);
	end();
}

/* Random life: nothing is lost or served twice, each sender's order in a queue is
 * kept. */
static void life(void)
{
	static unsigned next[BUSY_QUEUES][SENDERS], number[BUSY_QUEUES][SENDERS];
	unsigned out = 0, in = 0, wrong = 0, removed = 0, seed = 1;

	begin();
	for (unsigned step = 0; step < STEPS; step++) {
		seed = seed * 1103515245u + 12345u;
		unsigned n = seed / 65536 % 1000, queue = n % BUSY_QUEUES;
		struct item *i = &items[n];

		if (i->link.list == NULL) {
			unsigned sender = seed / 1024 % SENDERS;

			add(n, queue, sender);
			i->number = ++number[queue][sender];
			in++;
		} else if (seed % 8 == 0) {
			turns_remove(&turns, &i->link);
			removed++;
		} else if (queues[queue].count) {
			i = take(queue);
			wrong += i->queue != queue || i->number <= next[queue][i->sender];
			next[queue][i->sender] = i->number;
			out++;
		}
	}
	for (unsigned queue = 0; queue < BUSY_QUEUES; queue++)
		while (queues[queue].count) {
			(void)take(queue);
			out++;
		}
	ok(wrong == 0, "%u turns: each queue its own, each sender in their order", out);
	ok(in == out + removed && turns.lines.count == 0, "all that came (%u) has gone", in);
	end();
}

int main(void)
{
	one_queue();
	many_queues();
	blocked_queue();
	removal();
	crowds();
	life();
	return tap_done();
}
