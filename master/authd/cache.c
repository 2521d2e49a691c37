/* SPDX-License-Identifier: ISC */
#include "master/authd/cache.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"

enum { TAG_BYTES = 32, NEIGHBOURS = 4 };

struct entry {
	unsigned char tag[TAG_BYTES];
	int64_t until_ms; /* 0: free */
};

/* What lives on. */
struct remembered {
	unsigned char key[crypto_generichash_KEYBYTES];
	uint64_t keyed;         /* 0: nobody has made the key yet */
	struct entry entries[]; /* sets of NEIGHBOURS */
};

struct cache {
	int64_t lifetime_ms;
	size_t sets;
	struct remembered *remembered;
	size_t own_bytes; /* 0: it lives on */
};

size_t cache_bytes(unsigned entries)
{
	return sizeof(struct remembered) + entries * sizeof(struct entry);
}

struct cache *cache_new(unsigned entries, int64_t lifetime_ms, void *kept)
{
	struct cache *c = memory_get(sizeof *c);

	c->lifetime_ms = lifetime_ms;
	c->sets = lifetime_ms ? entries / NEIGHBOURS : 0;
	c->own_bytes = kept == NULL ? cache_bytes(entries) : 0;
	c->remembered = kept == NULL ? memory_get(c->own_bytes) : kept;
	sodium_mlock(c->remembered->key, sizeof c->remembered->key);
	if (!c->remembered->keyed)
		crypto_generichash_keygen(c->remembered->key);
	c->remembered->keyed = 1;
	return c;
}

void cache_free(struct cache **cache)
{
	struct cache *c = *cache;

	if (c == NULL)
		return;
	if (c->own_bytes) {
		sodium_memzero(c->remembered, c->own_bytes);
		free(c->remembered);
	}
	free(c);
	*cache = NULL;
}

/* Lengths go in as well: no two different triples give the same bytes. */
static void add_part(crypto_generichash_state *state, struct view v)
{
	uint64_t len = v.len;

	crypto_generichash_update(state, (const unsigned char *)&len, sizeof len);
	crypto_generichash_update(state, (const unsigned char *)v.data, v.len);
}

/* The set in which the triple belongs. */
static struct entry *tag_of(const struct cache *c, struct view address, struct view stored,
                            struct view password, unsigned char tag[TAG_BYTES])
{
	crypto_generichash_state state;
	uint64_t number;

	crypto_generichash_init(&state, c->remembered->key, sizeof c->remembered->key, TAG_BYTES);
	add_part(&state, address);
	add_part(&state, stored);
	add_part(&state, password);
	crypto_generichash_final(&state, tag, TAG_BYTES);
	sodium_memzero(&state, sizeof state);
	memcpy(&number, tag, sizeof number);
	return c->remembered->entries + number % c->sets * NEIGHBOURS;
}

bool cache_has(struct cache *c, struct view address, struct view stored, struct view password,
               int64_t now_ms)
{
	unsigned char tag[TAG_BYTES];
	bool found = false;

	if (c->sets == 0)
		return false;
	const struct entry *set = tag_of(c, address, stored, password, tag);

	for (size_t i = 0; i < NEIGHBOURS; i++)
		if (set[i].until_ms > now_ms && set[i].until_ms <= now_ms + c->lifetime_ms &&
		    sodium_memcmp(set[i].tag, tag, TAG_BYTES) == 0)
			found = true;
	return found;
}

void cache_add(struct cache *c, struct view address, struct view stored, struct view password,
               int64_t now_ms)
{
	unsigned char tag[TAG_BYTES];

	if (c->sets == 0)
		return;
	struct entry *set = tag_of(c, address, stored, password, tag), *place = set;

	for (size_t i = 0; i < NEIGHBOURS; i++) {
		if (sodium_memcmp(set[i].tag, tag, TAG_BYTES) == 0) {
			place = &set[i];
			break;
		}
		if (set[i].until_ms < place->until_ms)
			place = &set[i];
	}
	memcpy(place->tag, tag, TAG_BYTES);
	place->until_ms = now_ms + c->lifetime_ms;
}
