/* SPDX-License-Identifier: ISC */
#include "lib/conf/passwords.h"

#include "lib/base/shown.h"
#include "lib/conf/mapbuild.h"
#include "lib/conf/value.h"

/* What authd can check (master/authd/hash.c; its test ties the two lists): libsodium's strings,
 * crypt(3), RFC 2307 digests, and all of them behind the prefixes that Dovecot uses. */
static const char *const forms[] = {
	"$argon2id$",
	"$argon2i$",
	"$2a$",
	"$2b$",
	"$2y$",
	"$5$",
	"$6$",
	"$y$",
	"$7$",
	"$1$",
	"{SSHA}",
	"{SSHA256}",
	"{SSHA512}",
	"{SHA}",
	"{SHA1}",
	"{SHA256}",
	"{SHA512}",
	"{CRYPT}$",
	"{ARGON2ID}",
	"{ARGON2I}",
	"{BLF-CRYPT}",
	"{SHA256-CRYPT}",
	"{SHA512-CRYPT}",
	"{MD5-CRYPT}",
};

int password_parse(struct view text, struct view *hash, struct reason *why)
{
	*hash = view_trim(text);
	if (hash->len > PASSWORD_HASH_MAX)
		return fail(why, "the password hash is longer than %d bytes", PASSWORD_HASH_MAX);
	for (size_t i = 0; i < hash->len; i++)
		if (byte_is_space(hash->data[i]))
			return fail(why, "white space in the password hash");
	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
		if (view_starts_nocase(*hash, view_of(forms[i])))
			return 0;
	return fail(why,
	            "unknown form of password hash ($argon2id$, $2y$, $5$, $6$, $y$, {SSHA...}); "
	            "posthouse user passwd makes one");
}

void password_encode(const struct password *p, struct text *out)
{
	value_put_bytes(out, p->hash);
	user_encode(&p->user, out);
}

bool password_decode(struct view value, struct password *out)
{
	struct value_reader r = { .rest = value };

	out->hash = value_get_bytes(&r);
	user_decode_fields(&r, &out->user);
	return value_end(&r);
}

enum map_result passwords_get(struct map *m, struct view address, struct password *out)
{
	struct view value;
	enum map_result result = map_get_lower(m, VIEW(""), address, &value);

	if (result == MAP_FOUND && !password_decode(value, out))
		return MAP_DAMAGED;
	return result;
}

/* ---- for the build ---- */

static void fail_no_user(struct view key, struct reason *why)
{
	struct text word;

	text_init(&word, SHELL_WORD_MAX(key.len));
	text_add_shell_word(&word, key);
	fail(why, "%.*s is not in users.map; posthouse user add %s, or remove the line",
	     VIEW_ARG(key), text_string(&word));
	text_free(&word);
}

int passwords_compile(const struct mapbuild *b, struct view key, struct view value,
                      struct text *out, struct reason *why)
{
	struct view user;
	struct password p = { .hash = { "", 0 } };
	int result = -1;

	if (!b->find(b->builder, MAP_USERS, key, &user) || !user_decode(user, &p.user))
		fail_no_user(key, why);
	else
		result = password_parse(value, &p.hash, why);
	password_encode(&p, out);
	return result;
}

bool passwords_show(struct view key, struct view value, struct text *key_out, struct text *out)
{
	struct password p;

	if (!password_decode(value, &p))
		return false;
	text_add(out, p.hash);
	text_add(key_out, key);
	return true;
}
