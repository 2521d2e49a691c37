/* SPDX-License-Identifier: ISC */
/*
 * Until when what a client has accepted before a text (MAIL, RCPT) counts as progress, so that it
 * does not hold a session by them alone: for a while after each message that was accepted, and
 * after the first MAIL since then, and a little longer for each recipient of that MAIL's.
 *
 * Pure: no clock of its own.
 */
#ifndef SMTPD_CREDIT_H
#define SMTPD_CREDIT_H

#include <stdbool.h>
#include <stdint.h>

enum { CREDIT_RECIPIENT_MS = 500 };

/* Zeroed at first. */
struct credit {
	int64_t until_ms;
	bool spent;  /* there was a MAIL since the last message */
	bool earned; /* the last MAIL was the first since then */
};

/* for_ms: the while. */
void credit_message(struct credit *c, int64_t now_ms, int64_t for_ms);
void credit_mail(struct credit *c, int64_t now_ms, int64_t for_ms);
void credit_recipient(struct credit *c, int64_t now_ms, int64_t for_ms);
/* It was made to wait for so long, not by itself. */
void credit_wait(struct credit *c, int64_t waited_ms);
bool credit_lasts(const struct credit *c, int64_t now_ms);

#endif
