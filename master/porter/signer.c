/* SPDX-License-Identifier: ISC */
/*
 * Private keys that are not here: an OpenSSL provider, built in, whose keys hold a public key and
 * whose signatures keyd makes.
 *
 * A provider, because it is given the whole block to be signed (digest-sign), so that keyd can see
 * that it is a TLS handshake; ENGINE and RSA_METHOD are given a bare hash, and are gone from
 * OpenSSL 4. It has keys and signatures for RSA, EC and Ed25519 and nothing else: no decryption, no
 * key exchange.
 *
 * The question to keyd blocks: it answers within a millisecond (RSA-2048), and a handshake that
 * waits in the loop would need OpenSSL's fibres for a gain that a second porter process gives too.
 * A keyd that has no time to answer, on a busy machine, may take SIGN_WAIT_MS; one that hangs costs
 * that once: who owes an answer is asked nothing more, and waited for SIGN_LATE_MS by a handshake.
 */
#include "master/porter/signer.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/wire/connection.h"
#include "lib/wire/sign.h"

enum {
	SIGN_WAIT_MS = CONNECTION_HANDSHAKE_MS / 3, /* all clients of this process wait too */
	SIGN_LATE_MS = 250,
	LINES_TRIED_MAX =
		8 /* each keyd that is replaced before it has heard the question costs one */
};

#define PROVIDER "posthouse"
#define PARAM_SPKI \
	"posthouse-spki" /* DER of the SubjectPublicKeyInfo: all that such a key is made from */

/* ---- keyd ---- */

static int keyd_line = -1;
static bool keyd_owes; /* an answer that nobody waits for any more */

static enum wire_result take_late_answer(void)
{
	struct wire_in late;
	enum wire_result r = wire_receive_within(keyd_line, &late, SIGN_LATE_MS);

	if (r == WIRE_OK)
		wire_in_close(&late);
	return r;
}

static enum wire_result ask_once(const struct wire_out *out, struct wire_in *in)
{
	enum wire_result r = WIRE_OK;

	if (keyd_line < 0)
		keyd_line = wire_dial(program_fd("keyd.sign"), "sign", 0);
	if (keyd_line < 0)
		return WIRE_ERROR;
	if (keyd_owes)
		r = take_late_answer();
	if (r == WIRE_OK)
		r = wire_call(keyd_line, out, in, SIGN_WAIT_MS);
	keyd_owes = r == WIRE_AGAIN;
	if (r != WIRE_OK && r != WIRE_AGAIN) {
		close(keyd_line);
		keyd_line = -1;
	}
	return r;
}

static bool take_signature(struct wire_in *in, unsigned char *signature, size_t size, size_t *len)
{
	struct sign_answer a;

	if (!sign_answer_get(in, &a) || a.signature.len > size) {
		log_warn("event=sign-failed reason=\"invalid response from keyd\"");
		return false;
	}
	if (a.refusal.len) {
		log_warn("event=sign-failed reason=\"keyd: %s\"", log_text(a.refusal));
		return false;
	}
	memcpy(signature, a.signature.data, a.signature.len);
	*len = a.signature.len;
	return true;
}

static bool keyd_sign(const struct sign_request *request, unsigned char *signature, size_t size,
                      size_t *len)
{
	static struct wire_out out;
	struct wire_in in;

	sign_request_put(&out, request);
	enum wire_result r = WIRE_CLOSED;

	/* A keyd that was replaced has closed the line: its successor is on the same wire. */
	for (int turn = 0; turn < LINES_TRIED_MAX && r == WIRE_CLOSED; turn++)
		r = ask_once(&out, &in);
	if (r != WIRE_OK) {
		log_warn("event=sign-failed reason=\"keyd: %s\"",
		         log_text(view_of(wire_reason(r))));
		return false;
	}
	bool good = take_signature(&in, signature, size, len);

	wire_in_close(&in);
	return good;
}

/* ---- keys ---- */

enum kind { KIND_RSA, KIND_EC, KIND_ED25519 };

struct held {
	EVP_PKEY *public_key; /* of the default provider */
	unsigned char digest[SIGN_KEY_BYTES];
	enum kind kind;
};

static void *held_new(void *provider)
{
	(void)provider;
	return calloc(1, sizeof(struct held));
}

static void held_free(void *key)
{
	struct held *h = key;

	EVP_PKEY_free(h->public_key);
	free(h);
}

static int held_import(void *key, int selection, const OSSL_PARAM params[])
{
	struct held *h = key;
	const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, PARAM_SPKI);

	(void)selection;
	if (p == NULL || p->data_type != OSSL_PARAM_OCTET_STRING)
		return 0;
	const unsigned char *der = p->data;

	SHA256(der, p->data_size, h->digest);
	h->public_key = d2i_PUBKEY(NULL, &der, (long)p->data_size);
	if (h->public_key == NULL)
		return 0;
	h->kind = EVP_PKEY_is_a(h->public_key, "RSA")  ? KIND_RSA
	          : EVP_PKEY_is_a(h->public_key, "EC") ? KIND_EC
	                                               : KIND_ED25519;
	return 1;
}

static const OSSL_PARAM *held_import_types(int selection)
{
	static const OSSL_PARAM types[] = { OSSL_PARAM_octet_string(PARAM_SPKI, NULL, 0),
		                            OSSL_PARAM_END };

	(void)selection;
	return types;
}

/* Public parts only: OpenSSL may compare us with a certificate, and must not move us to another
 * provider to sign. */
static int held_export(void *key, int selection, OSSL_CALLBACK *take, void *argument)
{
	const struct held *h = key;

	if (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY)
		return 0;
	return EVP_PKEY_export(h->public_key, EVP_PKEY_PUBLIC_KEY, take, argument);
}

static const OSSL_PARAM *held_export_types(int selection)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0), OSSL_PARAM_END
	};

	return selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY ? NULL : types;
}

static int held_has(const void *key, int selection)
{
	(void)selection;
	return key != NULL;
}

static int held_match(const void *a, const void *b, int selection)
{
	const struct held *one = a, *other = b;

	(void)selection;
	return memcmp(one->digest, other->digest, sizeof one->digest) == 0;
}

/* Sizes, strength, the curve's name: all of it public. */
static int held_get_params(void *key, OSSL_PARAM params[])
{
	const struct held *h = key;

	return EVP_PKEY_get_params(h->public_key, params);
}

static const OSSL_PARAM *held_gettable_params(void *provider)
{
	static const OSSL_PARAM params[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)provider;
	return params;
}

static const char *ec_operation(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

/* ---- signatures ---- */

struct signing {
	const struct held *key;
	bool pss;
	unsigned digest_bits; /* 0 for Ed25519 */
};

static void *signing_new(void *provider, const char *properties)
{
	(void)provider, (void)properties;
	return calloc(1, sizeof(struct signing));
}

static void signing_free(void *context)
{
	free(context);
}

static unsigned digest_bits(const char *name)
{
	static const struct {
		const char *name;
		unsigned bits;
	} digests[] = {
		{ "SHA256", 256 },   { "SHA384", 384 },   { "SHA512", 512 },
		{ "SHA2-256", 256 }, { "SHA2-384", 384 }, { "SHA2-512", 512 },
	};

	for (size_t i = 0; i < sizeof digests / sizeof digests[0]; i++)
		if (view_equal_nocase(view_of(name), view_of(digests[i].name)))
			return digests[i].bits;
	return 0;
}

static int signing_set_params(void *context, const OSSL_PARAM params[])
{
	struct signing *s = context;
	const OSSL_PARAM *mode =
		params ? OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE) : NULL;
	int number;

	if (mode == NULL)
		return 1;
	if (mode->data_type == OSSL_PARAM_UTF8_STRING)
		s->pss = view_equal_nocase(view_of(mode->data), VIEW(OSSL_PKEY_RSA_PAD_MODE_PSS));
	else if (OSSL_PARAM_get_int(mode, &number))
		s->pss = number == RSA_PKCS1_PSS_PADDING;
	else
		return 0;
	return 1;
}

static const OSSL_PARAM *signing_settable_params(void *context, void *provider)
{
	static const OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL,
		                       0), /* that of the digest, always */
		OSSL_PARAM_END,
	};

	(void)context, (void)provider;
	return params;
}

static int signing_begin(void *context, const char *digest, void *key, const OSSL_PARAM params[])
{
	struct signing *s = context;

	if (key != NULL)
		s->key = key;
	s->pss = false;
	s->digest_bits = digest && *digest ? digest_bits(digest) : 0;
	if (s->key == NULL || (s->digest_bits == 0) != (s->key->kind == KIND_ED25519))
		return 0;
	return signing_set_params(s, params);
}

/* The code points of RFC 8446 section 4.2.3; 0: none. */
static uint16_t scheme_of(const struct signing *s)
{
	unsigned size = s->digest_bits == 256 ? 0 : s->digest_bits == 384 ? 1 : 2;

	switch (s->key->kind) {
	case KIND_ED25519: return SIGN_ED25519;
	case KIND_EC: return (uint16_t)(SIGN_ECDSA_SHA256 + (size << 8));
	case KIND_RSA:
		return (uint16_t)(s->pss ? SIGN_RSA_PSS_SHA256 + size
		                         : SIGN_RSA_PKCS1_SHA256 + (size << 8));
	}
	return 0;
}

static int signing_sign(void *context, unsigned char *signature, size_t *len, size_t size,
                        const unsigned char *block, size_t block_len)
{
	const struct signing *s = context;
	size_t most = (size_t)EVP_PKEY_get_size(s->key->public_key);

	if (signature == NULL) {
		*len = most;
		return 1;
	}
	struct sign_request request = { .scheme = scheme_of(s),
		                        .block = { (const char *)block, block_len } };

	if (block_len > SIGN_BLOCK_MAX)
		return 0;
	memcpy(request.key, s->key->digest, sizeof request.key);
	return keyd_sign(&request, signature, size, len);
}

/* ---- the provider ---- */

#define FUNCTION(id, function)               \
	{                                    \
		id, (void (*)(void))function \
	}
#define KEY_FUNCTIONS                                                                           \
	FUNCTION(OSSL_FUNC_KEYMGMT_NEW, held_new), FUNCTION(OSSL_FUNC_KEYMGMT_FREE, held_free), \
		FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT, held_import),                                \
		FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, held_import_types),                    \
		FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT, held_export),                                \
		FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, held_export_types),                    \
		FUNCTION(OSSL_FUNC_KEYMGMT_HAS, held_has),                                      \
		FUNCTION(OSSL_FUNC_KEYMGMT_MATCH, held_match),                                  \
		FUNCTION(OSSL_FUNC_KEYMGMT_GET_PARAMS, held_get_params),                        \
		FUNCTION(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, held_gettable_params)

static const OSSL_DISPATCH key_functions[] = { KEY_FUNCTIONS, { 0, NULL } };
static const OSSL_DISPATCH ec_functions[] = {
	KEY_FUNCTIONS,
	FUNCTION(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, ec_operation),
	{ 0, NULL },
};

static const OSSL_DISPATCH signature_functions[] = {
	FUNCTION(OSSL_FUNC_SIGNATURE_NEWCTX, signing_new),
	FUNCTION(OSSL_FUNC_SIGNATURE_FREECTX, signing_free),
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, signing_begin),
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, signing_sign),
	FUNCTION(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, signing_set_params),
	FUNCTION(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, signing_settable_params),
	{ 0, NULL },
};

#define PROPERTIES "provider=" PROVIDER

static const OSSL_ALGORITHM *query(void *provider, int operation, int *no_cache)
{
	static const OSSL_ALGORITHM keys[] = {
		{ "RSA:rsaEncryption", PROPERTIES, key_functions, "RSA keys in keyd" },
		{ "EC:id-ecPublicKey", PROPERTIES, ec_functions, "EC keys in keyd" },
		{ "ED25519", PROPERTIES, key_functions, "Ed25519 keys in keyd" },
		{ NULL, NULL, NULL, NULL },
	};
	static const OSSL_ALGORITHM signatures[] = {
		{ "RSA:rsaEncryption", PROPERTIES, signature_functions, "RSA signatures by keyd" },
		{ "ECDSA", PROPERTIES, signature_functions, "ECDSA signatures by keyd" },
		{ "ED25519", PROPERTIES, signature_functions, "Ed25519 signatures by keyd" },
		{ NULL, NULL, NULL, NULL },
	};

	(void)provider;
	*no_cache = 0;
	return operation == OSSL_OP_KEYMGMT     ? keys
	       : operation == OSSL_OP_SIGNATURE ? signatures
	                                        : NULL;
}

static int provider_begin(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                          const OSSL_DISPATCH **out, void **context)
{
	static const OSSL_DISPATCH functions[] = {
		FUNCTION(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query), { 0, NULL }
	};
	static int nothing;

	(void)handle, (void)in;
	*out = functions;
	*context = &nothing;
	return 1;
}

static OSSL_PROVIDER *common, *own;

void signer_start(void)
{
	common = OSSL_PROVIDER_load(NULL, "default");
	if (common != NULL && OSSL_PROVIDER_add_builtin(NULL, PROVIDER, provider_begin))
		own = OSSL_PROVIDER_load(NULL, PROVIDER);
	/* Whatever is not one of our keys is the default provider's business. */
	if (own == NULL || !EVP_set_default_properties(NULL, "?provider=default"))
		log_fatal("OpenSSL does not accept the provider for keyd's keys");
}

void signer_stop(void)
{
	OSSL_PROVIDER_unload(own);
	OSSL_PROVIDER_unload(common);
}

static EVP_PKEY *key_from_spki(const char *kind, unsigned char *der, size_t len)
{
	OSSL_PARAM params[] = { OSSL_PARAM_construct_octet_string(PARAM_SPKI, der, len),
		                OSSL_PARAM_construct_end() };
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, kind, PROPERTIES);
	EVP_PKEY *key = NULL;

	if (context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
	    EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(context);
	return key;
}

EVP_PKEY *signer_key(EVP_PKEY *public_key)
{
	const char *kind = public_key == NULL                     ? NULL
	                   : EVP_PKEY_is_a(public_key, "RSA")     ? "RSA"
	                   : EVP_PKEY_is_a(public_key, "EC")      ? "EC"
	                   : EVP_PKEY_is_a(public_key, "ED25519") ? "ED25519"
	                                                          : NULL;
	unsigned char *der = NULL;
	int len = kind ? i2d_PUBKEY(public_key, &der) : 0;

	if (len <= 0)
		return NULL;
	EVP_PKEY *key = key_from_spki(kind, der, (size_t)len);

	OPENSSL_free(der);
	return key;
}
