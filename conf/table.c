/* SPDX-License-Identifier: ISC */
#include "conf/table.h"

#include <stdlib.h>

/* FNV-1a: the keys are the operator's own, nobody builds collisions against himself. */
static uint64_t hash(struct view key)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < key.len; i++)
		h = (h ^ (unsigned char)key.data[i]) * UINT64_C(0x100000001b3);
	return h;
}

static struct table_slot *slot_of(const struct table *t, struct view key)
{
	size_t i = hash(key) & (t->size - 1);

	while (t->slots[i].thing != NULL && !view_equal(t->slots[i].key, key))
		i = (i + 1) & (t->size - 1);
	return &t->slots[i];
}

static void grow(struct table *t)
{
	struct table bigger = { .size = t->size ? t->size * 2 : 64, .count = t->count };

	bigger.slots = memory_get(bigger.size * sizeof *bigger.slots);
	for (size_t i = 0; i < t->size; i++)
		if (t->slots[i].thing != NULL)
			*slot_of(&bigger, t->slots[i].key) = t->slots[i];
	free(t->slots);
	*t = bigger;
}

void *table_add(struct table *t, struct view key, void *thing)
{
	if (t->count * 2 >= t->size)
		grow(t);
	struct table_slot *slot = slot_of(t, key);

	if (slot->thing != NULL)
		return slot->thing;
	*slot = (struct table_slot){ key, thing };
	t->count++;
	return NULL;
}

void *table_find(const struct table *t, struct view key)
{
	return t->size ? slot_of(t, key)->thing : NULL;
}

void table_free(struct table *t)
{
	free(t->slots);
	*t = (struct table){ 0 };
}
