/* SPDX-License-Identifier: ISC */
/*
 * What IMAP's CAPABILITY (RFC 3501 section 6.1.1) and POP3's CAPA (RFC 2449) tell, made from
 * tables: the row of a command names the capability it stands for, and one list of each protocol
 * names those that are no command.
 */
#ifndef LIB_LOGIN_CAPABILITY_H
#define LIB_LOGIN_CAPABILITY_H

#include "lib/base/bytes.h"

/* What is true of a client; a capability is told when one of its states is. */
enum capability_state {
	CAPABILITY_CAN_START_TLS = 1,
	CAPABILITY_PASSWORD_SAFE = 2,   /* not logged in: TLS is on, or auth.without-tls */
	CAPABILITY_PASSWORD_UNSAFE = 4, /* not logged in, and a password would be seen */
	CAPABILITY_LOGGED_IN = 8,
	CAPABILITY_BEFORE_LOGIN = CAPABILITY_PASSWORD_SAFE | CAPABILITY_PASSWORD_UNSAFE,
	CAPABILITY_ALWAYS = CAPABILITY_BEFORE_LOGIN | CAPABILITY_LOGGED_IN
};

enum capability_form {
	CAPABILITY_WORD,           /* as it stands */
	CAPABILITY_EACH_MECHANISM, /* once for each: "AUTH=" is AUTH=PLAIN AUTH=LOGIN */
	CAPABILITY_MECHANISMS      /* all behind it: "SASL" is SASL PLAIN LOGIN; none: not told */
};

struct capability {
	const char *word; /* NULL: the command is none */
	unsigned states;
	enum capability_form form;
};

/* Where they go: " IMAP4rev1", or a line each. */
struct capability_writer {
	struct text *out;
	const char *before, *after;
	unsigned states;
	const char *mechanisms; /* "PLAIN LOGIN", "" when there are none */
};

void capability_write(const struct capability_writer *w, const struct capability *c);

#endif
