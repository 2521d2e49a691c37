/* SPDX-License-Identifier: ISC */
/* Passwords on their way from a person to a hash.  The buffers are wiped by whoever holds them. */
#ifndef CONF_PASSWORD_H
#define CONF_PASSWORD_H

#include <stdbool.h>

#include "lib/base/reason.h"

enum { PASSWORD_MAX = 256, PASSWORD_HASH_ROOM = 128 };

/* The first line of standard input. */
int password_from_stdin(char out[PASSWORD_MAX + 1], struct reason *why);
/* Asked twice at the terminal without echo; an empty answer gives an empty string. */
int password_from_terminal(char out[PASSWORD_MAX + 1], struct reason *why);
/* Twenty letters and digits that are not mistaken for each other: more than 110 bits. */
void password_generate(char out[PASSWORD_MAX + 1]);
/* argon2id. */
int password_hash(const char *password, char out[PASSWORD_HASH_ROOM], struct reason *why);

#endif
