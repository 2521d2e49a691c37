/* SPDX-License-Identifier: ISC */
/* The heap against a search through all of its entries. */
#include "lib/base/heap.h"

#include "t/tap.h"

enum { THINGS = 500, STEPS = 20000 };

struct thing {
	int before;
	struct heap_entry due;
};

static struct thing things[THINGS];
static struct heap heap;

static uint32_t noise(void)
{
	static uint32_t state = 12345;

	state = state * 1664525 + 1013904223;
	return state >> 8;
}

static const struct thing *earliest(size_t *count)
{
	const struct thing *found = NULL;

	*count = 0;
	for (unsigned i = 0; i < THINGS; i++) {
		if (things[i].due.place == 0)
			continue;
		++*count;
		if (found == NULL || things[i].due.at_ms < found->due.at_ms)
			found = &things[i];
	}
	return found;
}

static bool is_right(void)
{
	size_t count;
	const struct thing *want = earliest(&count);
	struct heap_entry *first = heap_first(&heap);

	if (heap.count != count || (first == NULL) != (want == NULL))
		return false;
	return first == NULL || list_owner(first, struct thing, due)->due.at_ms == want->due.at_ms;
}

int main(void)
{
	unsigned wrong = 0;
	int64_t last = -1;

	ok(heap_first(&heap) == NULL, "an empty heap has no first entry");
	for (unsigned i = 0; i < STEPS; i++) {
		struct thing *t = &things[noise() % THINGS];

		if (noise() % 3)
			heap_set(&heap, &t->due, noise() % 1000);
		else
			heap_remove(&heap, &t->due);
		wrong += !is_right();
	}
	ok(wrong == 0, "entries come, move and go, and the first is always the earliest");
	for (struct heap_entry *e; (e = heap_first(&heap)) != NULL;) {
		wrong += e->at_ms < last;
		last = e->at_ms;
		heap_remove(&heap, e);
		wrong += e->place != 0 || e->at_ms != 0;
	}
	ok(wrong == 0 && heap.count == 0, "taken out one by one they are in order");
	heap_free(&heap);
	return tap_done();
}
