/* SPDX-License-Identifier: ISC */
/* Asks a search's keys of one message after another. */
#ifndef IMAPD_SEARCHRUN_H
#define IMAPD_SEARCHRUN_H

#include "imapd/searchkey.h"

/* Bytes of one part that are decoded for searching; what is behind them is not found, and so texts
 * that are full are searched as they are here. */
enum { SEARCH_PART_MAX = 64 << 20 };

/* Does the message match? One that is gone, or cannot be read when it must be, does not. */
bool search_matches(struct folder *folder, uint32_t seq, const struct search_key *key);

#endif
