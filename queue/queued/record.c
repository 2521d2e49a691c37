/* SPDX-License-Identifier: ISC */
#include "queue/queued/record.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"

/* ---- the index ---- */

/* Sizes are no powers of two: a table that is to hold a million has no room for two. */
static size_t slot_of(const struct records *r, uint64_t id)
{
	return (size_t)((((id * 0x9e3779b97f4a7c15u) >> 32) * r->size) >> 32);
}

static size_t after(const struct records *r, size_t slot)
{
	return slot + 1 < r->size ? slot + 1 : 0;
}

static size_t distance(const struct records *r, size_t from, size_t to)
{
	return to >= from ? to - from : to + r->size - from;
}

void records_init(struct records *r)
{
	sayings_start();
	*r = (struct records){ .size = 1024 };
	r->table = memory_get(r->size * sizeof *r->table);
}

static void put(struct records *r, struct message *m)
{
	size_t i = slot_of(r, m->id);

	while (r->table[i])
		i = after(r, i);
	r->table[i] = m;
}

void records_add(struct records *r, struct message *m)
{
	if (r->count * 5 >= r->size * 4) {
		struct message **old = r->table;
		size_t old_size = r->size;

		r->size += r->size / 4;
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
		i = after(r, i);
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
	for (size_t i = after(r, hole); r->table[i]; i = after(r, i)) {
		size_t home = slot_of(r, r->table[i]->id);

		if (distance(r, home, i) < distance(r, hole, i))
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

/* ---- the next attempts ---- */

void records_set_next(struct records *r, struct message *m, int64_t next_ms)
{
	if (next_ms)
		heap_set(&r->attempts, &m->next, next_ms);
	else
		heap_remove(&r->attempts, &m->next);
}

struct message *records_earliest(const struct records *r)
{
	struct heap_entry *first = heap_first(&r->attempts);

	return first ? list_owner(first, struct message, next) : NULL;
}

/* ---- messages ---- */

enum { FEW = 8 /* recipients that are counted by looking */ };

static uint32_t recipients_max(unsigned room)
{
	return room ? UINT32_C(1) << (room - 1) : 0;
}

static uint32_t *counts_of(const struct message *m)
{
	uint32_t max = recipients_max(m->room);

	return max > FEW ? (uint32_t *)(void *)(m->recipients + max) : NULL;
}

static size_t strings_at(unsigned room)
{
	uint32_t max = recipients_max(room);

	return max * sizeof(struct recipient) +
	       (max > FEW ? RECIPIENT_STATES * sizeof(uint32_t) : 0);
}

static char *strings_of(const struct message *m)
{
	return (char *)m->recipients + strings_at(m->room);
}

uint32_t message_count(const struct message *m, enum recipient_state state)
{
	const uint32_t *counts = counts_of(m);
	uint32_t n = 0;

	if (counts)
		return counts[state];
	for (uint32_t i = 0; i < m->recipient_count; i++)
		n += m->recipients[i].state == state;
	return n;
}

/* Room for more of both. */
static void make_room(struct message *m, unsigned room, uint32_t strings_cap)
{
	uint32_t counts[RECIPIENT_STATES];
	size_t from = strings_at(m->room), to = strings_at(room);

	for (unsigned state = 0; state < RECIPIENT_STATES; state++)
		counts[state] = message_count(m, (enum recipient_state)state);
	m->recipients = memory_grow(m->recipients, to + strings_cap);
	if (m->strings_len)
		memmove((char *)m->recipients + to, (char *)m->recipients + from, m->strings_len);
	m->room = room;
	m->strings_cap = strings_cap;
	if (counts_of(m))
		memcpy(counts_of(m), counts, sizeof counts);
}

/* Most messages have one recipient and a sender, and take what these need. */
static uint32_t room_for(uint32_t need)
{
	enum { EXACTLY = 256 };

	return need <= EXACTLY ? need : need + need / 2;
}

uint32_t message_add_string(struct message *m, struct view v)
{
	uint32_t at = m->strings_len ? m->strings_len : 1, need = at + (uint32_t)v.len + 1;

	if (v.len == 0)
		return 0;
	if (need > m->strings_cap)
		make_room(m, m->room, room_for(need));
	strings_of(m)[0] = '\0';
	memcpy(strings_of(m) + at, v.data, v.len);
	strings_of(m)[at + v.len] = '\0';
	m->strings_len = need;
	return at;
}

const char *message_string(const struct message *m, uint32_t place)
{
	return place ? strings_of(m) + place : "";
}

struct message *message_new(uint64_t id)
{
	struct message *m = memory_get(sizeof *m);

	m->id = id;
	return m;
}

/* Where in the record each field of the table is. */
#define AT_ONWARD(owner, name) offsetof(owner, name)
#define AT_STAYS(owner, name)  0

static const size_t envelope_at[] = {
#define ENVELOPE_FIELD(name, declaration, kind, detail, way, line) AT_##way(struct message, name),
#include "lib/wire/envelope.def"
#undef ENVELOPE_FIELD
};
static const size_t recipient_at[] = {
#define RECIPIENT_FIELD(name, declaration, kind, detail, way, line) \
	AT_##way(struct recipient, name),
#include "lib/wire/envelope.def"
#undef RECIPIENT_FIELD
};

/* One field into a record of the message, or out of it. */
static void keep(struct message *m, const struct envelope_field *f, const void *from, void *to)
{
	const char *at = (const char *)from + f->offset;

	if (f->way != ENVELOPE_ONWARD)
		return;
	if (f->kind == ENVELOPE_TEXT)
		*(uint32_t *)to = message_add_string(m, view_of(at));
	else
		memcpy(to, at, f->size);
}

static void give(const struct message *m, const struct envelope_field *f, const void *from,
                 void *to)
{
	char *at = (char *)to + f->offset;

	if (f->way != ENVELOPE_ONWARD)
		memset(at, 0, f->size);
	else if (f->kind == ENVELOPE_TEXT)
		string_put(at, f->size, view_of(message_string(m, *(const uint32_t *)from)));
	else
		memcpy(at, from, f->size);
}

void message_envelope(const struct message *m, struct envelope *out)
{
	for (unsigned i = 0; i < ENVELOPE_FIELDS; i++)
		give(m, &envelope_fields[i], (const char *)m + envelope_at[i], out);
}

void message_recipient(const struct message *m, const struct recipient *r,
                       struct envelope_recipient *out)
{
	for (unsigned i = 0; i < RECIPIENT_FIELDS; i++)
		give(m, &envelope_recipient_fields[i], (const char *)r + recipient_at[i], out);
}

void message_take_envelope(struct message *m, const struct envelope *e,
                           const struct queue_header *h)
{
	for (unsigned i = 0; i < ENVELOPE_FIELDS; i++)
		keep(m, &envelope_fields[i], e, (char *)m + envelope_at[i]);
	m->origin = e->origin;
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
	message_cut_recipients(*m, 0);
	free((*m)->recipients);
	free((*m)->under_way);
	free(*m);
	*m = NULL;
}

size_t message_memory(const struct message *m)
{
	return recipients_max(m->room) * sizeof *m->recipients + m->strings_cap;
}

static struct recipient *new_recipient(struct message *m)
{
	if (m->recipient_count == recipients_max(m->room))
		make_room(m, m->room + 1, m->strings_cap);
	struct recipient *r = &m->recipients[m->recipient_count++];

	*r = (struct recipient){ .state = RECIPIENT_NEW };
	if (counts_of(m))
		counts_of(m)[RECIPIENT_NEW]++;
	return r;
}

void message_cut_recipients(struct message *m, uint32_t count)
{
	while (m->recipient_count > count) {
		struct recipient *last = &m->recipients[--m->recipient_count];

		if (counts_of(m))
			counts_of(m)[last->state]--;
		target_drop(&last->target);
		saying_drop(&last->said);
	}
}

struct recipient *message_add_recipient(struct message *m, const struct envelope_recipient *from)
{
	struct recipient kept = { 0 };

	for (unsigned i = 0; i < RECIPIENT_FIELDS; i++)
		keep(m, &envelope_recipient_fields[i], from, (char *)&kept + recipient_at[i]);
	struct recipient *r = new_recipient(m);

	*r = kept;
	return r;
}

struct recipient *message_add_alike(struct message *m, uint32_t index, struct view address)
{
	uint32_t place = message_add_string(m, address);
	struct recipient *r = new_recipient(m);

	for (unsigned i = 0; i < RECIPIENT_FIELDS; i++) {
		const struct envelope_field *f = &envelope_recipient_fields[i];

		memcpy((char *)r + recipient_at[i], (char *)&m->recipients[index] + recipient_at[i],
		       f->kind == ENVELOPE_TEXT ? sizeof(uint32_t) : f->size);
	}
	r->address = place;
	r->final = r->expanded = true;
	return r;
}

void recipient_set(struct message *m, struct recipient *r, enum recipient_state state)
{
	if (counts_of(m)) {
		counts_of(m)[r->state]--;
		counts_of(m)[state]++;
	}
	r->state = (uint8_t)state;
	if (state == RECIPIENT_GONE || state == RECIPIENT_DEFERRED || state == RECIPIENT_AGAIN)
		target_drop(&r->target);
}

uint32_t message_left(const struct message *m)
{
	return m->recipient_count - message_count(m, RECIPIENT_GONE);
}

/* A delay notice may be on its way while everybody has been delivered to. */
bool message_stays(const struct message *m)
{
	return message_left(m) || m->in_line || message_deliveries(m)->count > 1;
}

struct under_way *message_under_way(struct message *m)
{
	if (m->under_way == NULL)
		m->under_way = memory_get(sizeof *m->under_way);
	return m->under_way;
}

void message_rest(struct message *m)
{
	const struct under_way *u = m->under_way;

	if (u == NULL || m->in_line || u->deliveries.count || u->unwritten || u->put_off_s)
		return;
	free(m->under_way);
	m->under_way = NULL;
}

const struct list *message_deliveries(const struct message *m)
{
	static const struct list none;

	return m->under_way ? &m->under_way->deliveries : &none;
}

uint32_t message_put_off_s(const struct message *m)
{
	return m->under_way ? m->under_way->put_off_s : 0;
}

struct unwritten *message_unwritten(const struct message *m)
{
	return m->under_way ? m->under_way->unwritten : NULL;
}

int64_t message_age_ms(const struct message *m)
{
	return clock_ms() - m->born_ms;
}

const char *message_sender(const struct message *m)
{
	return message_string(m, m->sender);
}

const char *recipient_address(const struct message *m, const struct recipient *r)
{
	return message_string(m, r->address);
}

const char *message_name(const struct message *m)
{
	static char name[QUEUE_ID_CHARS + 1];

	queue_id_text(m->id, name);
	return name;
}

void recipient_say(struct recipient *r, int64_t time_s, const char *status, const char *host,
                   const char *text)
{
	struct saying *said = saying_new(status, host, text);

	saying_drop(&r->said);
	r->said = said;
	r->said_s = time_s < 0 ? 0 : time_s > UINT32_MAX ? UINT32_MAX : (uint32_t)time_s;
}

bool recipient_wants(const struct recipient *r, uint8_t notify)
{
	return r->notify == 0 ? notify != ENVELOPE_NOTIFY_SUCCESS : (r->notify & notify) != 0;
}

/* ---- targets ---- */

struct target *target_new(const struct resolve_target *t)
{
	static struct wire_out out;
	struct target *made;

	wire_begin(&out, RESOLVE_TARGET);
	if (agent_carries(t->agent, AGENT_CARRIES_MAILBOX))
		resolve_mailbox_put(&out, &t->mailbox);
	if (agent_carries(t->agent, AGENT_CARRIES_HOPS))
		resolve_route_put(&out, &t->route);
	struct view bytes = view_skip(text_view(&out.bytes), 1); /* without the type */

	made = memory_get(sizeof *made + bytes.len);
	made->references = 1;
	made->agent = (uint8_t)t->agent;
	made->len = (uint32_t)bytes.len;
	memcpy(made->bytes, bytes.data, bytes.len);
	return made;
}

void target_mailbox(const struct target *t, struct resolve_mailbox *out)
{
	struct wire_in in = { .rest = { t->bytes, t->len } };

	resolve_mailbox_get(&in, out);
}

void target_route(const struct target *t, struct resolve_route *out)
{
	struct wire_in in = { .rest = { t->bytes, t->len } };

	resolve_route_get(&in, out);
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

void found_free(struct found *found, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		free(found[i].address);
		free(found[i].text);
		target_drop(&found[i].target);
	}
	free(found);
}
