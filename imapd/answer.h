/* SPDX-License-Identifier: ISC */
/* How strings are written in answers (RFC 3501 section 9: string, nstring, astring). */
#ifndef IMAPD_ANSWER_H
#define IMAPD_ANSWER_H

#include "lib/base/bytes.h"

enum {
	ANSWER_QUOTED_MAX = 1000,  /* longer strings go as literals, which clients need not scan */
	ANSWER_DISPLAY_MAX = 32768 /* what is shown to people is cut here (imapd(8), "LIMITS") */
};

/* Quoted where it may be: no CR, LF, NUL, 8-bit byte (RFC 3501 section 9, QUOTED-CHAR), else a
 * literal. A NUL, which not even a literal may hold, becomes 0x80, as UW-IMAP and Dovecot write
 * it. */
void answer_string(struct text *out, struct view v);
void answer_literal(struct text *out, struct view v);
/* The same NULs, in bytes that go out by themselves. */
void answer_without_nul(char *bytes, size_t len);
void answer_nstring(struct text *out, struct view v); /* data NULL: NIL */
/* The same of a text that is shown and not acted on (a subject, a name), cut at ANSWER_DISPLAY_MAX
 * bytes or some less, so that no character of UTF-8 is cut. */
void answer_display(struct text *out, struct view v);
/* A mailbox name: an atom where it can be, else a string. */
void answer_astring(struct text *out, struct view v);

#endif
