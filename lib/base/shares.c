/* SPDX-License-Identifier: ISC */
#include "lib/base/shares.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/base/hash.h"
#include "lib/base/log.h"

/* The owners in an owner stand in the order of their turns, and in a pairing heap, the heaviest on
 * top: it needs no memory beside the nodes, and one member more or less moves a node cheaply. */
struct share_owner {
	struct hashed known; /* by its key and the owner around it */
	struct share_owner *around;
	struct link turn;  /* among those of the owner around it */
	struct list turns; /* the owners in it; in the innermost its members */
	struct share_owner *heaviest;
	struct share_owner *below, *next,
		*previous; /* the heap; previous of a first one: its parent */
	size_t weight;     /* members in it, at any depth */
	uint64_t came;
	struct share_key key;
};

struct shares {
	struct share_owner all; /* first; around nothing */
	unsigned levels;
	uint64_t came;
	struct hash owners;
	/* Strangers choose the keys. */
	unsigned char secret[crypto_shorthash_KEYBYTES];
};

struct shares *shares_new(unsigned levels)
{
	struct shares *s = memory_get(sizeof *s);

	if (levels == 0 || levels > SHARES_LEVELS)
		log_panic("shares: %u levels", levels);
	s->levels = levels;
	randombytes_buf(s->secret, sizeof s->secret);
	return s;
}

void shares_free(struct shares **shares)
{
	struct shares *s = *shares;

	if (s == NULL)
		return;
	for (uint32_t i = 0; i < s->owners.size; i++)
		HASH_EACH(o, &s->owners, i, struct share_owner, known)
			free(o);
	hash_free(&s->owners);
	free(s);
	*shares = NULL;
}

/* ---- the heaviest of an owner's owners ---- */

static bool is_heavier(const struct share_owner *a, const struct share_owner *b)
{
	return a->weight > b->weight || (a->weight == b->weight && a->came < b->came);
}

/* Two tops, which have no neighbours; either may be NULL. */
static struct share_owner *meld(struct share_owner *a, struct share_owner *b)
{
	if (a == NULL || b == NULL)
		return a != NULL ? a : b;
	if (is_heavier(b, a)) {
		struct share_owner *lighter = a;

		a = b;
		b = lighter;
	}
	b->previous = a;
	b->next = a->below;
	if (b->next != NULL)
		b->next->previous = b;
	a->below = b;
	return a;
}

static struct share_owner *take_first(struct share_owner **row)
{
	struct share_owner *o = *row;

	if (o != NULL) {
		*row = o->next;
		o->next = o->previous = NULL;
	}
	return o;
}

/* One top of a row: in pairs from the left, then all of these from the right, which is what makes
 * the heap's cost a logarithm in the long run. */
static struct share_owner *meld_row(struct share_owner *row)
{
	struct share_owner *pairs = NULL, *top = NULL, *o;

	while ((o = take_first(&row)) != NULL) {
		o = meld(o, take_first(&row));
		o->next = pairs;
		pairs = o;
	}
	while ((o = take_first(&pairs)) != NULL)
		top = meld(top, o);
	return top;
}

/* Out of the heap, with all that is below it. */
static void heap_cut(struct share_owner *o)
{
	if (o->around->heaviest == o)
		o->around->heaviest = NULL;
	else if (o->previous->below == o)
		o->previous->below = o->next;
	else
		o->previous->next = o->next;
	if (o->next != NULL)
		o->next->previous = o->previous;
	o->next = o->previous = NULL;
}

/* Out of the heap, alone. */
static void heap_leave(struct share_owner *o)
{
	struct share_owner *below = o->below;

	heap_cut(o);
	o->below = NULL;
	o->around->heaviest = meld(o->around->heaviest, meld_row(below));
}

static void heap_enter(struct share_owner *o)
{
	o->around->heaviest = meld(o->around->heaviest, o);
}

static void grow_heavier(struct share_owner *o)
{
	o->weight++;
	if (o->around != NULL && o->around->heaviest != o) {
		heap_cut(o);
		heap_enter(o);
	}
}

static void grow_lighter(struct share_owner *o)
{
	o->weight--;
	if (o->around != NULL) {
		heap_leave(o);
		heap_enter(o);
	}
}

/* ---- owners ---- */

static uint32_t hash_of(const struct shares *s, const struct share_owner *around,
                        const struct share_key *key)
{
	unsigned char bytes[sizeof around + sizeof key->bytes], hash[crypto_shorthash_BYTES];
	uint32_t n;

	memcpy(bytes, &around, sizeof around);
	memcpy(bytes + sizeof around, key->bytes, key->len);
	crypto_shorthash(hash, bytes, sizeof around + key->len, s->secret);
	memcpy(&n, hash, sizeof n);
	return n;
}

static struct share_owner *find(const struct shares *s, const struct share_owner *around,
                                const struct share_key *key, uint32_t hash)
{
	HASH_EACH(o, &s->owners, hash, struct share_owner, known)
		if (o->around == around && o->key.len == key->len &&
		    memcmp(o->key.bytes, key->bytes, key->len) == 0)
			return o;
	return NULL;
}

static struct share_owner *find_or_make(struct shares *s, struct share_owner *around,
                                        const struct share_key *key, uint64_t came)
{
	uint32_t hash = hash_of(s, around, key);
	struct share_owner *o = find(s, around, key, hash);

	if (o != NULL || (o = calloc(1, sizeof *o)) == NULL)
		return o;
	o->key = *key;
	o->around = around;
	o->came = came;
	hash_add(&s->owners, &o->known, hash);
	list_add_last(&around->turns, &o->turn);
	heap_enter(o);
	return o;
}

static struct shares *shares_of(struct share_owner *o)
{
	while (o->around != NULL)
		o = o->around;
	return list_owner(o, struct shares, all);
}

/* Those without members, from the innermost outwards. */
static void drop_empty(struct share_owner *o)
{
	struct shares *s = shares_of(o);

	for (struct share_owner *around; o->around != NULL && o->weight == 0; o = around) {
		around = o->around;
		heap_leave(o);
		list_remove(&o->turn);
		hash_remove(&s->owners, &o->known);
		free(o);
	}
}

/* ---- members ---- */

/* The innermost owner of a path, with the weight of one member more; NULL: no memory. */
static struct share_owner *enter(struct shares *s, const struct share_path *path, uint64_t came)
{
	struct share_owner *o = &s->all;

	if (path->levels != s->levels)
		log_panic("shares: a path of %u levels in a pool of %u", path->levels, s->levels);
	for (unsigned level = 0; level < s->levels; level++) {
		struct share_owner *in = find_or_make(s, o, &path->keys[level], came);

		if (in == NULL) {
			drop_empty(o);
			return NULL;
		}
		o = in;
	}
	for (struct share_owner *heavier = o; heavier != NULL; heavier = heavier->around)
		grow_heavier(heavier);
	return o;
}

bool shares_add(struct shares *s, const struct share_path *path, struct share *share)
{
	if (share->owner != NULL)
		return true;
	share->came = ++s->came;
	share->owner = enter(s, path, share->came);
	if (share->owner == NULL)
		return false;
	list_add_last(&share->owner->turns, &share->link);
	return true;
}

bool shares_put_back(struct shares *s, const struct share_path *path, struct share *share,
                     uint64_t came)
{
	share->came = came;
	share->owner = enter(s, path, came);
	if (share->owner == NULL)
		return false;
	list_add_first(&share->owner->turns, &share->link);
	return true;
}

void shares_remove(struct share *share)
{
	struct share_owner *owner = share->owner;

	if (owner == NULL)
		return;
	list_remove(&share->link);
	*share = (struct share){ 0 };
	for (struct share_owner *o = owner; o != NULL; o = o->around)
		grow_lighter(o);
	drop_empty(owner);
}

void shares_passed(struct share *share)
{
	for (struct share_owner *o = share->owner; o != NULL && o->around != NULL; o = o->around) {
		list_remove(&o->turn);
		list_add_last(&o->around->turns, &o->turn);
	}
}

void shares_served(struct share *share)
{
	shares_passed(share);
	shares_remove(share);
}

struct share *shares_next(const struct shares *s)
{
	const struct share_owner *o = &s->all;

	for (unsigned level = 0; level < s->levels && o->weight; level++)
		o = list_owner(o->turns.first, struct share_owner, turn);
	return list_owner_or_null(o->turns.first, struct share, link);
}

static struct share *oldest_of_heaviest(const struct share_owner *o)
{
	while (o->heaviest != NULL)
		o = o->heaviest;
	return list_owner_or_null(o->turns.first, struct share, link);
}

struct share *shares_oldest_of_heaviest(const struct shares *s)
{
	return oldest_of_heaviest(&s->all);
}

static const struct share_owner *owner_at(const struct shares *s, const struct share_path *path,
                                          unsigned levels)
{
	const struct share_owner *o = &s->all;

	for (unsigned level = 0; level < levels && o != NULL; level++)
		o = find(s, o, &path->keys[level], hash_of(s, o, &path->keys[level]));
	return o;
}

struct share *shares_giving_way(const struct shares *s, const struct share_path *to)
{
	const struct share_owner *o = &s->all;

	for (unsigned level = 1; level <= s->levels && o != NULL && o->weight; level++) {
		const struct share_owner *same = owner_at(s, to, level);

		/* It is not the same: it has more. */
		if (o->heaviest->weight > (same != NULL ? same->weight : 0) + 1)
			return oldest_of_heaviest(o->heaviest);
		o = same;
	}
	return NULL;
}

size_t shares_count(const struct shares *s)
{
	return s->all.weight;
}

size_t shares_weight(const struct shares *s, const struct share_path *path, unsigned levels)
{
	const struct share_owner *o = owner_at(s, path, levels);

	return o != NULL ? o->weight : 0;
}

size_t shares_owners(const struct shares *s)
{
	return s->owners.count;
}
