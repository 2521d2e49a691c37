/* SPDX-License-Identifier: ISC */
#include "lib/base/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_BLOCK_BYTES = 4096 - 32 };

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	alignas(max_align_t) char bytes[];
};

void *arena_get(struct arena *a, size_t size)
{
	size_t rounded = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);

	if (rounded < size || (a->limit && (rounded > a->limit || a->used > a->limit - rounded)))
		return NULL;
	struct arena_block *b = a->blocks;

	if (b == NULL || b->size - b->used < rounded) {
		size_t room = rounded > ARENA_BLOCK_BYTES ? rounded : ARENA_BLOCK_BYTES;

		b = memory_get(sizeof *b + room);
		b->size = room;
		b->next = a->blocks;
		a->blocks = b;
	}
	void *p = b->bytes + b->used;

	b->used += rounded;
	a->used += rounded;
	return p;
}

char *arena_string(struct arena *a, struct view v)
{
	char *s = arena_get(a, v.len + 1);

	if (s != NULL && v.len)
		memcpy(s, v.data, v.len);
	return s;
}

struct view arena_copy(struct arena *a, struct view v)
{
	char *s = arena_string(a, v);

	return (struct view){ s, s ? v.len : 0 };
}

void arena_clear(struct arena *a)
{
	while (a->blocks) {
		struct arena_block *b = a->blocks;

		a->blocks = b->next;
		free(b);
	}
	a->used = 0;
}
