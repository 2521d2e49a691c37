/* SPDX-License-Identifier: ISC */
/* An SMTP server's answer (RFC 5321 section 4.2), of any number of lines. */
#ifndef DELIVER_REMOTE_REPLY_H
#define DELIVER_REMOTE_REPLY_H

#include "lib/base/bytes.h"
#include "lib/mail/esmtp.h"

enum { REPLY_TEXT_MAX = 480, REPLY_LINE_MAX = 4096, REPLY_LINES_MAX = 200 };

struct reply {
	int code;       /* 200..599; 0 while no line has come */
	bool own_fault; /* code 0, and not for the host: what we need ourselves was not to be had */
	bool for_now;   /* of 5yz: it may be about what another attempt does otherwise */
	bool more;      /* the last line had a hyphen */
	unsigned lines;
	char status[STATUS_MAX];   /* its enhanced status (RFC 2034), or one that fits the code */
	char text[REPLY_TEXT_MAX]; /* "550 5.1.1 no such user", lines joined, cut; what a report
	                              quotes */
};

void reply_clear(struct reply *r);
/* 5yz that stays so. */
bool reply_for_good(const struct reply *r);
/* It is told as 4yz; others than 5yz are so already. */
void reply_is_for_now(struct reply *r);
/* Takes one line without CRLF. false: not an answer of SMTP, or the lines disagree or never end. */
bool reply_line(struct reply *r, struct view line);
/* The same for the answer to the end of a text. Whoever is not believed there gets the message
 * again at each attempt, so its code decides, whatever else it says (RFC 5321 section 4.2): lines
 * may be empty before it, be without a code or have another of the same class behind it, and have
 * no end but the caller's time. r->lines is 0 as long as no code has come. */
bool reply_text_line(struct reply *r, struct view line);

/* What EHLO said. */
struct extensions {
	unsigned offered;    /* a bit for each enum esmtp_extension */
	uint64_t size_bytes; /* 0: no limit told */
};
bool extensions_have(const struct extensions *e, enum esmtp_extension extension);
/* One line of the answer to EHLO, without the code. */
void extensions_line(struct extensions *e, struct view line);

#endif
