/* SPDX-License-Identifier: ISC */
/*
 * porter <-> keyd: protocol "sign". keyd holds the private keys and signs nothing but what has the
 * exact form of a TLS handshake signature (RFC 8446 section 4.4.3; RFC 5246 section 7.4.3); it
 * never decrypts.
 */
#ifndef LIB_WIRE_SIGN_H
#define LIB_WIRE_SIGN_H

#include "lib/wire/wire.h"

enum sign_type {
	SIGN_REQUEST = 16, /* struct sign_request */
	SIGN_SIGNATURE,    /* struct sign_answer: bytes */
	SIGN_REFUSED       /* struct sign_answer: string why */
};

enum {
	SIGN_KEY_BYTES = 32 /* SHA-256 of the SubjectPublicKeyInfo */,
	SIGN_BLOCK_MAX = 16384,
	SIGN_SIGNATURE_MAX = 1024,
	SIGN_REFUSAL_MAX = 256
};

enum sign_scheme { /* RFC 8446 section 4.2.3 code points */
	           SIGN_RSA_PKCS1_SHA256 = 0x0401,
	           SIGN_RSA_PKCS1_SHA384 = 0x0501,
	           SIGN_RSA_PKCS1_SHA512 = 0x0601,
	           SIGN_ECDSA_SHA256 = 0x0403,
	           SIGN_ECDSA_SHA384 = 0x0503,
	           SIGN_ECDSA_SHA512 = 0x0603,
	           SIGN_RSA_PSS_SHA256 = 0x0804,
	           SIGN_RSA_PSS_SHA384 = 0x0805,
	           SIGN_RSA_PSS_SHA512 = 0x0806,
	           SIGN_ED25519 = 0x0807
};

struct sign_request {
	uint8_t key[SIGN_KEY_BYTES];
	uint16_t scheme;
	struct view block; /* the whole block to be signed, not its hash */
};

void sign_request_put(struct wire_out *out, const struct sign_request *r);
bool sign_request_get(struct wire_in *in, struct sign_request *r);

/* One of the two is empty; never the signature and the refusal both. */
struct sign_answer {
	struct view signature, refusal;
};

void sign_answer_put(struct wire_out *out, const struct sign_answer *a);
bool sign_answer_get(struct wire_in *in, struct sign_answer *a);

#endif
