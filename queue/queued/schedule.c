/* SPDX-License-Identifier: ISC */
#include "queue/queued/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/hash.h"

/* Fresh or old items of one destination, by sender. */
struct class
{
	struct list buckets[SCHEDULE_SENDER_BUCKETS];
	uint16_t filled; /* one bit for each bucket that is not empty */
	uint8_t turn;    /* the bucket served last */
	size_t count;
};

struct schedule_destination {
	struct hashed hashed;                         /* by its key */
	struct schedule_destination *next, *previous; /* in the ring while something may run */
	bool in_ring, down;
	uint8_t class_turn;
	unsigned holds, running;
	double window;
	int64_t down_until_ms, pause_ms;
	struct class classes[2]; /* fresh, old */
	size_t key_len;
	char key[];
};

struct schedule {
	struct schedule_limits limits;
	struct hash destinations;
	struct schedule_destination *ring; /* the next one to be served; circular */
};

struct schedule *schedule_new(const struct schedule_limits *limits)
{
	struct schedule *s = memory_get(sizeof *s);

	s->limits = *limits;
	return s;
}

void schedule_free(struct schedule **s)
{
	if (*s == NULL)
		return;
	for (uint32_t i = 0; i < (*s)->destinations.size; i++)
		HASH_EACH(d, &(*s)->destinations, i, struct schedule_destination, hashed)
			free(d);
	hash_free(&(*s)->destinations);
	free(*s);
	*s = NULL;
}

void schedule_set_limits(struct schedule *s, const struct schedule_limits *limits)
{
	s->limits = *limits;
}

/* ---- the table of destinations ---- */

static bool is_idle(const struct schedule_destination *d)
{
	return d->holds == 0 && d->running == 0 && d->classes[0].count + d->classes[1].count == 0;
}

/* What was learned of idle destinations is worth some memory, but not all of it. */
static void sweep(struct schedule *s)
{
	for (uint32_t i = 0; i < s->destinations.size; i++)
		HASH_EACH(d, &s->destinations, i, struct schedule_destination, hashed)
			if (is_idle(d)) {
				hash_remove(&s->destinations, &d->hashed);
				free(d);
			}
}

struct schedule_destination *schedule_find(struct schedule *s, struct view key)
{
	uint32_t hash = view_hash(HASH_START, key);
	size_t count = s->destinations.count;

	HASH_EACH(d, &s->destinations, hash, struct schedule_destination, hashed)
		if (view_equal(schedule_key(d), key))
			return d;
	if (count >= SCHEDULE_IDLE_MAX && (count & (count - 1)) == 0)
		sweep(s);
	struct schedule_destination *d = memory_get(sizeof *d + key.len);

	d->key_len = key.len;
	if (key.len)
		memcpy(d->key, key.data, key.len);
	d->window = s->limits.window_start;
	hash_add(&s->destinations, &d->hashed, hash);
	return d;
}

void schedule_hold(struct schedule_destination *d)
{
	d->holds++;
}

void schedule_release(struct schedule_destination *d)
{
	d->holds--;
}

struct view schedule_key(const struct schedule_destination *d)
{
	return (struct view){ d->key, d->key_len };
}

/* ---- the ring ---- */

static bool may_run(const struct schedule_destination *d)
{
	return !d->down && d->classes[0].count + d->classes[1].count &&
	       d->running < schedule_window(d);
}

static void ring_leave(struct schedule *s, struct schedule_destination *d)
{
	if (!d->in_ring)
		return;
	if (d->next == d) {
		s->ring = NULL;
	} else {
		d->next->previous = d->previous;
		d->previous->next = d->next;
		if (s->ring == d)
			s->ring = d->next;
	}
	d->next = d->previous = NULL;
	d->in_ring = false;
}

/* At the end of the round. */
static void ring_join(struct schedule *s, struct schedule_destination *d)
{
	if (d->in_ring)
		return;
	d->in_ring = true;
	if (s->ring == NULL) {
		s->ring = d->next = d->previous = d;
		return;
	}
	d->next = s->ring;
	d->previous = s->ring->previous;
	d->previous->next = d;
	s->ring->previous = d;
}

static void ring_update(struct schedule *s, struct schedule_destination *d)
{
	if (may_run(d))
		ring_join(s, d);
	else
		ring_leave(s, d);
}

/* ---- items ---- */

void schedule_add(struct schedule *s, struct schedule_destination *d, struct schedule_item *item,
                  uint64_t sender, bool old, int64_t now_ms)
{
	struct class *c = &d->classes[old];

	/* The pause is over: one job will try it (pause_ms stays, so that its trouble ends the
	 * trial). */
	if (d->down && now_ms >= d->down_until_ms)
		d->down = false;
	item->destination = d;
	item->old = old;
	item->bucket = (uint8_t)((sender ^ sender >> 8 ^ sender >> 16) % SCHEDULE_SENDER_BUCKETS);
	list_add_last(&c->buckets[item->bucket], &item->link);
	c->filled |= (uint16_t)(1u << item->bucket);
	c->count++;
	ring_update(s, d);
}

static void unlink_item(struct schedule_item *item)
{
	struct class *c = &item->destination->classes[item->old];

	list_remove(&item->link);
	if (c->buckets[item->bucket].count == 0)
		c->filled &= (uint16_t) ~(1u << item->bucket);
	c->count--;
}

void schedule_cancel(struct schedule *s, struct schedule_item *item)
{
	if (item->link.list == NULL)
		return;
	unlink_item(item);
	ring_update(s, item->destination);
}

/* The class whose turn it is: of SCHEDULE_OLD_TURN jobs one is old, when both wait. */
static struct class *pick_class(struct schedule_destination *d)
{
	struct class *fresh = &d->classes[0], *old = &d->classes[1];

	if (old->count == 0)
		return fresh;
	if (fresh->count == 0)
		return old;
	return ++d->class_turn % SCHEDULE_OLD_TURN == 0 ? old : fresh;
}

static struct schedule_item *pick_item(struct class *c)
{
	do
		c->turn = (uint8_t)((c->turn + 1) % SCHEDULE_SENDER_BUCKETS);
	while ((c->filled >> c->turn & 1) == 0);
	return list_owner(c->buckets[c->turn].first, struct schedule_item, link);
}

struct schedule_item *schedule_take(struct schedule *s)
{
	struct schedule_destination *d = s->ring;
	struct schedule_item *item;

	if (d == NULL)
		return NULL;
	item = pick_item(pick_class(d));
	unlink_item(item);
	d->running++;
	ring_update(s, d);
	if (s->ring == d)
		s->ring = d->next;
	return item;
}

/* ---- windows ---- */

unsigned schedule_window(const struct schedule_destination *d)
{
	return d->window < 1 ? 1 : (unsigned)d->window;
}

static void go_down(struct schedule *s, struct schedule_destination *d, int64_t now_ms)
{
	d->pause_ms = d->pause_ms ? d->pause_ms * 2 : s->limits.pause_first_ms;
	if (d->pause_ms > s->limits.pause_max_ms)
		d->pause_ms = s->limits.pause_max_ms;
	d->down = true;
	d->down_until_ms = now_ms + d->pause_ms;
	d->window = 1;
}

static void succeed(struct schedule *s, struct schedule_destination *d)
{
	d->down = false;
	d->pause_ms = 0;
	d->window += 1 / (d->window < 1 ? 1 : d->window);
	if (d->window > s->limits.window_max)
		d->window = s->limits.window_max;
}

void schedule_finished(struct schedule *s, struct schedule_destination *d, enum schedule_end end,
                       int64_t now_ms)
{
	if (d->running)
		d->running--;
	if (end == SCHEDULE_SUCCESS) {
		succeed(s, d);
	} else if (end == SCHEDULE_TROUBLE && !d->down) {
		/* The jobs that ran beside the one that brought it down do not count again. */
		d->window /= 2;
		if (d->window < 1 || d->pause_ms)
			go_down(s, d, now_ms);
	}
	ring_update(s, d);
}

bool schedule_is_down(const struct schedule_destination *d, int64_t now_ms)
{
	return d->down && now_ms < d->down_until_ms;
}

struct schedule_item *schedule_drain(struct schedule_destination *d)
{
	struct class *c = d->classes[0].count ? &d->classes[0] : &d->classes[1];
	struct schedule_item *item;

	if (!d->down || c->count == 0)
		return NULL;
	item = pick_item(c);
	unlink_item(item);
	return item;
}

void schedule_forgive(struct schedule *s)
{
	for (uint32_t i = 0; i < s->destinations.size; i++)
		HASH_EACH(d, &s->destinations, i, struct schedule_destination, hashed) {
			d->down = false;
			d->pause_ms = 0;
			if (d->window < s->limits.window_start)
				d->window = s->limits.window_start;
			ring_update(s, d);
		}
}

unsigned schedule_runnable(const struct schedule *s, unsigned max)
{
	const struct schedule_destination *d = s->ring;
	unsigned sum = 0;

	if (d == NULL)
		return 0;
	do {
		size_t waiting = d->classes[0].count + d->classes[1].count;
		unsigned room = schedule_window(d) - d->running;

		sum += waiting < room ? (unsigned)waiting : room;
		d = d->next;
	} while (d != s->ring && sum < max);
	return sum < max ? sum : max;
}

bool schedule_is_idle(const struct schedule *s)
{
	for (uint32_t i = 0; i < s->destinations.size; i++)
		HASH_EACH(d, &s->destinations, i, struct schedule_destination, hashed)
			if (!is_idle(d))
				return false;
	return true;
}

int64_t schedule_retry_ms(const struct schedule_limits *limits, unsigned attempts, uint32_t random)
{
	int64_t delay = limits->retry_first_ms;

	for (unsigned i = 1; i < attempts && delay < limits->retry_max_ms; i++)
		delay += delay / 2 + 1;
	if (delay > limits->retry_max_ms)
		delay = limits->retry_max_ms;
	/* A quarter up and down, so that what failed together does not come back together. */
	return delay - delay / 4 + (int64_t)((uint64_t)random * (uint64_t)(delay / 2) >> 32);
}

int64_t schedule_own_retry_ms(const struct schedule_limits *limits, unsigned faults)
{
	if (faults == 0 || faults > OWN_RETRY_MAX)
		return 0;
	int64_t delay = (int64_t)OWN_RETRY_FIRST_MS << (faults - 1);

	return delay < limits->retry_first_ms ? delay : limits->retry_first_ms;
}
