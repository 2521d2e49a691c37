/* SPDX-License-Identifier: ISC */
#include "lib/wire/sign.h"

#include <string.h>

void sign_request_put(struct wire_out *out, const struct sign_request *r)
{
	wire_begin(out, SIGN_REQUEST);
	wire_put_view(out, (struct view){ (const char *)r->key, sizeof r->key });
	wire_put_u16(out, r->scheme);
	wire_put_view(out, r->block);
}

bool sign_request_get(struct wire_in *in, struct sign_request *r)
{
	struct view key = wire_get_view(in, SIGN_KEY_BYTES);

	r->scheme = wire_get_u16(in);
	r->block = wire_get_view(in, SIGN_BLOCK_MAX);
	if (in->type != SIGN_REQUEST || key.len != SIGN_KEY_BYTES || !wire_end(in))
		return false;
	memcpy(r->key, key.data, SIGN_KEY_BYTES);
	return true;
}
