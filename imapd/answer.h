/* SPDX-License-Identifier: ISC */
/* How strings are written in answers (RFC 3501 section 9: string, nstring, astring). */
#ifndef IMAPD_ANSWER_H
#define IMAPD_ANSWER_H

#include "lib/base/bytes.h"

enum { ANSWER_QUOTED_MAX = 1000 }; /* longer strings go as literals, which clients need not scan */

/* Quoted where it may be: no CR, LF, NUL, 8-bit byte (RFC 3501 section 9, QUOTED-CHAR), else a
 * literal. A NUL, which not even a literal may hold, becomes 0x80, as UW-IMAP and Dovecot write
 * it. */
void answer_string(struct text *out, struct view v);
void answer_literal(struct text *out, struct view v);
void answer_nstring(struct text *out, struct view v); /* data NULL: NIL */
/* A mailbox name: an atom where it can be, else a string. */
void answer_astring(struct text *out, struct view v);

#endif
