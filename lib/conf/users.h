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
#include "lib/conf/userwords.h"

/* A whole line; *out holds the defaults before.  home lives in the arena. */
int user_parse(struct view text, struct arena *arena, struct user *out, struct reason *why);
/* Puts a home together: %u and %d in it are the address's parts; relative to root. Refuses "..". */
int user_home(struct view home, struct view address, struct view root, struct text *out,
              struct reason *why);
/* Is home below root, by its name alone (no "..")? The build refuses others, and so does each
 * program to which another one names a home. */
bool user_home_allowed(const char *root, const char *home);
bool user_decode(struct view value, struct user *out);

#endif
