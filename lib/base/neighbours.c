/* SPDX-License-Identifier: ISC */
#include "lib/base/neighbours.h"

#include <sodium.h>
#include <stdlib.h>

struct neighbours_memory {
	unsigned char key[crypto_shorthash_KEYBYTES];
	uint64_t keyed; /* 0: nobody has made the key yet */
	uint64_t entries[];
};

size_t neighbours_bytes(unsigned entries, size_t entry_bytes)
{
	return sizeof(struct neighbours_memory) + entries * entry_bytes;
}

void neighbours_init(struct neighbours *n, unsigned entries, size_t entry_bytes, void *kept)
{
	*n = (struct neighbours){ .entry_bytes = entry_bytes,
		                  .sets = entries / NEIGHBOURS,
		                  .memory = kept,
		                  .own = kept == NULL };
	if (n->own)
		n->memory = memory_get(neighbours_bytes(entries, entry_bytes));
	if (!n->memory->keyed)
		crypto_shorthash_keygen(n->memory->key);
	n->memory->keyed = 1;
}

void neighbours_free(struct neighbours *n)
{
	if (n->own)
		free(n->memory);
	*n = (struct neighbours){ 0 };
}

uint64_t neighbours_tag(const struct neighbours *n, struct view key)
{
	uint64_t tag;

	crypto_shorthash((unsigned char *)&tag, (const unsigned char *)key.data, key.len,
	                 n->memory->key);
	return tag;
}

void *neighbours_set(const struct neighbours *n, uint64_t tag)
{
	return (char *)n->memory->entries + tag % n->sets * NEIGHBOURS * n->entry_bytes;
}
