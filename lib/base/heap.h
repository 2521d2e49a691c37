/* SPDX-License-Identifier: ISC */
/*
 * The one heap: what comes due, the earliest first. A struct that is to stand in one has a
 * struct heap_entry for it, zeroed while it stands in none; list_owner gives the struct back.
 */
#ifndef LIB_BASE_HEAP_H
#define LIB_BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/list.h"

struct heap_entry {
	int64_t at_ms;  /* of whichever clock the heap goes by */
	uint32_t place; /* 0: in none */
};

/* Zero-initialise; heap_free frees its memory, not the entries. */
struct heap {
	struct heap_entry **entries; /* from index 1 */
	size_t count, room;
};

void heap_set(struct heap *h, struct heap_entry *e, int64_t at_ms); /* again: moves it */
void heap_remove(struct heap *h, struct heap_entry *e);             /* harmless when in none */
struct heap_entry *heap_first(const struct heap *h);                /* NULL: it is empty */
void heap_free(struct heap *h);

#endif
