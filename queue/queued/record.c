/* SPDX-License-Identifier: ISC */
#include "queue/queued/record.h"

#include <stdlib.h>
#include <string.h>

/* ---- the index ---- */

static size_t slot_of(const struct records *r, uint64_t id)
{
	return (size_t)((id * 0x9e3779b97f4a7c15u) >> 20) & (r->size - 1);
}

void records_init(struct records *r)
{
	*r = (struct records){ .size = 1024 };
	r->table = memory_get(r->size * sizeof *r->table);
}

static void put(struct records *r, struct message *m)
{
	size_t i = slot_of(r, m->id);

	while (r->table[i])
		i = (i + 1) & (r->size - 1);
	r->table[i] = m;
}

void records_add(struct records *r, struct message *m)
{
	if (r->count * 2 >= r->size) {
		struct message **old = r->table;
		size_t old_size = r->size;

		r->size *= 2;
		r->table = memory_get(r->size * sizeof *r->table);
		for (size_t i = 0; i < old_size; i++)
			if (old[i])
				put(r, old[i]);
		free(old);
	}
	put(r, m);
	r->count++;
}

static size_t find(const struct records *r, uint64_t id)
{
	size_t i = slot_of(r, id);

	while (r->table[i] && r->table[i]->id != id)
		i = (i + 1) & (r->size - 1);
	return i;
}

struct message *records_find(const struct records *r, uint64_t id)
{
	return r->table[find(r, id)];
}

void records_remove(struct records *r, struct message *m)
{
	size_t hole = find(r, m->id);

	records_set_next(r, m, 0);
	if (r->table[hole] == NULL)
		return;
	r->table[hole] = NULL;
	r->count--;
	/* Whoever stands behind the hole moves up when the hole is on its way. */
	for (size_t i = (hole + 1) & (r->size - 1); r->table[i]; i = (i + 1) & (r->size - 1)) {
		size_t home = slot_of(r, r->table[i]->id);

		if (((i - home) & (r->size - 1)) < ((i - hole) & (r->size - 1)))
			continue;
		r->table[hole] = r->table[i];
		r->table[i] = NULL;
		hole = i;
	}
}

struct message *records_next(const struct records *r, size_t *position)
{
	while (*position < r->size) {
		struct message *m = r->table[(*position)++];

		if (m)
			return m;
	}
	return NULL;
}

/* ---- the heap of attempts ---- */

static void heap_put(struct records *r, size_t place, struct message *m)
{
	r->heap[place] = m;
	m->place = (uint32_t)place;
}

static void heap_settle(struct records *r, size_t place, struct message *m)
{
	while (place > 1 && r->heap[place / 2]->next_ms > m->next_ms) {
		heap_put(r, place, r->heap[place / 2]);
		place /= 2;
	}
	for (;;) {
		size_t child = place * 2;

		if (child > r->heap_count)
			break;
		if (child < r->heap_count && r->heap[child + 1]->next_ms < r->heap[child]->next_ms)
			child++;
		if (r->heap[child]->next_ms >= m->next_ms)
			break;
		heap_put(r, place, r->heap[child]);
		place = child;
	}
	heap_put(r, place, m);
}

void records_set_next(struct records *r, struct message *m, int64_t next_ms)
{
	m->next_ms = next_ms;
	if (m->place && next_ms) {
		heap_settle(r, m->place, m);
	} else if (m->place) {
		size_t place = m->place;
		struct message *last = r->heap[r->heap_count--];

		m->place = 0;
		if (last != m)
			heap_settle(r, place, last);
	} else if (next_ms) {
		if (r->heap_count + 2 > r->heap_cap) {
			r->heap_cap = r->heap_cap ? r->heap_cap * 2 : 1024;
			r->heap = memory_grow(r->heap, r->heap_cap * sizeof *r->heap);
		}
		heap_settle(r, ++r->heap_count, m);
	}
}

struct message *records_earliest(const struct records *r)
{
	return r->heap_count ? r->heap[1] : NULL;
}

/* ---- messages ---- */

uint32_t message_add_string(struct message *m, struct view v)
{
	uint32_t at = m->strings_len ? m->strings_len : 1, need = at + (uint32_t)v.len + 1;

	if (v.len == 0)
		return 0;
	if (need > m->strings_cap) {
		/* Room for another string of this length: most messages have a recipient and a
		 * sender. */
		m->strings_cap =
			m->strings_cap ? need + m->strings_cap / 2 : need + (uint32_t)v.len + 8;
		m->strings = memory_grow(m->strings, m->strings_cap);
	}
	m->strings[0] = '\0';
	memcpy(m->strings + at, v.data, v.len);
	m->strings[at + v.len] = '\0';
	m->strings_len = need;
	return at;
}

const char *message_string(const struct message *m, uint32_t place)
{
	return place ? m->strings + place : "";
}

struct message *message_new(uint64_t id)
{
	struct message *m = memory_get(sizeof *m);

	m->id = id;
	return m;
}

void message_take_envelope(struct message *m, const struct spool_envelope *e,
                           const struct queue_header *h)
{
	m->sender = message_add_string(m, view_of(e->sender));
	m->envid = message_add_string(m, view_of(e->envid));
	m->origin = (uint8_t)e->origin;
	m->ret = e->ret;
	m->eight_bit = e->eight_bit;
	m->message_bytes = h->message_bytes;
	m->extra_bytes = (uint32_t)h->extra_bytes;
	m->envelope_bytes = (uint32_t)h->envelope_bytes;
	m->arrived_ms = h->arrived_us / 1000;
	m->log_end = QUEUE_HEADER_BYTES + h->message_bytes + h->extra_bytes + h->envelope_bytes;
}

void message_free(struct message **m)
{
	if (*m == NULL)
		return;
	for (uint32_t i = 0; i < (*m)->recipient_count; i++) {
		target_drop(&(*m)->recipients[i].target);
		free((*m)->recipients[i].outcome);
	}
	free((*m)->recipients);
	free((*m)->strings);
	free(*m);
	*m = NULL;
}

struct recipient *message_add_recipient(struct message *m, struct view address, uint8_t notify,
                                        uint32_t orcpt)
{
	if (m->recipient_count == m->recipient_cap) {
		m->recipient_cap = m->recipient_cap ? m->recipient_cap * 2 : 1;
		m->recipients =
			memory_grow(m->recipients, m->recipient_cap * sizeof *m->recipients);
	}
	struct recipient *r = &m->recipients[m->recipient_count++];

	*r = (struct recipient){ .address = message_add_string(m, address),
		                 .orcpt = orcpt,
		                 .notify = notify };
	m->counts[RECIPIENT_NEW]++;
	return r;
}

void recipient_set(struct message *m, struct recipient *r, enum recipient_state state)
{
	m->counts[r->state]--;
	m->counts[state]++;
	r->state = (uint8_t)state;
	if (state == RECIPIENT_GONE || state == RECIPIENT_DEFERRED)
		target_drop(&r->target);
}

uint32_t message_left(const struct message *m)
{
	return m->recipient_count - m->counts[RECIPIENT_GONE];
}

const char *message_sender(const struct message *m)
{
	return message_string(m, m->sender);
}

const char *recipient_address(const struct message *m, const struct recipient *r)
{
	return message_string(m, r->address);
}

void target_drop(struct target **t)
{
	if (*t && --(*t)->references == 0) {
		if ((*t)->destination)
			schedule_release((*t)->destination);
		free(*t);
	}
	*t = NULL;
}

/* ---- outcomes ---- */

void outcome_set(struct outcome **o, int64_t time_s, const char *status, const char *host,
                 const char *text)
{
	const struct view parts[] = { view_of(status), view_of(host), view_of(text) };
	size_t len = parts[0].len + parts[1].len + parts[2].len + 3;
	char *to;

	free(*o);
	*o = memory_get(sizeof **o + len);
	(*o)->time_s = time_s;
	to = (*o)->bytes;
	for (unsigned i = 0; i < 3; i++) {
		if (parts[i].len)
			memcpy(to, parts[i].data, parts[i].len);
		to += parts[i].len + 1;
	}
}

static const char *part(const struct outcome *o, unsigned number)
{
	const char *at = o ? o->bytes : "";

	while (o && number--)
		at += strlen(at) + 1;
	return at;
}

const char *outcome_status(const struct outcome *o)
{
	return part(o, 0);
}

const char *outcome_host(const struct outcome *o)
{
	return part(o, 1);
}

const char *outcome_text(const struct outcome *o)
{
	return part(o, 2);
}
