/* SPDX-License-Identifier: ISC */
#include "queue/queued/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/hash.h"
#include "queue/queued/turns.h"

enum { FRESH, OLD, AGES };

/* Out of what a destination's next job comes. */
enum share {
	SHARE_FIRST,   /* of a proven one: of all */
	SHARE_UNKNOWN, /* of an unknown one */
	SHARE_SECOND,  /* of an unknown one that has a job */
	SHARE_MORE,    /* of a proven one that has a job, of a silent one */
	SHARES
};

/* What counts against a bound. */
enum { HELD_UNKNOWN, HELD_MORE, HELDS };

struct schedule_destination {
	struct hashed hashed; /* by its key */
	struct turns_queue waiting[AGES];
	struct heap_entry ready[AGES]; /* in schedule->ready[share], while something may run */
	struct link listening;         /* in schedule->listening or mute, while something runs */
	int64_t heard_ms;              /* while something runs: its last success, or the begin */
	int64_t down_until_ms, pause_ms;
	double window;
	unsigned holds, running;
	unsigned held[HELDS], room[SHARES]; /* what it adds to the schedule's */
	uint8_t standing, share;
	bool down, troubled, mute, crowded; /* mute: nothing heard for long, and something runs */
	size_t key_len;
	char key[];
};

struct schedule {
	struct schedule_limits limits;
	struct hash destinations;
	struct turns turns;
	struct heap ready[SHARES][AGES]; /* destinations, by the turn of who is first in them */
	struct list listening, mute;     /* who was heard longest ago first; who has not been */
	size_t crowded;                  /* for how many more than SCHEDULE_SILENT_WAITING wait */
	size_t waiting;                  /* items */
	unsigned held[HELDS];            /* agents */
	unsigned room[SHARES];           /* jobs that windows would let run */
	unsigned turn;                   /* of fresh and old */
};

struct schedule *schedule_new(const struct schedule_limits *limits)
{
	struct schedule *s = memory_get(sizeof *s);

	s->limits = *limits;
	turns_begin(&s->turns);
	return s;
}

static void destination_free(struct schedule_destination *d)
{
	for (int age = 0; age < AGES; age++)
		turns_queue_free(&d->waiting[age]);
	free(d);
}

void schedule_free(struct schedule **s)
{
	if (*s == NULL)
		return;
	for (uint32_t i = 0; i < (*s)->destinations.size; i++)
		HASH_EACH(d, &(*s)->destinations, i, struct schedule_destination, hashed)
			destination_free(d);
	for (int share = 0; share < SHARES; share++)
		for (int age = 0; age < AGES; age++)
			heap_free(&(*s)->ready[share][age]);
	hash_free(&(*s)->destinations);
	turns_free(&(*s)->turns);
	free(*s);
	*s = NULL;
}

/* ---- the table of destinations ---- */

static size_t waiting(const struct schedule_destination *d)
{
	return d->waiting[FRESH].count + d->waiting[OLD].count;
}

static bool is_idle(const struct schedule_destination *d)
{
	return d->holds == 0 && d->running == 0 && waiting(d) == 0;
}

/* What was learned of idle destinations is worth some memory, but not all of it. */
static void sweep(struct schedule *s)
{
	for (uint32_t i = 0; i < s->destinations.size; i++)
		HASH_EACH(d, &s->destinations, i, struct schedule_destination, hashed)
			if (is_idle(d)) {
				hash_remove(&s->destinations, &d->hashed);
				destination_free(d);
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

/* ---- what a destination holds, and may have ---- */

unsigned schedule_window(const struct schedule_destination *d)
{
	return d->window < 1 ? 1 : (unsigned)d->window;
}

enum schedule_standing schedule_standing(const struct schedule_destination *d)
{
	return (enum schedule_standing)d->standing;
}

static unsigned least(size_t a, size_t b)
{
	return (unsigned)(a < b ? a : b);
}

/* How many more may be begun, whoever has agents. */
static unsigned room_of(const struct schedule *s, const struct schedule_destination *d)
{
	unsigned window = schedule_window(d);

	if (d->standing != SCHEDULE_PROVEN)
		window = least(window, (size_t)s->limits.window_start);
	return d->down || d->running >= window ? 0 : least(window - d->running, waiting(d));
}

static enum share share_of(const struct schedule *s, const struct schedule_destination *d)
{
	if (s->limits.agents == 0)
		return SHARE_FIRST;
	if (d->standing == SCHEDULE_UNKNOWN)
		return d->running ? SHARE_SECOND : SHARE_UNKNOWN;
	return d->running || d->standing == SCHEDULE_SILENT ? SHARE_MORE : SHARE_FIRST;
}

/* What the jobs behind the next one come out of. */
static enum share share_behind(const struct schedule *s, enum share share)
{
	if (s->limits.agents && share == SHARE_FIRST)
		return SHARE_MORE;
	return share == SHARE_UNKNOWN ? SHARE_SECOND : share;
}

static void count_held(struct schedule *s, struct schedule_destination *d)
{
	unsigned held[HELDS] = { 0 };

	if (d->standing == SCHEDULE_UNKNOWN)
		held[HELD_UNKNOWN] = d->running;
	else
		held[HELD_MORE] =
			d->running - (d->running && d->standing == SCHEDULE_PROVEN ? 1 : 0);
	for (int i = 0; i < HELDS; i++)
		s->held[i] += held[i] - d->held[i];
	memcpy(d->held, held, sizeof held);
}

static void count_room(struct schedule *s, struct schedule_destination *d, unsigned all)
{
	enum share next = share_of(s, d);
	unsigned room[SHARES] = { 0 };

	room[next] = all > 0;
	room[share_behind(s, next)] += all - room[next];
	for (int i = 0; i < SHARES; i++)
		s->room[i] += room[i] - d->room[i];
	memcpy(d->room, room, sizeof room);
}

static void set_ready(struct schedule *s, struct schedule_destination *d, unsigned room)
{
	enum share share = share_of(s, d);

	for (int age = 0; age < AGES; age++) {
		if (share != d->share || room == 0 || d->waiting[age].count == 0)
			heap_remove(&s->ready[d->share][age], &d->ready[age]);
		if (room && d->waiting[age].count)
			heap_set(&s->ready[share][age], &d->ready[age],
			         turns_next(&d->waiting[age]));
	}
	d->share = (uint8_t)share;
}

static void listen_to(struct schedule *s, struct schedule_destination *d)
{
	if (d->running == 0) {
		d->mute = false;
		list_remove(&d->listening);
	} else if (!d->mute) {
		list_add_last(&s->listening, &d->listening);
	}
}

static void count_crowded(struct schedule *s, struct schedule_destination *d)
{
	bool crowded = waiting(d) > SCHEDULE_SILENT_WAITING;

	s->crowded += (size_t)crowded - (size_t)d->crowded;
	d->crowded = crowded;
}

/* After any change of a destination. */
static void refresh(struct schedule *s, struct schedule_destination *d)
{
	unsigned room = room_of(s, d);

	listen_to(s, d);
	count_crowded(s, d);
	count_held(s, d);
	count_room(s, d, room);
	set_ready(s, d, room);
}

static void refresh_all(struct schedule *s)
{
	for (uint32_t i = 0; i < s->destinations.size; i++)
		HASH_EACH(d, &s->destinations, i, struct schedule_destination, hashed)
			refresh(s, d);
}

void schedule_set_limits(struct schedule *s, const struct schedule_limits *limits)
{
	s->limits = *limits;
	refresh_all(s);
}

static void notice_silence(struct schedule *s, int64_t now_ms)
{
	LIST_EACH(d, &s->listening, struct schedule_destination, listening) {
		if (now_ms - d->heard_ms <= SCHEDULE_SILENT_MS)
			return;
		d->mute = true;
		list_remove(&d->listening);
		list_add_last(&s->mute, &d->listening);
		if (d->standing == SCHEDULE_PROVEN)
			d->standing = SCHEDULE_SILENT;
		refresh(s, d);
	}
}

/* ---- shares ---- */

/* A part of the agents, never none of them. */
static unsigned part(const struct schedule *s, unsigned of)
{
	unsigned agents = (unsigned)s->limits.agents;

	return agents > of ? agents / of : 1;
}

/* How many more may be begun of what may hang: of all but first jobs of proven ones. */
static unsigned left_together(const struct schedule *s)
{
	unsigned agents = (unsigned)s->limits.agents,
		 held = s->held[HELD_UNKNOWN] + s->held[HELD_MORE];
	unsigned bound = agents > 1 ? agents - part(s, 4) : 1;

	return held < bound ? bound - held : 0;
}

/* How many more may be begun out of a share, whatever waits. */
static unsigned left_of(const struct schedule *s, enum share share)
{
	static const struct {
		unsigned part, held;
	} bounds[SHARES] = { [SHARE_UNKNOWN] = { 2, HELD_UNKNOWN },
		             [SHARE_SECOND] = { 4, HELD_UNKNOWN },
		             [SHARE_MORE] = { 2, HELD_MORE } };

	if (s->limits.agents == 0 || share == SHARE_FIRST)
		return UINT32_MAX;
	unsigned bound = part(s, bounds[share].part), held = s->held[bounds[share].held];

	return held < bound ? least(bound - held, left_together(s)) : 0;
}

unsigned schedule_runnable(const struct schedule *s, unsigned max)
{
	size_t second = least(s->room[SHARE_SECOND], left_of(s, SHARE_SECOND)),
	       unknown = least(s->room[SHARE_UNKNOWN] + second, left_of(s, SHARE_UNKNOWN)),
	       more = least(s->room[SHARE_MORE], left_of(s, SHARE_MORE));

	return least(s->room[SHARE_FIRST] + least(unknown + more, left_together(s)), max);
}

/* More wait than may begin. */
static bool is_used_up(const struct schedule *s)
{
	return (s->room[SHARE_UNKNOWN] && left_of(s, SHARE_UNKNOWN) == 0) ||
	       (s->room[SHARE_MORE] && left_of(s, SHARE_MORE) == 0);
}

bool schedule_is_short(const struct schedule *s, struct schedule_held *held)
{
	*held = (struct schedule_held){ s->held[HELD_UNKNOWN], s->held[HELD_MORE], s->mute.count };
	return held->silent && is_used_up(s);
}

/* ---- items ---- */

void schedule_add(struct schedule *s, struct schedule_destination *d, struct schedule_item *item,
                  struct view sender, bool old, int64_t now_ms)
{
	/* The pause is over: one job will try it (pause_ms stays, so that its trouble ends the
	 * trial). */
	if (d->down && now_ms >= d->down_until_ms)
		d->down = false;
	item->destination = d;
	item->old = old;
	turns_add(&s->turns, &d->waiting[old], sender, &item->link);
	s->waiting++;
	refresh(s, d);
}

void schedule_cancel(struct schedule *s, struct schedule_item *item)
{
	if (item->link.list == NULL)
		return;
	turns_remove(&s->turns, &item->link);
	s->waiting--;
	refresh(s, item->destination);
}

/* Of the destinations that may begin something of this age the one whose turn it is. */
static struct schedule_destination *pick(const struct schedule *s, int age)
{
	const struct heap_entry *best = NULL;

	for (enum share share = 0; share < SHARES; share++) {
		const struct heap_entry *first = heap_first(&s->ready[share][age]);

		if (first && left_of(s, share) && (best == NULL || first->at_ms < best->at_ms))
			best = first;
	}
	return list_owner_or_null(best, struct schedule_destination, ready[age]);
}

/* Of SCHEDULE_OLD_TURN jobs one is old, when both may begin. */
static int pick_age(struct schedule *s, bool fresh, bool old)
{
	if (!fresh || !old)
		return fresh ? FRESH : OLD;
	return ++s->turn % SCHEDULE_OLD_TURN == 0 ? OLD : FRESH;
}

struct schedule_item *schedule_take(struct schedule *s, int64_t now_ms)
{
	notice_silence(s, now_ms);
	struct schedule_destination *of[AGES] = { pick(s, FRESH), pick(s, OLD) };
	int age = pick_age(s, of[FRESH], of[OLD]);
	struct schedule_destination *d = of[age];

	if (d == NULL)
		return NULL;
	struct link *link = turns_take(&s->turns, &d->waiting[age]);

	s->waiting--;
	if (d->running++ == 0)
		d->heard_ms = now_ms;
	refresh(s, d);
	return list_owner(link, struct schedule_item, link);
}

/* ---- windows ---- */

static void go_down(struct schedule *s, struct schedule_destination *d, int64_t now_ms)
{
	d->pause_ms = d->pause_ms ? d->pause_ms * 2 : s->limits.pause_first_ms;
	if (d->pause_ms > s->limits.pause_max_ms)
		d->pause_ms = s->limits.pause_max_ms;
	d->down = true;
	d->down_until_ms = now_ms + d->pause_ms;
	d->window = 1;
	d->standing = SCHEDULE_UNKNOWN;
	d->troubled = false;
}

static void succeed(struct schedule *s, struct schedule_destination *d, int64_t now_ms)
{
	d->down = false;
	d->pause_ms = 0;
	d->window += d->troubled && d->window > 1 ? 1 / d->window : 1;
	if (d->window > s->limits.window_max)
		d->window = s->limits.window_max;
	d->standing = SCHEDULE_PROVEN;
	d->heard_ms = now_ms;
	d->mute = false;
	list_remove(&d->listening); /* to its end */
}

void schedule_finished(struct schedule *s, struct schedule_destination *d, enum schedule_end end,
                       int64_t now_ms)
{
	if (d->running)
		d->running--;
	if (end == SCHEDULE_SUCCESS) {
		succeed(s, d, now_ms);
	} else if (end == SCHEDULE_TROUBLE && !d->down) {
		/* The jobs that ran beside the one that brought it down do not count again. */
		d->troubled = true;
		d->window /= 2;
		if (d->window < 1 || d->pause_ms)
			go_down(s, d, now_ms);
	}
	refresh(s, d);
}

bool schedule_is_down(const struct schedule_destination *d, int64_t now_ms)
{
	return d->down && now_ms < d->down_until_ms;
}

/* So many wait that the silent ones' give way. */
static bool has_many(const struct schedule *s)
{
	return s->limits.agents && s->waiting > SCHEDULE_WAITING_MANY;
}

struct schedule_item *schedule_drain(struct schedule *s, struct schedule_destination *d)
{
	bool old = turns_most(&d->waiting[OLD]) >= turns_most(&d->waiting[FRESH]);
	struct link *last = turns_last(&d->waiting[old ? OLD : FRESH]);

	if (last == NULL || !(d->down || (d->mute && d->crowded && has_many(s))))
		return NULL;
	turns_remove(&s->turns, last);
	s->waiting--;
	refresh(s, d);
	return list_owner(last, struct schedule_item, link);
}

struct schedule_destination *schedule_crowded(struct schedule *s, int64_t now_ms)
{
	notice_silence(s, now_ms);
	if (s->crowded == 0 || !has_many(s))
		return NULL;
	LIST_EACH(d, &s->mute, struct schedule_destination, listening)
		if (d->crowded)
			return d;
	return NULL;
}

int64_t schedule_look_ms(const struct schedule *s)
{
	const struct schedule_destination *first =
		list_owner_or_null(s->listening.first, struct schedule_destination, listening);

	if (first == NULL || !((s->crowded && has_many(s)) || is_used_up(s)))
		return 0;
	return first->heard_ms + SCHEDULE_SILENT_MS + 1;
}

void schedule_forgive(struct schedule *s)
{
	for (uint32_t i = 0; i < s->destinations.size; i++)
		HASH_EACH(d, &s->destinations, i, struct schedule_destination, hashed) {
			d->down = d->troubled = false;
			d->pause_ms = 0;
			if (d->window < s->limits.window_start)
				d->window = s->limits.window_start;
			refresh(s, d);
		}
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
