/* SPDX-License-Identifier: ISC */
/*
 * Envelope addresses: the Path and Mailbox of RFC 5321 section 4.1.2.
 *
 * The result is a normal form, the only one the house compares and stores: the
 * domain in lower case, an address literal as the kernel would print it, the
 * local part without quotes where it needs none ("joe"@A.test and joe@a.test
 * are one address) and with the fewest escapes where it does.  Dots where the
 * grammar has none (a..b@, .a@, a.@) are in addresses that others have given
 * away: they stay as they came, without quotes or with them.  A source route
 * is read and dropped (appendix C).  Lists in header fields: addresslist.h.
 */
#ifndef LIB_MAIL_MAILADDRESS_H
#define LIB_MAIL_MAILADDRESS_H

#include "lib/base/bytes.h"

/* 254 is the path of 256 (RFC 5321 section 4.5.3.1.3) without its brackets. The 64 bytes of a local
 * part are what everybody must take, not what may be refused (section 4.5.3.1): forwarding and
 * bounce addresses of others are longer. */
enum {
	MAILADDRESS_LOCAL_MAX = 250,
	MAILADDRESS_DOMAIN_MAX = 255,
	MAILADDRESS_LABEL_MAX = 63,
	MAILADDRESS_MAX = 254
};

enum mailaddress_result {
	MAILADDRESS_OK,
	MAILADDRESS_SYNTAX,
	MAILADDRESS_LOCAL_TOO_LONG,
	MAILADDRESS_DOMAIN_TOO_LONG,
	MAILADDRESS_TOO_LONG,
	MAILADDRESS_NOT_ASCII /* legal with SMTPUTF8 only */
};

enum mailaddress_flag {
	MAILADDRESS_UTF8 = 1,        /* RFC 6531: UTF-8 in both parts */
	MAILADDRESS_NULL = 2,        /* <> is welcome (MAIL FROM) */
	MAILADDRESS_POSTMASTER = 4,  /* <postmaster> is (RCPT TO, section 4.1.1.3) */
	MAILADDRESS_NO_DOMAIN = 8,   /* any local part without a domain is (sendmail's arguments) */
	MAILADDRESS_NO_BRACKETS = 16 /* a path may come without < and > (old clients) */
};

struct mailaddress {
	char text[MAILADDRESS_MAX + 2]; /* normal form, terminated; "" for the null path */
	uint8_t len, local_len;
	bool literal; /* the domain is an address literal */
	bool ascii;
};

/* Cuts a path off *rest, up to its '>' (without brackets: up to a space or the end), and blanks
 * before it.  What follows must be a blank or nothing.  On failure *rest and *out are undefined. */
enum mailaddress_result mailaddress_path(struct view *rest, unsigned flags,
                                         struct mailaddress *out);
/* The whole view is a mailbox without brackets: local@domain. */
enum mailaddress_result mailaddress_parse(struct view v, unsigned flags, struct mailaddress *out);
/* From an unquoted local part and a domain, e.g. out of a header (the local part is quoted as
 * needed). */
enum mailaddress_result mailaddress_join(struct view local, struct view domain, unsigned flags,
                                         struct mailaddress *out);
/* A sentence for an SMTP answer, without code and full stop. */
const char *mailaddress_explain(enum mailaddress_result result);

struct view mailaddress_domain(const struct mailaddress *a); /* empty: null path, or no domain */
struct view mailaddress_view(const struct mailaddress *a);
/* Is v a host name: labels of letters, digits, hyphen and underscore?  Lower-cased into out. */
enum mailaddress_result mailaddress_domain_parse(struct view v, unsigned flags,
                                                 char out[MAILADDRESS_DOMAIN_MAX + 1]);

#endif
