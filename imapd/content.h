/* SPDX-License-Identifier: ISC */
/* One message's bytes, opened when something needs them: its header alone, all of it, or its MIME
 * structure. */
#ifndef IMAPD_CONTENT_H
#define IMAPD_CONTENT_H

#include "lib/mail/header.h"
#include "lib/mail/mime.h"
#include "lib/store/folder.h"

enum { CONTENT_HEAD_BYTES = 8192 }; /* read at first when only the header is wanted: most fit */

struct content {
	struct folder *folder;
	uint32_t seq;
	struct message message;
	bool open, has_header, has_whole, has_mime;
	struct text head;
	struct view header, whole;
	struct arena arena; /* of the MIME structure */
	struct mime_message mime;
};

/* Each returns STORE_OK or what kept the message from being read (STORE_GONE). */
void content_begin(struct content *c, struct folder *folder, uint32_t seq);
enum store_result content_open(struct content *c, struct reason *why); /* c->message */
enum store_result content_header(struct content *c,
                                 struct reason *why); /* c->header, with its empty line */
enum store_result content_whole(struct content *c, struct reason *why); /* c->whole and c->header */
enum store_result content_mime(struct content *c, struct reason *why);  /* c->mime */
void content_end(struct content *c);

#endif
