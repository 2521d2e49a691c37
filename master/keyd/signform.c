/* SPDX-License-Identifier: ISC */
#include "master/keyd/signform.h"

#include "lib/wire/sign.h"

enum {
	TLS13_PADDING = 64,    /* spaces, RFC 8446 section 4.4.3 */
	TLS12_RANDOMS = 64,    /* of client and server, RFC 8422 section 5.4 */
	TLS12_NAMED_CURVE = 3, /* ECCurveType */
	TLS12_PARAMS_HEAD = 4, /* type, curve, length of the point */
	POINT_UNCOMPRESSED = 4
};

/* Which keys, and in which versions (PKCS1 is not for TLS 1.3, section 4.2.3). */
static const struct scheme_row {
	uint16_t scheme;
	uint8_t kinds; /* bits of sign_key_kind */
	uint8_t tls13; /* the kinds that may use it in TLS 1.3: each curve has one hash there */
} schemes[] = {
#define KIND(name) (1u << SIGN_KEY_##name)
	{ SIGN_RSA_PKCS1_SHA256, KIND(RSA), 0 },
	{ SIGN_RSA_PKCS1_SHA384, KIND(RSA), 0 },
	{ SIGN_RSA_PKCS1_SHA512, KIND(RSA), 0 },
	{ SIGN_RSA_PSS_SHA256, KIND(RSA), KIND(RSA) },
	{ SIGN_RSA_PSS_SHA384, KIND(RSA), KIND(RSA) },
	{ SIGN_RSA_PSS_SHA512, KIND(RSA), KIND(RSA) },
	{ SIGN_ECDSA_SHA256, KIND(P256) | KIND(P384), KIND(P256) },
	{ SIGN_ECDSA_SHA384, KIND(P256) | KIND(P384), KIND(P384) },
	{ SIGN_ECDSA_SHA512, KIND(P256) | KIND(P384), 0 },
	{ SIGN_ED25519, KIND(ED25519), KIND(ED25519) },
#undef KIND
};

static const struct scheme_row *find_scheme(uint16_t scheme)
{
	for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
		if (schemes[i].scheme == scheme)
			return &schemes[i];
	return NULL;
}

/* 64 spaces, the words with their NUL, the transcript's hash of 32 or 48 bytes. */
static bool is_tls13(struct view block)
{
	static const struct view words = { "TLS 1.3, server CertificateVerify", 34 };

	for (size_t i = 0; i < TLS13_PADDING; i++)
		if (i >= block.len || block.data[i] != ' ')
			return false;
	struct view rest = view_skip(block, TLS13_PADDING), hash = view_skip(rest, words.len);

	return view_starts(rest, words) && (hash.len == 32 || hash.len == 48);
}

static unsigned byte_at(struct view v, size_t place)
{
	return (unsigned char)v.data[place];
}

/* The length of a public point by the curve's number; 0: not one of ours. */
static size_t point_bytes(unsigned curve, bool *has_form)
{
	*has_form = curve == 23 || curve == 24 || curve == 25;
	switch (curve) {
	case 23: /* secp256r1 */ return 65;
	case 24: /* secp384r1 */ return 97;
	case 25: /* secp521r1 */ return 133;
	case 29: /* x25519 */ return 32;
	case 30: /* x448 */ return 56;
	default: return 0;
	}
}

/* Both randoms and ServerECDHParams (RFC 5246 section 7.4.3, RFC 8422 section 5.4), to the last
 * byte. */
static bool is_tls12(struct view block)
{
	struct view params = view_skip(block, TLS12_RANDOMS);
	bool has_form;

	if (params.len < TLS12_PARAMS_HEAD || byte_at(params, 0) != TLS12_NAMED_CURVE)
		return false;
	size_t point = point_bytes(byte_at(params, 1) << 8 | byte_at(params, 2), &has_form);

	if (point == 0 || byte_at(params, 3) != point || params.len != TLS12_PARAMS_HEAD + point)
		return false;
	return !has_form || byte_at(params, TLS12_PARAMS_HEAD) == POINT_UNCOMPRESSED;
}

const char *sign_refusal(enum sign_key_kind key, uint16_t scheme, struct view block)
{
	const struct scheme_row *row = find_scheme(scheme);

	if (row == NULL || (row->kinds & 1u << key) == 0)
		return "signature scheme does not fit the key";
	if (is_tls13(block))
		return row->tls13 & 1u << key ? NULL : "signature scheme not allowed in TLS 1.3";
	if (is_tls12(block))
		return NULL;
	return "not a TLS handshake";
}
