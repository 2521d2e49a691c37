/* SPDX-License-Identifier: ISC */
#include "lib/queue/refusals.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

void refusals_begin(struct refusals *rs)
{
	*rs = (struct refusals){ .seed = randombytes_random() };
}

int64_t refusal_keep_ms(enum resolve_refusal_kind kind)
{
	return kind == RESOLVE_MAILBOX_FULL ? REFUSAL_FULL_MAX_MS : REFUSAL_UNKNOWN_MS;
}

/* Strangers choose addresses: the seed keeps them from choosing chains. */
static uint32_t hash_of(const struct refusals *rs, enum resolve_refusal_kind kind, struct view key)
{
	return view_hash(rs->seed + (uint32_t)kind, key);
}

static void drop(struct refusals *rs, struct refusal *r)
{
	hash_remove(&rs->known, &r->by_key);
	list_remove(&r->by_age);
	free(r);
}

void refusals_free(struct refusals *rs)
{
	for (unsigned kind = 0; kind < RESOLVE_REFUSAL_KINDS; kind++)
		LIST_EACH(r, &rs->by_age[kind], struct refusal, by_age)
			drop(rs, r);
	hash_free(&rs->known);
}

/* Those whose time is over as well. */
static struct refusal *find(struct refusals *rs, enum resolve_refusal_kind kind, struct view key)
{
	HASH_EACH(r, &rs->known, hash_of(rs, kind, key), struct refusal, by_key)
		if (r->kind == kind && view_equal(view_of(r->key), key))
			return r;
	return NULL;
}

struct refusal *refusals_find(struct refusals *rs, enum resolve_refusal_kind kind, struct view key,
                              int64_t now_ms)
{
	struct refusal *r = find(rs, kind, key);

	return r && r->until_ms > now_ms ? r : NULL;
}

static void make_room(struct refusals *rs, enum resolve_refusal_kind kind, int64_t now_ms)
{
	struct list *all = &rs->by_age[kind];
	struct refusal *r;

	while ((r = list_owner_or_null(all->first, struct refusal, by_age)) != NULL &&
	       (r->until_ms <= now_ms || all->count >= REFUSALS_MAX))
		drop(rs, r);
}

struct refusal *refusals_add(struct refusals *rs, enum resolve_refusal_kind kind, struct view key,
                             uint64_t size_bytes, int64_t now_ms, int64_t keep_ms)
{
	struct refusal *r = find(rs, kind, key);

	if (r && r->until_ms > now_ms && r->size_bytes < size_bytes)
		size_bytes = r->size_bytes;
	if (r)
		drop(rs, r);
	make_room(rs, kind, now_ms);
	r = memory_get(sizeof *r + key.len + 1);
	r->kind = kind;
	r->size_bytes = size_bytes;
	r->until_ms = now_ms + (keep_ms < refusal_keep_ms(kind) ? keep_ms : refusal_keep_ms(kind));
	memcpy(r->key, key.data, key.len);
	hash_add(&rs->known, &r->by_key, hash_of(rs, kind, key));
	list_add_last(&rs->by_age[kind], &r->by_age);
	return r;
}

bool refusal_holds_for(const struct refusal *r, uint64_t size_bytes)
{
	return r->size_bytes <= REFUSAL_ROOM_BYTES || size_bytes >= r->size_bytes;
}
