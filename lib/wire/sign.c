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

void sign_answer_put(struct wire_out *out, const struct sign_answer *a)
{
	wire_begin(out, a->signature.len ? SIGN_SIGNATURE : SIGN_REFUSED);
	wire_put_view(out, a->signature.len ? a->signature : a->refusal);
}

bool sign_answer_get(struct wire_in *in, struct sign_answer *a)
{
	*a = (struct sign_answer){ { "", 0 }, { "", 0 } };
	if (in->type == SIGN_SIGNATURE)
		a->signature = wire_get_view(in, SIGN_SIGNATURE_MAX);
	else if (in->type == SIGN_REFUSED)
		a->refusal = wire_get_view(in, SIGN_REFUSAL_MAX);
	return wire_end(in) && a->signature.len + a->refusal.len != 0;
}
