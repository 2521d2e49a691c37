/* SPDX-License-Identifier: ISC */
/*
 * Whose lookup gets the next worker. A worker is held for as long as a name server is silent: so
 * the lookups of one owner hold a quarter of the workers at most, and some workers are kept for
 * names that have been answered before: ten thousand strange domains do not stop the mail to known
 * ones, nor does one hoster whose servers are dead. Those that wait take turns by owner.
 *
 * The owner of a name is the domain that somebody has registered, as far as its labels tell: the
 * last two, three where the second is as short as in "co.uk"; of an address its network, in a wide
 * one (net_address_owners).
 *
 * Pure: no descriptors, no clock.
 */
#ifndef MASTER_DNSD_SHARING_H
#define MASTER_DNSD_SHARING_H

#include "lib/base/bytes.h"
#include "lib/base/shares.h"

enum {
	SHARING_WORKERS = 32, /* for all */
	SHARING_KEPT = 8,     /* more, for names that have been answered before */
	SHARING_OWNER = SHARING_WORKERS / 4,
	SHARING_SHORT_LABEL = 3,
	SHARING_PASSES =
		64 /* so many owners are asked in one call whether they can use their turn */
};

/* A lookup. Zeroed at first. */
struct sharer {
	struct share_path owners;
	struct share share; /* while it waits or is at work */
	bool known;
};

struct sharing {
	struct shares *waiting, *working;
};

void sharing_start(struct sharing *s);
void sharing_free(struct sharing *s);
/* Waits from then on. known: it has been answered before. */
void sharing_add(struct sharing *s, struct sharer *sharer, const char *name, bool known);
/* NULL: nobody waits that may have one more. */
struct sharer *sharing_next(struct sharing *s);
/* That one is at work. */
void sharing_taken(struct sharing *s, struct sharer *sharer);
/* It neither waits nor is at work any more; harmless when it was not. */
void sharing_leave(struct sharer *sharer);
size_t sharing_count(const struct sharing *s); /* waiting and at work */

#endif
