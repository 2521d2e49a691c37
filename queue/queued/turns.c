/* SPDX-License-Identifier: ISC */
#include "queue/queued/turns.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct sender {
	struct hashed hashed; /* by name */
	size_t lines;
	int64_t last; /* the latest turn that was given out */
	size_t len;
	char name[];
};

/* What one sender has in one queue. */
struct line {
	struct hashed hashed;   /* by sender and queue */
	struct heap_entry turn; /* in queue->lines */
	struct heap_entry most; /* in queue->crowds */
	struct turns_queue *queue;
	struct sender *sender;
	struct list items;
};

void turns_begin(struct turns *t)
{
	*t = (struct turns){ .seed = randombytes_random() };
}

void turns_free(struct turns *t)
{
	for (uint32_t i = 0; i < t->lines.size; i++)
		HASH_EACH(l, &t->lines, i, struct line, hashed)
			free(l);
	for (uint32_t i = 0; i < t->senders.size; i++)
		HASH_EACH(s, &t->senders, i, struct sender, hashed)
			free(s);
	hash_free(&t->lines);
	hash_free(&t->senders);
}

void turns_queue_free(struct turns_queue *q)
{
	heap_free(&q->lines);
	heap_free(&q->crowds);
}

/* ---- senders and their lines ---- */

static struct sender *find_sender(struct turns *t, struct view name)
{
	uint32_t hash = view_hash(t->seed, name);

	HASH_EACH(s, &t->senders, hash, struct sender, hashed)
		if (view_equal((struct view){ s->name, s->len }, name))
			return s;
	struct sender *s = memory_get(sizeof *s + name.len);

	s->len = name.len;
	if (name.len)
		memcpy(s->name, name.data, name.len);
	hash_add(&t->senders, &s->hashed, hash);
	return s;
}

/* Who has most first, and of those the one whose turn comes last. */
static void weigh(struct line *l)
{
	enum { TURN_BITS = 40, MOST = 1 << 22 };
	size_t count = l->items.count < MOST ? l->items.count : MOST;
	int64_t turn = l->turn.at_ms & (((int64_t)1 << TURN_BITS) - 1);

	heap_set(&l->queue->crowds, &l->most, -((int64_t)count << TURN_BITS | turn));
}

static void set_turn(struct turns *t, struct line *l)
{
	struct sender *s = l->sender;

	s->last = (s->last > t->now ? s->last : t->now) + 1;
	heap_set(&l->queue->lines, &l->turn, s->last);
}

static struct line *find_line(struct turns *t, struct turns_queue *q, struct sender *s)
{
	const void *key[] = { q, s };
	uint32_t hash = view_hash(t->seed, (struct view){ (const char *)key, sizeof key });

	HASH_EACH(l, &t->lines, hash, struct line, hashed)
		if (l->queue == q && l->sender == s)
			return l;
	struct line *l = memory_get(sizeof *l);

	l->queue = q;
	l->sender = s;
	s->lines++;
	hash_add(&t->lines, &l->hashed, hash);
	set_turn(t, l);
	return l;
}

static void end_line(struct turns *t, struct line *l)
{
	struct sender *s = l->sender;

	heap_remove(&l->queue->lines, &l->turn);
	heap_remove(&l->queue->crowds, &l->most);
	hash_remove(&t->lines, &l->hashed);
	free(l);
	if (--s->lines > 0)
		return;
	hash_remove(&t->senders, &s->hashed);
	free(s);
}

/* ---- items ---- */

static struct line *first_line(const struct turns_queue *q)
{
	return list_owner_or_null(heap_first(&q->lines), struct line, turn);
}

void turns_add(struct turns *t, struct turns_queue *q, struct view sender, struct link *item)
{
	struct line *l = find_line(t, q, find_sender(t, sender));

	list_add_last(&l->items, item);
	q->count++;
	weigh(l);
}

static void take_out(struct line *l, struct link *item)
{
	list_remove(item);
	l->queue->count--;
}

void turns_remove(struct turns *t, struct link *item)
{
	struct line *l = list_owner(item->list, struct line, items);

	take_out(l, item);
	if (l->items.count == 0)
		end_line(t, l);
	else
		weigh(l);
}

struct link *turns_take(struct turns *t, struct turns_queue *q)
{
	struct line *l = first_line(q);
	struct link *item = l->items.first;

	take_out(l, item);
	if (l->turn.at_ms > t->now)
		t->now = l->turn.at_ms;
	if (l->items.count == 0) {
		end_line(t, l);
	} else {
		set_turn(t, l);
		weigh(l);
	}
	return item;
}

struct link *turns_first(const struct turns_queue *q)
{
	struct line *l = first_line(q);

	return l ? l->items.first : NULL;
}

static struct line *fullest_line(const struct turns_queue *q)
{
	return list_owner_or_null(heap_first(&q->crowds), struct line, most);
}

struct link *turns_last(const struct turns_queue *q)
{
	struct line *l = fullest_line(q);

	return l ? l->items.last : NULL;
}

size_t turns_most(const struct turns_queue *q)
{
	struct line *l = fullest_line(q);

	return l ? l->items.count : 0;
}

int64_t turns_next(const struct turns_queue *q)
{
	return heap_first(&q->lines)->at_ms;
}
