/* SPDX-License-Identifier: ISC */
/*
 * Is this the password of that stored hash?  libsodium's argon2 strings, what crypt(3) knows, RFC
 * 2307 digests, and the {SCHEME} prefixes under which other servers keep the same.  Runs in authd's
 * workers.
 */
#ifndef MASTER_AUTHD_HASH_H
#define MASTER_AUTHD_HASH_H

#include "lib/base/bytes.h"
#include "lib/conf/passwords.h"
#include "lib/wire/auth.h"

enum {
	/* What a stored hash may demand; one that wants more is unusable (somebody's slip must not
	 * stop the house). */
	HASH_ARGON2_MEMORY_MAX_KIB = 1 << 20, /* libsodium's "sensitive" */
	HASH_ARGON2_TURNS_MAX = 100,
	HASH_BCRYPT_COST_MAX = 16,
	HASH_SHA_CRYPT_ROUNDS_MAX = 5000000
};

enum hash_result {
	HASH_MATCHES,
	HASH_DIFFERS,
	HASH_UNUSABLE, /* not a hash, or one that cannot be computed here: nobody can log in with it
	                */
	HASH_RESULTS
};

enum hash_result hash_check(struct view stored, struct view password);

/* Is the form known, and its cost within the limits? */
bool hash_usable(struct view stored);

#endif
