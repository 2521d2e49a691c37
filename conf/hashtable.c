/* SPDX-License-Identifier: ISC */
#include "conf/hashtable.h"

#include <stdlib.h>

/* The keys are the operator's own: nobody builds collisions against themselves. */
static struct hashtable_slot *slot_of(const struct hashtable *t, struct view key)
{
	size_t i = view_hash(HASH_START, key) & (t->size - 1);

	while (t->slots[i].thing != NULL && !view_equal(t->slots[i].key, key))
		i = (i + 1) & (t->size - 1);
	return &t->slots[i];
}

static void grow(struct hashtable *t)
{
	struct hashtable bigger = { .size = t->size ? t->size * 2 : 64, .count = t->count };

	bigger.slots = memory_get(bigger.size * sizeof *bigger.slots);
	for (size_t i = 0; i < t->size; i++)
		if (t->slots[i].thing != NULL)
			*slot_of(&bigger, t->slots[i].key) = t->slots[i];
	free(t->slots);
	*t = bigger;
}

void *hashtable_add(struct hashtable *t, struct view key, void *thing)
{
	if (t->count * 2 >= t->size)
		grow(t);
	struct hashtable_slot *slot = slot_of(t, key);

	if (slot->thing != NULL)
		return slot->thing;
	*slot = (struct hashtable_slot){ key, thing };
	t->count++;
	return NULL;
}

void *hashtable_find(const struct hashtable *t, struct view key)
{
	return t->size ? slot_of(t, key)->thing : NULL;
}

void hashtable_free(struct hashtable *t)
{
	free(t->slots);
	*t = (struct hashtable){ 0 };
}
