/* SPDX-License-Identifier: ISC */
/*
 * Memory that is dropped whole: what one session, message or command needs.
 * Zero-initialise the struct; `limit` bytes in all (0: none) bound it, and an
 * arena over its limit returns NULL, so that a stranger's input cannot grow it.
 */
#ifndef LIB_BASE_ARENA_H
#define LIB_BASE_ARENA_H

#include "lib/base/bytes.h"

struct arena_block;

struct arena {
	struct arena_block *blocks;
	size_t used, limit;
};

void *arena_get(struct arena *a, size_t size);          /* zeroed, aligned for any type */
char *arena_string(struct arena *a, struct view v);     /* a terminated copy */
struct view arena_copy(struct arena *a, struct view v); /* {NULL, 0} over the limit */
void arena_clear(struct arena *a);                      /* all of it; the arena is usable again */

#endif
