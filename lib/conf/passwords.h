/* SPDX-License-Identifier: ISC */
/*
 * passwords.map: address -> hash.  Compiled, it is joined with the user, so that
 * authd alone needs one file, and nobody else has it.
 *
 *	anna@example.test  $argon2id$v=19$m=65536,t=2,p=1$...
 */
#ifndef LIB_CONF_PASSWORDS_H
#define LIB_CONF_PASSWORDS_H

#include "lib/conf/users.h"

enum { PASSWORD_HASH_MAX = 512 };

struct password {
	struct view hash;
	struct user user;
};

/* ASCII case does not matter.  The views point into the map. */
enum map_result passwords_get(struct map *m, struct view address, struct password *out);

/* Checks that the hash has one of the forms authd knows. */
int password_parse(struct view text, struct view *hash, struct reason *why);
void password_encode(const struct password *p, struct text *out);
bool password_decode(struct view value, struct password *out);

#endif
