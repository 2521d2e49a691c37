/* SPDX-License-Identifier: ISC */
/* The Received line that smtpd puts before a message (RFC 5321 section 4.4). */
#ifndef SMTPD_RECEIVED_H
#define SMTPD_RECEIVED_H

#include "lib/wire/connection.h"

struct received {
	const char *helo;
	struct net_address client;
	const char *client_name; /* "": not known */
	const char *host;        /* ours */
	bool extended;           /* EHLO */
	bool authenticated;
	const struct connection_tls *tls;
	const char *id;
	const char *recipient; /* the only one; "" when there are several: the others would be shown
	                          to each */
	int64_t when_s;
};

/* RFC 3848: SMTP, ESMTP, ESMTPS, ESMTPA, ESMTPSA. */
const char *received_with(const struct received *r);
void received_write(const struct received *r, struct text *out);

#endif
