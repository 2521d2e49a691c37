/* SPDX-License-Identifier: ISC */
#include "lib/base/recent.h"

#include <sodium.h>
#include <stdlib.h>

enum { NEIGHBOURS = 4 };

struct entry {
	uint64_t tag;
	int64_t until_ms; /* 0: free */
};

/* What lives on. */
struct remembered {
	unsigned char key[crypto_shorthash_KEYBYTES]; /* nobody can choose a neighbour, nor read who
	                                                 it is */
	uint64_t keyed;                               /* 0: nobody has made the key yet */
	struct entry entries[];
};

struct recent {
	int64_t lifetime_ms;
	size_t sets;
	struct remembered *remembered;
	bool own;
};

size_t recent_bytes(unsigned entries)
{
	return sizeof(struct remembered) + entries * sizeof(struct entry);
}

struct recent *recent_new(unsigned entries, int64_t lifetime_ms, void *kept)
{
	struct recent *r = memory_get(sizeof *r);

	r->lifetime_ms = lifetime_ms;
	r->sets = entries / NEIGHBOURS;
	r->own = kept == NULL;
	r->remembered = r->own ? memory_get(recent_bytes(entries)) : kept;
	if (!r->remembered->keyed)
		crypto_shorthash_keygen(r->remembered->key);
	r->remembered->keyed = 1;
	return r;
}

void recent_free(struct recent **recent)
{
	if (*recent == NULL)
		return;
	if ((*recent)->own)
		free((*recent)->remembered);
	free(*recent);
	*recent = NULL;
}

static struct entry *set_of(const struct recent *r, struct view key, uint64_t *tag)
{
	crypto_shorthash((unsigned char *)tag, (const unsigned char *)key.data, key.len,
	                 r->remembered->key);
	return r->remembered->entries + *tag % r->sets * NEIGHBOURS;
}

void recent_add(struct recent *r, struct view key, int64_t now_ms)
{
	uint64_t tag;
	struct entry *set = set_of(r, key, &tag), *place = set;

	for (size_t i = 0; i < NEIGHBOURS; i++) {
		if (set[i].until_ms && set[i].tag == tag) {
			place = &set[i];
			break;
		}
		if (set[i].until_ms < place->until_ms)
			place = &set[i];
	}
	*place = (struct entry){ .tag = tag, .until_ms = now_ms + r->lifetime_ms };
}

/* A predecessor that was taken over may have left any time. */
bool recent_has(const struct recent *r, struct view key, int64_t now_ms)
{
	uint64_t tag;
	const struct entry *set = set_of(r, key, &tag);

	for (size_t i = 0; i < NEIGHBOURS; i++)
		if (set[i].tag == tag && set[i].until_ms > now_ms &&
		    set[i].until_ms <= now_ms + r->lifetime_ms)
			return true;
	return false;
}
