/* SPDX-License-Identifier: ISC */
/*
 * What a line of users.map says of a mailbox, and a domain's line of those that say nothing:
 * uid=N gid=N home=PATH quota=SIZE rights=LIST state=STATE, as text and compiled.
 */
#ifndef LIB_CONF_USERWORDS_H
#define LIB_CONF_USERWORDS_H

#include "lib/base/bytes.h"
#include "lib/base/limits.h"
#include "lib/base/reason.h"

struct value_reader;

enum user_right {
	USER_RIGHT_SMTP = 1, /* may submit */
	USER_RIGHT_POP3 = 2,
	USER_RIGHT_IMAP = 4,
	USER_RIGHT_WEB = 8,
	USER_RIGHT_ADMIN = 16,
	USER_RIGHTS_DEFAULT = USER_RIGHT_SMTP | USER_RIGHT_POP3 | USER_RIGHT_IMAP | USER_RIGHT_WEB
};

enum user_state {
	USER_ACTIVE,
	USER_LOCKED, /* receives mail, cannot log in */
	USER_CLOSED  /* neither */
};

enum { USER_HOME_MAX = HOME_MAX - 24 }; /* of the whole path */

struct user {
	uint32_t uid, gid;
	uint64_t quota_bytes; /* 0: none */
	unsigned rights;      /* of enum user_right */
	enum user_state state;
	struct view
		home; /* in a compiled value absolute and followed by no NUL: copy it to open it */
};

/* One "word=value"; 0, -1, or 1: not one of these words.  home stays a view of it. */
int user_parse_word(struct view word, struct user *out, struct reason *why);
/* What differs from the defaults as words of a line, each with a blank before it. */
void user_words(const struct user *u, struct text *out);
const char *user_state_name(enum user_state state);
void user_rights_text(unsigned rights, struct text *out); /* "smtp,pop3" */

void user_encode(const struct user *u, struct text *out);
void user_decode_fields(struct value_reader *r, struct user *out); /* as part of a larger value */

#endif
