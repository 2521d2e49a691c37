/* SPDX-License-Identifier: ISC */
/* A request to sign, as a captured porter may send it: nothing but the two forms of a handshake is
 * let through. */
#include <stdlib.h>
#include <string.h>

#include "lib/wire/sign.h"
#include "master/keyd/signform.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_in in = { .type = SIGN_REQUEST, .rest = { (const char *)data, size } };
	struct sign_request r;

	if (!sign_request_get(&in, &r))
		return 0;
	for (int kind = SIGN_KEY_RSA; kind <= SIGN_KEY_ED25519; kind++) {
		if (sign_refusal((enum sign_key_kind)kind, r.scheme, r.block) != NULL)
			continue;
		bool tls13 = r.block.len == 64 + 34 + 32 || r.block.len == 64 + 34 + 48;

		if (!(tls13 && memcmp(r.block.data + 64, "TLS 1.3, server", 15) == 0) &&
		    (r.block.len > 68 + 133 || r.block.data[64] != 3))
			abort();
	}
	return 0;
}
