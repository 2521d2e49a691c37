/* SPDX-License-Identifier: ISC */
/*
 * What is kept of a message in the store's index: the texts of ENVELOPE, BODY and BODYSTRUCTURE,
 * made when a client first asks.
 *
 * One piece a message: a version byte, then for each text a 32-bit length (little-endian, all ones:
 * not made yet) and its bytes. Anything else is as good as nothing and made anew.
 */
#ifndef IMAPD_SUMMARY_H
#define IMAPD_SUMMARY_H

#include "imapd/content.h"

enum summary_text { SUMMARY_ENVELOPE, SUMMARY_BODY, SUMMARY_BODYSTRUCTURE, SUMMARY_TEXTS };
enum { SUMMARY_VERSION = 2 };

struct summary {
	struct view text[SUMMARY_TEXTS]; /* data NULL: not made */
};

/* false: not one. */
bool summary_decode(struct view bytes, struct summary *out);
void summary_encode(const struct summary *summary, struct text *out);
/* Appends one text to out, from the index or made (and put there). */
enum store_result summary_add(struct content *c, enum summary_text which, struct text *out,
                              struct reason *why);

#endif
