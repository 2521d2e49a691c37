/* SPDX-License-Identifier: ISC */
/*
 * users.map: the mailboxes.
 *
 *	anna@example.test  [uid=N] [gid=N] [home=PATH] [quota=SIZE] [rights=LIST] [state=STATE]
 *
 * Compiled, everything is settled: numbers instead of defaults, home absolute.  The
 * mail is in home/Maildir.
 */
#ifndef LIB_CONF_USERS_H
#define LIB_CONF_USERS_H

#include "lib/base/arena.h"
#include "lib/conf/map.h"

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

enum { USER_HOME_MAX = 1000 }; /* of the whole path */

struct user {
	uint32_t uid, gid;
	uint64_t quota_bytes; /* 0: none */
	unsigned rights;      /* of enum user_right */
	enum user_state state;
	struct view
		home; /* in a compiled value absolute and followed by no NUL: copy it to open it */
};

/* ASCII case does not matter.  home points into the map. */
enum map_result users_get(struct map *m, struct view address, struct user *out);

/* One "word=value" of a users line or of a domain's defaults; 0, -1, or 1: not a word of users. */
int user_parse_word(struct view word, struct user *out, struct reason *why);
/* A whole line; *out holds the defaults before.  home lives in the arena. */
int user_parse(struct view text, struct arena *arena, struct user *out, struct reason *why);
/* Puts a home together: %u and %d in it are the address's parts; relative to root. Refuses "..". */
int user_home(struct view home, struct view address, struct view root, struct text *out,
              struct reason *why);
void user_encode(const struct user *u, struct text *out);
void user_decode_fields(struct value_reader *r, struct user *out); /* as part of a larger value */
bool user_decode(struct view value, struct user *out);
const char *user_state_name(enum user_state state);
void user_rights_text(unsigned rights, struct text *out); /* "smtp,pop3" */
/* What differs from the defaults as words of a line, each with a blank before it. */
void user_words(const struct user *u, struct text *out);

#endif
