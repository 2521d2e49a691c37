/* SPDX-License-Identifier: ISC */
#include "lib/wire/signkey.h"

#include <openssl/evp.h>
#include <string.h>

#include "lib/wire/sign.h"

enum {
	RSA_BITS_MIN = 2048, /* OpenSSL's security level 2, and what clients take */
	RSA_BITS_MAX = 8 * SIGN_SIGNATURE_MAX
};

static int judge_rsa(const EVP_PKEY *key, struct reason *why)
{
	int bits = EVP_PKEY_get_bits(key);

	if (bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX)
		return 0;
	return fail(why, "an RSA key of %d bits, not of %d to %d", bits, RSA_BITS_MIN,
	            RSA_BITS_MAX);
}

static int judge_curve(const EVP_PKEY *key, enum sign_key_kind *kind, struct reason *why)
{
	char group[64] = "unnamed";

	EVP_PKEY_get_group_name(key, group, sizeof group, NULL);
	*kind = strcmp(group, "secp384r1") == 0 ? SIGN_KEY_P384 : SIGN_KEY_P256;
	if (*kind == SIGN_KEY_P384 || strcmp(group, "prime256v1") == 0)
		return 0;
	return fail(why, "an EC key of the curve %s, not P-256 or P-384", group);
}

int sign_key_judge(const EVP_PKEY *key, enum sign_key_kind *kind, struct reason *why)
{
	if (EVP_PKEY_is_a(key, "RSA")) {
		*kind = SIGN_KEY_RSA;
		return judge_rsa(key, why);
	}
	if (EVP_PKEY_is_a(key, "EC"))
		return judge_curve(key, kind, why);
	if (EVP_PKEY_is_a(key, "ED25519")) {
		*kind = SIGN_KEY_ED25519;
		return 0;
	}
	const char *name = EVP_PKEY_get0_type_name(key);

	return fail(why, "a key of the type %s, not RSA, P-256, P-384 or Ed25519",
	            name != NULL ? name : "unknown");
}
