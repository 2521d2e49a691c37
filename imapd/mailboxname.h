/* SPDX-License-Identifier: ISC */
/*
 * Mailbox names on the wire: modified UTF-7 (RFC 3501 section 5.1.3) and the patterns of LIST.
 *
 * The delimiter is the store's, ".", as everywhere where Maildir++ is: what stands on disk is what
 * clients see.
 */
#ifndef IMAPD_MAILBOXNAME_H
#define IMAPD_MAILBOXNAME_H

#include "lib/base/arena.h"

enum { MAILBOXNAME_PATTERN_MAX = 1000, MAILBOXNAME_UTF8_MAX = 4096 };

/* Modified UTF-7 in its one canonical form (lib/mail/charset.h)? */
bool mailboxname_utf7_valid(struct view name);
/* INBOX in any case, also in front of a delimiter. */
bool mailboxname_is_inbox(struct view name);
/* Can it be a mailbox at all?  No empty level, not too long, canonical UTF-7. */
const char *mailboxname_fault(struct view name); /* a sentence, or NULL when it is good */

/* "inbox" and "inbox.x" with INBOX in capitals; otherwise as it is. data NULL: the arena is
 * full. */
struct view mailboxname_canonical(struct arena *arena, struct view name);

/* RFC 3501 section 6.3.8: "*" any bytes, "%" any but the delimiter; INBOX compares in any case. */
bool mailboxname_match(struct view pattern, struct view name);

#endif
