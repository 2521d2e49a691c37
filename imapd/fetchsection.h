/* SPDX-License-Identifier: ISC */
/* The bytes of a section (RFC 3501 section 6.4.5, BODY[<section>]<<partial>>). */
#ifndef IMAPD_FETCHSECTION_H
#define IMAPD_FETCHSECTION_H

#include "imapd/content.h"
#include "imapd/section.h"

/* Where a section's bytes are: in the message as it is on disk, or in memory. */
struct section_bytes {
	bool missing;    /* no such part: NIL */
	bool in_message; /* `offset`, `length` of the message with CRLF */
	uint64_t offset, length;
	struct view memory; /* otherwise; in the text that section_find was given, without NUL */
};

/* scratch holds what had to be put together; it must be empty and outlive *out. */
enum store_result section_find(struct content *c, const struct section *s, struct text *scratch,
                               struct section_bytes *out, struct reason *why);

#endif
