/* SPDX-License-Identifier: ISC */
/*
 * What has been seen lately, as keyed digests in a table that does not grow: nobody can choose whom
 * they displace, nor read what it is. Of four neighbours the one longest unseen makes room.
 *
 * Pure: no descriptors, no clock.
 */
#ifndef LIB_BASE_RECENT_H
#define LIB_BASE_RECENT_H

#include "lib/base/bytes.h"

struct recent;

size_t recent_bytes(unsigned entries);
/* kept: so many bytes, which live on with whatever is remembered in them (program_kept), zeroed at
 * first; NULL: memory of its own. */
struct recent *recent_new(unsigned entries, int64_t lifetime_ms, void *kept);
void recent_free(struct recent **recent);
void recent_add(struct recent *r, struct view key, int64_t now_ms);
bool recent_has(const struct recent *r, struct view key, int64_t now_ms);

#endif
