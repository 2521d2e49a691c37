/* SPDX-License-Identifier: ISC */
#include "queue/queued/record.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"

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
	for (uint32_t i = 0; i < (*m)->recipient_count; i++) {
		target_drop(&(*m)->recipients[i].target);
		free((*m)->recipients[i].outcome);
	}
	free((*m)->recipients);
	free((*m)->strings);
	free(*m);
	*m = NULL;
}

static struct recipient *new_recipient(struct message *m)
{
	if (m->recipient_count == m->recipient_cap) {
		m->recipient_cap = m->recipient_cap ? m->recipient_cap * 2 : 1;
		m->recipients =
			memory_grow(m->recipients, m->recipient_cap * sizeof *m->recipients);
	}
	struct recipient *r = &m->recipients[m->recipient_count++];

	*r = (struct recipient){ .state = RECIPIENT_NEW };
	m->counts[RECIPIENT_NEW]++;
	return r;
}

struct recipient *message_add_recipient(struct message *m, const struct envelope_recipient *from)
{
	struct recipient *r = new_recipient(m);

	for (unsigned i = 0; i < RECIPIENT_FIELDS; i++)
		keep(m, &envelope_recipient_fields[i], from, (char *)r + recipient_at[i]);
	return r;
}

struct recipient *message_add_alike(struct message *m, uint32_t index, struct view address)
{
	struct recipient *r = new_recipient(m);

	for (unsigned i = 0; i < RECIPIENT_FIELDS; i++) {
		const struct envelope_field *f = &envelope_recipient_fields[i];

		memcpy((char *)r + recipient_at[i], (char *)&m->recipients[index] + recipient_at[i],
		       f->kind == ENVELOPE_TEXT ? sizeof(uint32_t) : f->size);
	}
	r->address = message_add_string(m, address);
	r->final = r->expanded = true;
	return r;
}

void recipient_set(struct message *m, struct recipient *r, enum recipient_state state)
{
	m->counts[r->state]--;
	m->counts[state]++;
	r->state = (uint8_t)state;
	if (state == RECIPIENT_GONE || state == RECIPIENT_DEFERRED || state == RECIPIENT_AGAIN)
		target_drop(&r->target);
}

uint32_t message_left(const struct message *m)
{
	return m->recipient_count - m->counts[RECIPIENT_GONE];
}

/* A delay notice may be on its way while everybody has been delivered to. */
bool message_stays(const struct message *m)
{
	return message_left(m) || m->in_line || m->deliveries.count > 1;
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
