/* SPDX-License-Identifier: ISC */
/* The texts of ENVELOPE, BODY and BODYSTRUCTURE (RFC 3501 section 7.4.2). */
#ifndef IMAPD_STRUCTURE_H
#define IMAPD_STRUCTURE_H

#include "lib/base/arena.h"
#include "lib/mail/mime.h"

enum {
	STRUCTURE_TEXT_MAX = 4 << 20,    /* one of these texts */
	STRUCTURE_ADDRESSES_MAX = 20000, /* of one field */
	STRUCTURE_LIST_MAX = 512 << 10,  /* the text of one list of addresses: it ends with the
	                                    address that passes it */
	STRUCTURE_ARENA_BYTES = 8 << 20  /* address lists of one message */
};

/* Append to out; false when it is full, which of an envelope alone STRUCTURE_TEXT_MAX never is. */
bool structure_envelope(struct text *out, struct view header);
/* extended: BODYSTRUCTURE, else BODY. What is larger than out is told as one part of unknown
 * content. */
bool structure_body(struct text *out, struct view message, const struct mime_part *root,
                    bool extended);

#endif
