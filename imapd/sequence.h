/* SPDX-License-Identifier: ISC */
/* Sequence sets (RFC 3501 section 9, "sequence-set"): 1:5,9,20:* of message numbers or UIDs. */
#ifndef IMAPD_SEQUENCE_H
#define IMAPD_SEQUENCE_H

#include "lib/base/arena.h"

enum { SEQUENCE_RANGES_MAX = 32768 /* what a line of 64 KB can hold */ };

struct sequence_range {
	uint32_t low, high; /* both inside */
};

/* Sorted, no range touches the next. */
struct sequence_set {
	struct sequence_range *ranges; /* in the arena it was parsed with */
	size_t count;
};

/* star: what "*" stands for, 0 when there is no message (then a set of "*" alone, or up to it, is
 * empty). */
bool sequence_parse(struct arena *arena, struct view text, uint32_t star, struct sequence_set *out);
bool sequence_holds(const struct sequence_set *set, uint32_t number);
uint32_t sequence_highest(const struct sequence_set *set); /* 0 of the empty set */

/* Builds the text of ascending numbers, runs drawn together: UIDPLUS answers, ESEARCH. */
struct sequence_writer {
	struct text *out;
	uint32_t low, high; /* the run not written yet; low 0: none */
	bool any;
};

void sequence_write(struct sequence_writer *w, uint32_t number);
void sequence_write_end(struct sequence_writer *w);

#endif
