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

struct cache {
	unsigned char *key; /* sodium memory */
	int64_t lifetime_ms;
	size_t sets;
	struct entry *entries; /* sets of NEIGHBOURS */
};

struct cache *cache_new(unsigned entries, int64_t lifetime_ms)
{
	struct cache *c = memory_get(sizeof *c);

	c->lifetime_ms = lifetime_ms;
	c->sets = lifetime_ms ? entries / NEIGHBOURS : 0;
	c->entries = c->sets ? memory_get(c->sets * NEIGHBOURS * sizeof *c->entries) : NULL;
	c->key = sodium_malloc(crypto_generichash_KEYBYTES);
	if (c->key == NULL)
		log_fatal("no memory for a key: %m");
	crypto_generichash_keygen(c->key);
	return c;
}

void cache_free(struct cache **cache)
{
	struct cache *c = *cache;

	if (c == NULL)
		return;
	sodium_free(c->key);
	if (c->entries)
		sodium_memzero(c->entries, c->sets * NEIGHBOURS * sizeof *c->entries);
	free(c->entries);
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

	crypto_generichash_init(&state, c->key, crypto_generichash_KEYBYTES, TAG_BYTES);
	add_part(&state, address);
	add_part(&state, stored);
	add_part(&state, password);
	crypto_generichash_final(&state, tag, TAG_BYTES);
	sodium_memzero(&state, sizeof state);
	memcpy(&number, tag, sizeof number);
	return c->entries + number % c->sets * NEIGHBOURS;
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
		if (set[i].until_ms > now_ms && sodium_memcmp(set[i].tag, tag, TAG_BYTES) == 0)
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
