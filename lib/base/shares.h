/* SPDX-License-Identifier: ISC */
/*
 * Who of many holds a place in a bounded pool, or waits for one: by owners, which are nested, the
 * wide ones first (a wide network, a network in it, a site in that, an account
 * there), so that no crowd of one owner
 * takes the places or the time of the others. A pool whose members have one kind of owner (an
 * account, a uid, a destination) has one level.
 *
 * A struct that is to stand in one has a `struct share` for it, zeroed while it stands in none;
 * list_owner gives the struct back. Each member is in one owner of each level.
 *
 * Pure: no descriptors, no clock. Memory is one node for each owner that has members, and a table
 * of them; each call costs the levels and the logarithm of the owners' number at most, however many
 * members there are.
 */
#ifndef LIB_BASE_SHARES_H
#define LIB_BASE_SHARES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/list.h"

enum { SHARES_LEVELS = 4, SHARE_KEY_MAX = 20 };

struct share_owner;

struct share {
	struct link link; /* in its innermost owner, the first that came first */
	struct share_owner *owner;
	uint64_t came; /* greater than that of all that were added to the pool before */
};

/* The owners of a member, from wide to narrow. Two are the same when all of their bytes are, and
 * those around them are the same; what is longer than SHARE_KEY_MAX is given as its digest. */
struct share_path {
	unsigned levels; /* as many as the pool has */
	struct share_key {
		uint8_t len;
		uint8_t bytes[SHARE_KEY_MAX];
	} keys[SHARES_LEVELS];
};

/* One level more, inside those that are there; zero the path first. */
void share_path_add(struct share_path *path, const void *bytes, size_t len);

struct shares;

struct shares *shares_new(unsigned levels); /* 1 to SHARES_LEVELS */
/* What still stands in it must not be removed any more. */
void shares_free(struct shares **shares);

/* Behind all that its innermost owner has; false: no memory. */
bool shares_add(struct shares *shares, const struct share_path *path, struct share *share);
/* Takes it out; harmless when it stands in none. The turns are not changed. */
void shares_remove(struct share *share);
/* Puts back one that was removed, with the `came` that it had, before all others of its innermost
 * owner: several in the reverse order. false: no memory. The turns are not restored. */
bool shares_put_back(struct shares *shares, const struct share_path *path, struct share *share,
                     uint64_t came);

/* Whose turn it is: the wide owners take turns, in one of them its networks, in one of those its
 * sites; in the innermost, first come, first served. NULL: nobody stands in it. The same one until
 * it is served or removed. */
struct share *shares_next(const struct shares *shares);
/* It has had its turn, and is taken out: each of its owners goes behind the others of its level. */
void shares_served(struct share *share);
/* It cannot use its turn, and stays: its owners go behind the others all the same. */
void shares_passed(struct share *share);

/* Down the levels, at each the owner with the most members (of equals the one that has had members
 * for longest), and in the innermost the one that came first; NULL: nobody stands in it. */
struct share *shares_oldest_of_heaviest(const struct shares *shares);
/* Who gives way to a newcomer of this path: the oldest of the heaviest in an owner that has more
 * members than the newcomer's of the same level would have. That is looked for among all of the
 * wide owners, then inside the newcomer's own, and so on: a wide owner with no more than others
 * does not keep its crowd from giving way to the rest of it. NULL: the newcomer is one too many. */
struct share *shares_giving_way(const struct shares *shares, const struct share_path *to);

size_t shares_count(const struct shares *shares);
/* The members of the owner that the first `levels` keys name; 0: it has none. */
size_t shares_weight(const struct shares *shares, const struct share_path *path, unsigned levels);
/* Nodes in memory, for tests. */
size_t shares_owners(const struct shares *shares);

#endif
