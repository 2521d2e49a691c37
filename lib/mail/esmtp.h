/* SPDX-License-Identifier: ISC */
/*
 * The extensions of SMTP that the house knows (RFC 5321 section 2.2), and the parameters of MAIL
 * and RCPT that come with them: SIZE (RFC 1870), BODY (RFC 6152), AUTH (RFC 4954), RET, ENVID,
 * NOTIFY, ORCPT (RFC 3461).  smtpd reads what remote writes: both directions of a parameter are one
 * row, and what is written is read back the same.  No I/O here.
 */
#ifndef LIB_MAIL_ESMTP_H
#define LIB_MAIL_ESMTP_H

#include "lib/wire/envelope.h"

/* Number and keyword of each, in the order in which smtpd offers them; conditions and values of an
 * offer are smtpd's (greeting.c). */
#define ESMTP_EXTENSIONS_LIST(ROW)    \
	ROW(PIPELINING, "PIPELINING") \
	ROW(SIZE, "SIZE")             \
	ROW(STARTTLS, "STARTTLS")     \
	ROW(AUTH, "AUTH")             \
	ROW(EIGHT_BIT, "8BITMIME")    \
	ROW(DSN, "DSN")               \
	ROW(STATUS, "ENHANCEDSTATUSCODES")

enum esmtp_extension {
#define ESMTP_NUMBER(name, keyword) ESMTP_##name,
	ESMTP_EXTENSIONS_LIST(ESMTP_NUMBER)
#undef ESMTP_NUMBER
		ESMTP_EXTENSIONS /* none of them */
};

const char *esmtp_keyword(enum esmtp_extension extension);
enum esmtp_extension esmtp_extension(struct view keyword);

enum esmtp_result {
	ESMTP_OK,
	ESMTP_SYNTAX, /* 501 5.5.4: a value that is none, or a parameter given twice. Of ENVID and
	                 ORCPT, which only reports use, each value is taken: made xtext when it can
	                 be, else left out */
	ESMTP_UNKNOWN /* 555 5.5.4 */
};

struct esmtp_mail {
	uint64_t size_bytes;      /* 0: not said */
	struct envelope envelope; /* what the parameters say of it; the rest is empty */
};

/* rest: what follows the path.  *culprit is the keyword at fault. */
enum esmtp_result esmtp_mail_parse(struct view rest, struct esmtp_mail *out, struct view *culprit);
/* All of *out but the address. */
enum esmtp_result esmtp_recipient_parse(struct view rest, struct envelope_recipient *out,
                                        struct view *culprit);

/* offered: a bit (1u << ESMTP_...) for each extension of the other side; parameters of the others
 * are left out.  Each is added with a blank before it. */
void esmtp_mail_write(struct text *out, const struct envelope *e, uint64_t size_bytes,
                      unsigned offered);
void esmtp_recipient_write(struct text *out, const struct envelope_recipient *r, unsigned offered);

/* Adds the bit of a word of NOTIFY, in any case ("never", "success"); false: there is no such word.
 */
bool esmtp_notify_word(struct view word, uint8_t *notify);

/* Anything as xtext (RFC 3461 section 4). */
void esmtp_xtext(struct text *out, struct view v);

#endif
