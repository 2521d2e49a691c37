/* SPDX-License-Identifier: ISC */
/* The "sign" request: there and back, cut at every byte, over its limit. */
#include "lib/wire/sign.h"

#include "t/torn.h"

static struct wire_in in_of(struct view packet)
{
	return (struct wire_in){ .type = (unsigned char)packet.data[0],
		                 .rest = view_skip(packet, 1) };
}

static bool get_signature(struct wire_in *in)
{
	struct sign_answer a;

	return sign_answer_get(in, &a) && view_equal(a.signature, VIEW("signed")) &&
	       a.refusal.len == 0;
}

static bool get_refusal(struct wire_in *in)
{
	struct sign_answer a;

	return sign_answer_get(in, &a) && view_equal(a.refusal, VIEW("unknown key")) &&
	       a.signature.len == 0;
}

static void answers(void)
{
	struct wire_out out = { 0 };
	struct sign_answer a;

	sign_answer_put(&out, &(struct sign_answer){ .signature = VIEW("signed") });
	torn("a signature", &out, get_signature);
	sign_answer_put(&out, &(struct sign_answer){ .refusal = VIEW("unknown key") });
	torn("a refusal", &out, get_refusal);
	out.bytes.raw[0] = SIGN_REQUEST;
	struct wire_in in = in_of(text_view(&out.bytes));

	ok(!sign_answer_get(&in, &a), "an answer of another type is refused");
	wire_begin(&out, SIGN_SIGNATURE);
	wire_put_string(&out, "");
	in = in_of(text_view(&out.bytes));
	ok(!sign_answer_get(&in, &a), "an empty signature is refused");
	wire_out_free(&out);
}

int main(void)
{
	static char block[SIGN_BLOCK_MAX + 1];
	struct sign_request a = { .scheme = SIGN_ED25519, .block = VIEW("a block") }, b;
	struct wire_out out = { 0 };
	bool refused = true;

	memset(a.key, 7, sizeof a.key);
	sign_request_put(&out, &a);
	struct view whole = text_view(&out.bytes);
	struct wire_in in = in_of(whole);

	ok(sign_request_get(&in, &b) && b.scheme == a.scheme && view_equal(a.block, b.block) &&
	           memcmp(a.key, b.key, sizeof a.key) == 0,
	   "a request comes back");
	for (size_t n = 1; n < whole.len; n++) {
		in = in_of(view_take(whole, n));
		refused = refused && !sign_request_get(&in, &b);
	}
	ok(refused, "cut at every byte it is refused");
	a.block = (struct view){ block, sizeof block };
	sign_request_put(&out, &a);
	in = in_of(text_view(&out.bytes));
	ok(!sign_request_get(&in, &b), "a block over the limit is refused");
	answers();
	wire_out_free(&out);
	return tap_done();
}
