/* SPDX-License-Identifier: ISC */
/*
 * The SASL mechanisms (RFC 4422), as authd runs them: one step function each, in a table made from
 * lib/wire/auth.h's list.
 *
 * A step takes what the client said and ends in a challenge, in a name and password to be checked,
 * or in refusal. A mechanism that proves the password without showing it (SCRAM) or shows a token
 * (OAUTHBEARER) becomes a further row there and a further member of `enum sasl_result` here:
 * "proven".
 */
#ifndef MASTER_AUTHD_MECHANISM_H
#define MASTER_AUTHD_MECHANISM_H

#include "lib/wire/auth.h"

enum sasl_result {
	SASL_CHALLENGE, /* *challenge is for the client */
	SASL_CHECK,     /* user and password are complete */
	SASL_DENIED,    /* well-formed, but can never succeed: an empty password, another one's
	                   identity */
	SASL_MALFORMED
};

/* One exchange; lives in sodium memory, which is wiped at its end. */
struct sasl {
	enum auth_mechanism mechanism;
	unsigned step; /* how many steps are behind it */
	char user[AUTH_ADDRESS_MAX];
	char password[AUTH_PASSWORD_MAX + 1];
	size_t password_len;
};

void sasl_start(struct sasl *s, enum auth_mechanism mechanism);
/* has_input: the client said something, if only an empty message (an initial response is
 * optional). */
enum sasl_result sasl_step(struct sasl *s, bool has_input, struct view input,
                           struct view *challenge);

#endif
