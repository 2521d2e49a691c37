/* SPDX-License-Identifier: ISC */
/*
 * The little of IMAP's grammar (RFC 3501 section 9) that a client needs to log in. Pure: views in,
 * views out; imapd's own parser, which knows the whole of it, is not fed by strangers.
 */
#ifndef IMAPD_LOGIN_COMMAND_H
#define IMAPD_LOGIN_COMMAND_H

#include "lib/wire/auth.h"

enum {
	LOGIN_COMMAND_MAX = 24576, /* a command with its literals: a line of SASL and both literals
	                              of LOGIN fit */
	LOGIN_LITERAL_MAX = 4096
};

/* tag SP name [SP arguments] */
struct login_head {
	char tag[AUTH_TAG_MAX];
	struct view name, arguments;
};

bool login_tag(struct view command, char tag[AUTH_TAG_MAX]);
bool login_head(struct view command, struct login_head *head);

/* How a line ends: "{12}" asks for a go-ahead, "{12+}" does not (RFC 7888). */
enum login_literal { LITERAL_NONE, LITERAL_ASKED, LITERAL_UNASKED, LITERAL_TOO_LARGE, LITERAL_BAD };
enum login_literal login_literal_end(struct view line, size_t *bytes);

/* Take one astring (atom, quoted, or literal in place) or one space off the front. */
bool login_astring(struct view *rest, struct text *out);
bool login_space(struct view *rest);

#endif
