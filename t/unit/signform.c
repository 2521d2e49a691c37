/* SPDX-License-Identifier: ISC */
/* What keyd signs, and above all what it does not. */
#include "master/keyd/signform.h"

#include "lib/wire/sign.h"
#include "t/tap.h"

static char room[20000];

static struct view tls13(const char *words, size_t hash_bytes)
{
	size_t n = 64 + strlen(words) + 1;

	memset(room, 0, sizeof room);
	memset(room, ' ', 64);
	memcpy(room + 64, words, strlen(words));
	memset(room + n, 0xaa, hash_bytes);
	return (struct view){ room, n + hash_bytes };
}

static struct view tls12(unsigned curve, unsigned point_bytes, char first)
{
	memset(room, 0x55, 64);
	room[64] = 3;
	room[65] = (char)(curve >> 8);
	room[66] = (char)curve;
	room[67] = (char)point_bytes;
	memset(room + 68, 0x33, point_bytes);
	room[68] = first;
	return (struct view){ room, 68 + point_bytes };
}

static bool signs(enum sign_key_kind key, uint16_t scheme, struct view block)
{
	return sign_refusal(key, scheme, block) == NULL;
}

static const char server[] = "TLS 1.3, server CertificateVerify";

static void test_tls13(void)
{
	ok(signs(SIGN_KEY_RSA, SIGN_RSA_PSS_SHA256, tls13(server, 32)),
	   "TLS 1.3, RSA-PSS, a transcript of SHA-256");
	ok(signs(SIGN_KEY_P256, SIGN_ECDSA_SHA256, tls13(server, 48)),
	   "P-256, a transcript of SHA-384");
	ok(signs(SIGN_KEY_P384, SIGN_ECDSA_SHA384, tls13(server, 48)), "P-384");
	ok(signs(SIGN_KEY_ED25519, SIGN_ED25519, tls13(server, 32)), "Ed25519");
	ok(!signs(SIGN_KEY_RSA, SIGN_RSA_PKCS1_SHA256, tls13(server, 32)),
	   "not with PKCS1 (RFC 8446 section 4.2.3)");
	ok(!signs(SIGN_KEY_P256, SIGN_ECDSA_SHA384, tls13(server, 48)),
	   "not with a hash that is not the curve's");
	ok(!signs(SIGN_KEY_P256, SIGN_ECDSA_SHA256, tls13("TLS 1.3, client CertificateVerify", 32)),
	   "not as a client");
	ok(!signs(SIGN_KEY_P256, SIGN_ECDSA_SHA256, tls13("TLS 1.3, server certificateVerify", 32)),
	   "not with other words");
	ok(!signs(SIGN_KEY_P256, SIGN_ECDSA_SHA256, tls13(server, 31)) &&
	           !signs(SIGN_KEY_P256, SIGN_ECDSA_SHA256, tls13(server, 33)) &&
	           !signs(SIGN_KEY_P256, SIGN_ECDSA_SHA256, tls13(server, 0)) &&
	           !signs(SIGN_KEY_P256, SIGN_ECDSA_SHA256, tls13(server, 64)),
	   "not with a transcript of another length");
	struct view block = tls13(server, 32);
	bool any = false;

	for (size_t n = 0; n < block.len; n++)
		any = any || signs(SIGN_KEY_P256, SIGN_ECDSA_SHA256, view_take(block, n));
	ok(!any, "not cut anywhere");
	for (size_t i = 0; i < 98; i++) {
		block = tls13(server, 32);
		room[i] ^= 1;
		any = any || signs(SIGN_KEY_P256, SIGN_ECDSA_SHA256, block);
	}
	ok(!any, "not with any bit of the form wrong");
}

static void test_tls12(void)
{
	static const struct {
		unsigned curve, bytes;
		char first;
	} points[] = { { 23, 65, 4 },
		       { 24, 97, 4 },
		       { 25, (unsigned char)133, 4 },
		       { 29, 32, 9 },
		       { 30, 56, 9 } };

	for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
		ok(signs(SIGN_KEY_RSA, SIGN_RSA_PKCS1_SHA256,
		         tls12(points[i].curve, points[i].bytes, points[i].first)),
		   "TLS 1.2, curve %u", points[i].curve);
	ok(signs(SIGN_KEY_P256, SIGN_ECDSA_SHA512, tls12(29, 32, 9)), "any hash of TLS 1.2");
	ok(!signs(SIGN_KEY_RSA, SIGN_RSA_PKCS1_SHA256, tls12(23, 65, 2)), "no compressed point");
	ok(!signs(SIGN_KEY_RSA, SIGN_RSA_PKCS1_SHA256, tls12(29, 33, 9)),
	   "no point of another length");
	ok(!signs(SIGN_KEY_RSA, SIGN_RSA_PKCS1_SHA256, tls12(22, 65, 4)), "no other curve");
	struct view block = tls12(29, 32, 9);

	ok(!signs(SIGN_KEY_RSA, SIGN_RSA_PKCS1_SHA256, (struct view){ block.data, block.len + 1 }),
	   "not a byte more");
	bool any = false;

	for (size_t n = 0; n < block.len; n++)
		any = any || signs(SIGN_KEY_RSA, SIGN_RSA_PKCS1_SHA256, view_take(block, n));
	ok(!any, "not a byte less");
	room[64] = 1;
	ok(!signs(SIGN_KEY_RSA, SIGN_RSA_PKCS1_SHA256, block), "no explicit curve");
}

static void test_others(void)
{
	static const char dkim[] =
		"from:A <a@example.test>\r\nto:b@example.test\r\nsubject:hello\r\n"
		"dkim-signature:v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.test; s=k; b=";

	ok(!signs(SIGN_KEY_RSA, SIGN_RSA_PKCS1_SHA256, view_of(dkim)),
	   "not the header of a message (DKIM)");
	memset(room, 7, sizeof room);
	ok(!signs(SIGN_KEY_RSA, SIGN_RSA_PSS_SHA256, (struct view){ room, 32 }), "not a bare hash");
	ok(!signs(SIGN_KEY_RSA, SIGN_RSA_PSS_SHA256, (struct view){ room, 16384 }),
	   "not something long");
	ok(!signs(SIGN_KEY_RSA, SIGN_RSA_PSS_SHA256, (struct view){ NULL, 0 }), "not nothing");
	ok(!signs(SIGN_KEY_RSA, SIGN_ECDSA_SHA256, tls13(server, 32)) &&
	           !signs(SIGN_KEY_P256, SIGN_ED25519, tls13(server, 32)) &&
	           !signs(SIGN_KEY_ED25519, SIGN_RSA_PSS_SHA256, tls13(server, 32)),
	   "not with another key's scheme");
	ok(!signs(SIGN_KEY_RSA, 0x0201, tls12(29, 32, 9)) &&
	           !signs(SIGN_KEY_P256, 0x0203, tls12(29, 32, 9)),
	   "not with SHA-1");
}

int main(void)
{
	test_tls13();
	test_tls12();
	test_others();
	return tap_done();
}
