/* SPDX-License-Identifier: ISC */
#include "lib/base/hash.h"

#include <stdlib.h>

#include "lib/base/bytes.h"

enum { SIZE_FIRST = 8, SIZE_MAX_BITS = 31 };

static void put(struct hash *t, struct hashed *item)
{
	struct hashed **chain = &t->chains[item->hash & (t->size - 1)];

	item->next = *chain;
	item->at = chain;
	if (item->next != NULL)
		item->next->at = &item->next;
	*chain = item;
}

static void grow(struct hash *t)
{
	struct hash old = *t;

	t->size = old.size ? 2 * old.size : SIZE_FIRST;
	t->chains = memory_get(t->size * sizeof(struct hashed *));
	for (uint32_t i = 0; i < old.size; i++)
		for (struct hashed *item = old.chains[i], *next; item != NULL; item = next) {
			next = item->next;
			put(t, item);
		}
	free(old.chains);
}

void hash_add(struct hash *t, struct hashed *item, uint32_t hash)
{
	if (item->at != NULL)
		return;
	if (t->count >= t->size && t->size < 1u << SIZE_MAX_BITS)
		grow(t);
	item->hash = hash;
	put(t, item);
	t->count++;
}

void hash_remove(struct hash *t, struct hashed *item)
{
	if (item->at == NULL)
		return;
	*item->at = item->next;
	if (item->next != NULL)
		item->next->at = item->at;
	*item = (struct hashed){ 0 };
	t->count--;
}

struct hashed *hash_chain(const struct hash *t, uint32_t hash)
{
	return t->size ? t->chains[hash & (t->size - 1)] : NULL;
}

void hash_free(struct hash *t)
{
	free(t->chains);
	*t = (struct hash){ 0 };
}
