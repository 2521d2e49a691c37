/* SPDX-License-Identifier: ISC */
/*
 * The one hash table of things that come and go: chains that stay short, since it grows with what
 * it holds. A struct that is to stand in one has a `struct hashed` for it, zeroed while it is in
 * none. The caller makes the hash (view_hash; keyed where strangers choose the keys) and compares
 * the keys: a chain holds others too.
 *
 *	HASH_EACH(line, &hub->known, hash_of(process, worker), struct hub_line, known)
 *		if (line->process == process && line->worker == worker)
 *			...              the present one may be removed, and only that one
 */
#ifndef LIB_BASE_HASH_H
#define LIB_BASE_HASH_H

#include <stdint.h>

#include "lib/base/list.h"

struct hashed {
	struct hashed *next, **at; /* at NULL: in none */
	uint32_t hash;
};

/* Zeroed at first, which is empty. */
struct hash {
	struct hashed **chains;
	uint32_t size; /* a power of two; of chains */
	size_t count;
};

#define HASH_EACH(name, table, hash, type, member)                                                \
	for (struct hashed *name##_at = hash_chain((table), (hash)), *name##_next;                \
	     name##_at != NULL && (name##_next = name##_at->next, true); name##_at = name##_next) \
		for (type *name = list_owner(name##_at, type, member); name != NULL; name = NULL)

/* What stands in one is not added again, what stands in none not removed. */
void hash_add(struct hash *table, struct hashed *item, uint32_t hash);
void hash_remove(struct hash *table, struct hashed *item);
/* The first of those that may have this hash; chains 0 to size - 1 are all. */
struct hashed *hash_chain(const struct hash *table, uint32_t hash);
/* Of its own memory; what still stands in it must not be removed any more. */
void hash_free(struct hash *table);

#endif
