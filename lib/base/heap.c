/* SPDX-License-Identifier: ISC */
#include "lib/base/heap.h"

#include <stdlib.h>

#include "lib/base/bytes.h"

enum { HEAP_ROOM_FIRST = 4 /* there may be one for each of very many */ };

static void put(struct heap *h, size_t place, struct heap_entry *e)
{
	h->entries[place] = e;
	e->place = (uint32_t)place;
}

/* From a place that is free, up or down to the one that is the entry's. */
static void settle(struct heap *h, size_t place, struct heap_entry *e)
{
	while (place > 1 && h->entries[place / 2]->at_ms > e->at_ms) {
		put(h, place, h->entries[place / 2]);
		place /= 2;
	}
	for (;;) {
		size_t child = place * 2;

		if (child > h->count)
			break;
		if (child < h->count && h->entries[child + 1]->at_ms < h->entries[child]->at_ms)
			child++;
		if (h->entries[child]->at_ms >= e->at_ms)
			break;
		put(h, place, h->entries[child]);
		place = child;
	}
	put(h, place, e);
}

void heap_set(struct heap *h, struct heap_entry *e, int64_t at_ms)
{
	size_t place = e->place;

	e->at_ms = at_ms;
	if (place == 0) {
		if (h->count + 2 > h->room) {
			h->room = h->room ? h->room * 2 : HEAP_ROOM_FIRST;
			h->entries = memory_grow(h->entries, h->room * sizeof *h->entries);
		}
		place = ++h->count;
	}
	settle(h, place, e);
}

void heap_remove(struct heap *h, struct heap_entry *e)
{
	size_t place = e->place;

	if (place == 0)
		return;
	struct heap_entry *last = h->entries[h->count--];

	*e = (struct heap_entry){ 0 };
	if (last != e)
		settle(h, place, last);
}

struct heap_entry *heap_first(const struct heap *h)
{
	return h->count ? h->entries[1] : NULL;
}

void heap_free(struct heap *h)
{
	free(h->entries);
	*h = (struct heap){ 0 };
}
