/* SPDX-License-Identifier: ISC */
/* A hash table from keys to things; it owns neither. */
#ifndef CONF_TABLE_H
#define CONF_TABLE_H

#include "lib/base/bytes.h"

struct table_slot {
	struct view key;
	void *thing;
};

struct table {
	struct table_slot *slots; /* a power of two of them, at most half full */
	size_t count, size;
};

/* Zero-initialise.  What was there before under the key, and stays; NULL: the thing was added. */
void *table_add(struct table *t, struct view key, void *thing);
void *table_find(const struct table *t, struct view key);
void table_free(struct table *t);

#endif
