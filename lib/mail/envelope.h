/* SPDX-License-Identifier: ISC */
/* The fields of an IMAP ENVELOPE (RFC 3501 section 7.4.2) out of a header, in one pass, as
 * views. */
#ifndef LIB_MAIL_ENVELOPE_H
#define LIB_MAIL_ENVELOPE_H

#include "lib/base/bytes.h"

enum envelope_item {
	ENVELOPE_DATE,
	ENVELOPE_SUBJECT,
	ENVELOPE_FROM,
	ENVELOPE_SENDER,
	ENVELOPE_REPLY_TO,
	ENVELOPE_TO,
	ENVELOPE_CC,
	ENVELOPE_BCC,
	ENVELOPE_IN_REPLY_TO,
	ENVELOPE_MESSAGE_ID,
	ENVELOPE_ITEMS /* in the order of the ENVELOPE */
};

/* Values as they stand, still folded, blanks at the ends trimmed; data NULL: no such field.
 * The first field of a name counts.  That sender and reply-to default to from (absent, or
 * without any address) is the writer's work. */
struct envelope {
	struct view item[ENVELOPE_ITEMS];
};

void envelope_read(struct view header, struct envelope *out);
/* From, sender, reply-to, to, cc and bcc are address lists, the others text. */
bool envelope_is_list(enum envelope_item item);

#endif
