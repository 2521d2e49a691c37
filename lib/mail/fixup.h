/* SPDX-License-Identifier: ISC */
/*
 * The header of a message while it streams by: Received lines are counted, Delivered-To is shown to
 * who wants to see it, and for submission (RFC
 * 6409 section 8) what is missing is mended: Date, Message-ID, From, a domain for addresses in
 * From; Bcc and Return-Path are taken out. What is kept passes byte for byte; the body passes
 * untouched.
 */
#ifndef LIB_MAIL_FIXUP_H
#define LIB_MAIL_FIXUP_H

#include "lib/base/bytes.h"

enum {
	FIXUP_FROM_MAX = 16384, /* a longer From field is passed on as it is */
	FIXUP_LINE_MAX = 65536  /* a longer line is judged by its beginning */
};

enum fixup_drop { FIXUP_KEEPS, FIXUP_DROPS, FIXUP_COLLECTS };

struct fixup {
	/* Set by the caller; the rest begins zeroed. */
	bool mend;
	const char *domain;     /* for addresses without one */
	const char *from;       /* the address for a missing From; "" adds none */
	const char *date;       /* for a missing Date */
	const char *message_id; /* with its <>, for a missing Message-ID */
	int (*write)(void *context, struct view bytes);
	/* NULL: not wanted; for each such field what stands in its first line, without blanks
	 * around it. */
	void (*delivered_to)(void *context, struct view value);
	void *context;

	unsigned received;     /* Received fields seen */
	bool over;             /* the body has begun */
	bool any;              /* a field has been seen */
	bool in_line;          /* what comes is the rest of a line longer than FIXUP_LINE_MAX .. */
	bool keeps_line;       /* .. which is passed on, or dropped, like its beginning */
	uint64_t header_bytes; /* so far, those that are dropped too */
	bool has_from, has_date, has_message_id;
	enum fixup_drop doing; /* with the present field and its continuation lines */
	struct text held;      /* a line whose end has not come yet */
	struct text collected; /* a From field */
};

/* 0, or the first failure of write.  Lines end with CRLF. */
int fixup_add(struct fixup *h, struct view bytes);
/* The end of the message: a header may have had no body. */
int fixup_end(struct fixup *h);
void fixup_free(struct fixup *h);

/* Adds @domain to every address of the value of a From field that has none. false: it is left as it
 * is. */
bool fixup_from(struct view value, struct view domain, struct text *out);

#endif
