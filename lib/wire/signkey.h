/* SPDX-License-Identifier: ISC */
/* Which keys serve TLS: keyd signs with no others, and the build refuses a certificate of one. */
#ifndef LIB_WIRE_SIGNKEY_H
#define LIB_WIRE_SIGNKEY_H

#include <openssl/types.h>

#include "lib/base/reason.h"

/* What keyd takes of keys/: more, or a larger one, and it does not start. */
enum { SIGN_KEYS_MAX = 4096, SIGN_KEY_FILE_MAX = 65536 };

enum sign_key_kind { SIGN_KEY_RSA, SIGN_KEY_P256, SIGN_KEY_P384, SIGN_KEY_ED25519 };

/* Of a private or a public key: 0, or -1 with a reason that says what is wrong and what is not. */
int sign_key_judge(const EVP_PKEY *key, enum sign_key_kind *kind, struct reason *why);

#endif
