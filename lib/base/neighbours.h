/* SPDX-License-Identifier: ISC */
/*
 * A keyed table that does not grow: each key has its set of a few entries, in which whoever looks
 * it up finds it, or makes room. Nobody who chooses keys can choose whose set they share.
 *
 * Pure: no descriptors, no clock.
 */
#ifndef LIB_BASE_NEIGHBOURS_H
#define LIB_BASE_NEIGHBOURS_H

#include "lib/base/bytes.h"

enum { NEIGHBOURS = 4 }; /* entries of a set */

struct neighbours_memory;

struct neighbours {
	size_t entry_bytes, sets;
	struct neighbours_memory *memory;
	bool own;
};

size_t neighbours_bytes(unsigned entries, size_t entry_bytes);
/* kept: so many bytes, which live on with whatever is remembered in them (program_kept), zeroed at
 * first; NULL: memory of its own. Entries are zeroed at first, and aligned for 64 bits. */
void neighbours_init(struct neighbours *n, unsigned entries, size_t entry_bytes, void *kept);
void neighbours_free(struct neighbours *n);
/* By which the entry of a key is known. */
uint64_t neighbours_tag(const struct neighbours *n, struct view key);
/* The first entry of its set. */
void *neighbours_set(const struct neighbours *n, uint64_t tag);

#endif
