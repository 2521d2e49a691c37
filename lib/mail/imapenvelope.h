/* SPDX-License-Identifier: ISC */
/* The fields of an IMAP ENVELOPE (RFC 3501 section 7.4.2) out of a header, in one pass, as
 * views. */
#ifndef LIB_MAIL_IMAPENVELOPE_H
#define LIB_MAIL_IMAPENVELOPE_H

#include "lib/base/bytes.h"

enum imapenvelope_item {
	IMAPENVELOPE_DATE,
	IMAPENVELOPE_SUBJECT,
	IMAPENVELOPE_FROM,
	IMAPENVELOPE_SENDER,
	IMAPENVELOPE_REPLY_TO,
	IMAPENVELOPE_TO,
	IMAPENVELOPE_CC,
	IMAPENVELOPE_BCC,
	IMAPENVELOPE_IN_REPLY_TO,
	IMAPENVELOPE_MESSAGE_ID,
	IMAPENVELOPE_ITEMS /* in the order of the ENVELOPE */
};

/* Values as they stand, still folded, blanks at the ends trimmed; data NULL: no such field.
 * The first field of a name counts; that there are others of it tells `again`.  That sender and
 * reply-to default to from (absent, or without any address) is the writer's work. */
struct imapenvelope {
	struct view item[IMAPENVELOPE_ITEMS];
	bool again[IMAPENVELOPE_ITEMS];
};

void imapenvelope_read(struct view header, struct imapenvelope *out);
/* The next field of this item in the rest of a header: every one of them, one after the other. */
bool imapenvelope_next(struct view *header, enum imapenvelope_item item, struct view *value);
/* From, sender, reply-to, to, cc and bcc are address lists, the others text. */
bool imapenvelope_is_list(enum imapenvelope_item item);

#endif
