/* SPDX-License-Identifier: ISC */
/* A hash table from keys to things; it owns neither. */
#ifndef CONF_HASHTABLE_H
#define CONF_HASHTABLE_H

#include "lib/base/bytes.h"

struct hashtable_slot {
	struct view key;
	void *thing;
};

struct hashtable {
	struct hashtable_slot *slots; /* a power of two of them, at most half full */
	size_t count, size;
};

/* Zero-initialise.  What was there before under the key, and stays; NULL: the thing was added. */
void *hashtable_add(struct hashtable *t, struct view key, void *thing);
void *hashtable_find(const struct hashtable *t, struct view key);
void hashtable_free(struct hashtable *t);

#endif
