/* SPDX-License-Identifier: ISC */
#include "master/authd/hash.h"

#include <crypt.h>
#include <errno.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <string.h>

#include "lib/mail/encoding.h"

enum { DIGEST_MAX = 64, SALT_MAX = 64 };

/* ---- what a hash may cost ---- */

/* The number behind `key` in the field list, or 0. */
static uint64_t parameter(struct view stored, const char *key)
{
	struct view rest = stored, field, part;
	uint64_t number;

	while (view_cut(&rest, '$', &field))
		while (view_cut(&field, ',', &part))
			if (view_starts(part, view_of(key)) &&
			    view_number(view_skip(part, strlen(key)), UINT32_MAX, &number))
				return number;
	return 0;
}

static bool argon2_affordable(struct view stored)
{
	uint64_t memory_kib = parameter(stored, "m="), turns = parameter(stored, "t=");

	return memory_kib > 0 && memory_kib <= HASH_ARGON2_MEMORY_MAX_KIB && turns > 0 &&
	       turns <= HASH_ARGON2_TURNS_MAX;
}

/* "$2y$12$...": the cost is a power of two. */
static bool bcrypt_affordable(struct view stored)
{
	uint64_t cost;

	return view_number(view_take(view_skip(stored, 4), 2), 99, &cost) &&
	       cost <= HASH_BCRYPT_COST_MAX;
}

static bool sha_crypt_affordable(struct view stored)
{
	return parameter(stored, "rounds=") <= HASH_SHA_CRYPT_ROUNDS_MAX;
}

/* ---- the ways to check ---- */

/* crypto_pwhash_str_verify tells a wrong password by EINVAL from a string it cannot read or
 * afford. */
static enum hash_result argon2_check(struct view stored, struct view password)
{
	char text[PASSWORD_HASH_MAX + 1];

	if (!string_copy(text, sizeof text, stored))
		return HASH_UNUSABLE;
	errno = 0;
	if (crypto_pwhash_str_verify(text, password.data, password.len) == 0)
		return HASH_MATCHES;
	return errno == EINVAL ? HASH_DIFFERS : HASH_UNUSABLE;
}

static enum hash_result compare_crypt(const char *text, const char *made)
{
	if (made == NULL || made[0] == '*' || strlen(made) != strlen(text))
		return HASH_UNUSABLE;
	return sodium_memcmp(made, text, strlen(text)) == 0 ? HASH_MATCHES : HASH_DIFFERS;
}

static enum hash_result crypt_check(struct view stored, struct view password)
{
	static struct crypt_data data;
	char text[PASSWORD_HASH_MAX + 1], phrase[CRYPT_MAX_PASSPHRASE_SIZE];

	/* crypt() takes a C string of at most this length: no hash was made of anything else. */
	if (password.len >= sizeof phrase ||
	    (password.len && memchr(password.data, '\0', password.len) != NULL))
		return HASH_DIFFERS;
	if (!string_copy(text, sizeof text, stored))
		return HASH_UNUSABLE;
	string_put(phrase, sizeof phrase, password);
	enum hash_result result = compare_crypt(text, crypt_r(phrase, text, &data));

	sodium_memzero(&data, sizeof data);
	sodium_memzero(phrase, sizeof phrase);
	return result;
}

/* Digest of password and salt, base64 of digest and salt (RFC 2307 section 5.3; the salted ones are
 * OpenLDAP's). */
static enum hash_result digest_check(struct view encoded, struct view password, const char *name,
                                     size_t digest_bytes, bool salted)
{
	struct text decoded;
	unsigned char made[EVP_MAX_MD_SIZE], input[AUTH_PASSWORD_MAX + SALT_MAX];
	size_t made_bytes = 0;
	enum hash_result result = HASH_UNUSABLE;

	text_init(&decoded, DIGEST_MAX + SALT_MAX);
	bool good = base64_decode_strict(encoded, &decoded) &&
	            (salted ? decoded.len > digest_bytes && decoded.len <= digest_bytes + SALT_MAX
	                    : decoded.len == digest_bytes);

	if (good && password.len <= AUTH_PASSWORD_MAX) {
		size_t salt_bytes = decoded.len - digest_bytes;

		if (password.len)
			memcpy(input, password.data, password.len);
		memcpy(input + password.len, decoded.raw + digest_bytes, salt_bytes);
		if (EVP_Q_digest(NULL, name, NULL, input, password.len + salt_bytes, made,
		                 &made_bytes) == 1 &&
		    made_bytes == digest_bytes)
			result = sodium_memcmp(made, decoded.raw, digest_bytes) == 0 ? HASH_MATCHES
			                                                             : HASH_DIFFERS;
	}
	sodium_memzero(input, sizeof input);
	text_free(&decoded);
	return result;
}

/* ---- the forms ---- */

struct digest {
	const char *prefix, *name;
	size_t bytes;
	bool salted;
};

static const struct digest digests[] = {
	{ "{SSHA}", "SHA1", 20, true },      { "{SSHA256}", "SHA256", 32, true },
	{ "{SSHA512}", "SHA512", 64, true }, { "{SHA}", "SHA1", 20, false },
	{ "{SHA1}", "SHA1", 20, false },     { "{SHA256}", "SHA256", 32, false },
	{ "{SHA512}", "SHA512", 64, false },
};

struct form {
	const char *prefix;
	enum hash_result (*compare)(struct view stored, struct view password);
	bool (*affordable)(struct view stored); /* NULL: bounded by the worker's memory and time
	                                           limits alone */
};

static const struct form forms[] = {
	{ "$argon2id$", argon2_check, argon2_affordable },
	{ "$argon2i$", argon2_check, argon2_affordable },
	{ "$2a$", crypt_check, bcrypt_affordable },
	{ "$2b$", crypt_check, bcrypt_affordable },
	{ "$2y$", crypt_check, bcrypt_affordable },
	{ "$5$", crypt_check, sha_crypt_affordable },
	{ "$6$", crypt_check, sha_crypt_affordable },
	{ "$y$", crypt_check, NULL },
	{ "$7$", crypt_check, NULL },
	{ "$1$", crypt_check, NULL },
};

/* Dovecot's and OpenLDAP's names for what stands behind them. {PLAIN} is not among them: a map is
 * no place for clear passwords. */
static const char *const wrappers[] = { "{CRYPT}",     "{ARGON2ID}",     "{ARGON2I}",
	                                "{BLF-CRYPT}", "{SHA256-CRYPT}", "{SHA512-CRYPT}",
	                                "{MD5-CRYPT}" };

#define COUNT(array) (sizeof array / sizeof array[0])

static struct view unwrap(struct view stored)
{
	for (size_t i = 0; i < COUNT(wrappers); i++)
		if (view_starts_nocase(stored, view_of(wrappers[i])))
			return view_skip(stored, strlen(wrappers[i]));
	return stored;
}

static const struct form *form_of(struct view stored)
{
	for (size_t i = 0; i < COUNT(forms); i++)
		if (view_starts(stored, view_of(forms[i].prefix)))
			return &forms[i];
	return NULL;
}

static const struct digest *digest_of(struct view stored)
{
	for (size_t i = 0; i < COUNT(digests); i++)
		if (view_starts_nocase(stored, view_of(digests[i].prefix)))
			return &digests[i];
	return NULL;
}

bool hash_usable(struct view stored)
{
	const struct form *form = form_of(unwrap(stored));

	if (form == NULL)
		return digest_of(stored) != NULL;
	return form->affordable == NULL || form->affordable(unwrap(stored));
}

enum hash_result hash_check(struct view stored, struct view password)
{
	const struct digest *d = digest_of(stored);

	if (password.data == NULL)
		password.data = "";
	if (!hash_usable(stored))
		return HASH_UNUSABLE;
	if (d != NULL)
		return digest_check(view_skip(stored, strlen(d->prefix)), password, d->name,
		                    d->bytes, d->salted);
	return form_of(unwrap(stored))->compare(unwrap(stored), password);
}
