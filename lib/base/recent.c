/* SPDX-License-Identifier: ISC */
#include "lib/base/recent.h"

#include <stdlib.h>

#include "lib/base/neighbours.h"

struct entry {
	uint64_t tag;
	int64_t until_ms; /* 0: free */
};

struct recent {
	int64_t lifetime_ms;
	struct neighbours table;
};

size_t recent_bytes(unsigned entries)
{
	return neighbours_bytes(entries, sizeof(struct entry));
}

struct recent *recent_new(unsigned entries, int64_t lifetime_ms, void *kept)
{
	struct recent *r = memory_get(sizeof *r);

	r->lifetime_ms = lifetime_ms;
	neighbours_init(&r->table, entries, sizeof(struct entry), kept);
	return r;
}

void recent_free(struct recent **recent)
{
	if (*recent == NULL)
		return;
	neighbours_free(&(*recent)->table);
	free(*recent);
	*recent = NULL;
}

void recent_add(struct recent *r, struct view key, int64_t now_ms)
{
	uint64_t tag = neighbours_tag(&r->table, key);
	struct entry *set = neighbours_set(&r->table, tag), *place = set;

	for (size_t i = 0; i < NEIGHBOURS; i++) {
		if (set[i].until_ms && set[i].tag == tag) {
			place = &set[i];
			break;
		}
		if (set[i].until_ms < place->until_ms)
			place = &set[i];
	}
	*place = (struct entry){ .tag = tag, .until_ms = now_ms + r->lifetime_ms };
}

/* A predecessor that was taken over may have left any time. */
bool recent_has(const struct recent *r, struct view key, int64_t now_ms)
{
	uint64_t tag = neighbours_tag(&r->table, key);
	const struct entry *set = neighbours_set(&r->table, tag);

	for (size_t i = 0; i < NEIGHBOURS; i++)
		if (set[i].tag == tag && set[i].until_ms > now_ms &&
		    set[i].until_ms <= now_ms + r->lifetime_ms)
			return true;
	return false;
}
