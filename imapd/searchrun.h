/* SPDX-License-Identifier: ISC */
/* Asks a search's keys of one message after another. */
#ifndef IMAPD_SEARCHRUN_H
#define IMAPD_SEARCHRUN_H

#include "imapd/searchkey.h"

enum { SEARCH_PART_MAX = 64 << 20 }; /* bytes of one part that are decoded for searching */

/* Does the message match? One that is gone, or cannot be read when it must be, does not. */
bool search_matches(struct folder *folder, uint32_t seq, const struct search_key *key);

#endif
