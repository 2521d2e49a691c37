/* SPDX-License-Identifier: ISC */
/*
 * Passwords that were right a while ago, so that a client which comes back every minute does not
 * cost an argon2 run each time. An entry is a BLAKE2b of address, stored hash and password under a
 * random key: it says nothing to who reads it without the key, and a hash that was
 * changed finds nothing. Failures are not kept: they would be a way to fill it, and they shall cost
 * what they cost.
 */
#ifndef MASTER_AUTHD_CACHE_H
#define MASTER_AUTHD_CACHE_H

#include "lib/base/bytes.h"

enum { CACHE_ENTRIES = 32768 }; /* the oldest of four neighbours makes room */

struct cache;

size_t cache_bytes(unsigned entries);
/* lifetime_ms 0: keeps nothing. kept: so many bytes, which live on with whatever is remembered in
 * them (program_kept), zeroed at first; NULL: memory of its own. */
struct cache *cache_new(unsigned entries, int64_t lifetime_ms, void *kept);
bool cache_has(struct cache *c, struct view address, struct view stored, struct view password,
               int64_t now_ms);
void cache_add(struct cache *c, struct view address, struct view stored, struct view password,
               int64_t now_ms);
/* Wipes key and entries, but for those that live on. */
void cache_free(struct cache **c);

#endif
