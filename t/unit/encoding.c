/* SPDX-License-Identifier: ISC */
#include "lib/mail/encoding.h"

#include "t/tap.h"

enum { OUT_MAX = 100000 };

static const struct {
	enum transfer_encoding encoding;
	const char *in, *out;
} decoded[] = {
	{ ENCODING_BASE64, "", "" },
	{ ENCODING_BASE64, "Zg==", "f" },
	{ ENCODING_BASE64, "Zm8=", "fo" },
	{ ENCODING_BASE64, "Zm9v", "foo" },
	{ ENCODING_BASE64, "Zm9vYmFy", "foobar" },
	{ ENCODING_BASE64, "Zm9v\r\nYmFy\r\n", "foobar" },
	{ ENCODING_BASE64, " Z m-9!v\tYm\nF y", "foobar" },
	{ ENCODING_BASE64, "Zm9vYg", "foob" },
	{ ENCODING_BASE64, "Zm9vYmE", "fooba" },
	{ ENCODING_BASE64, "Zm9vY", "foo" },
	{ ENCODING_BASE64, "Zg==Zg==", "ff" },
	{ ENCODING_BASE64, "====", "" },
	{ ENCODING_QUOTED_PRINTABLE, "plain text", "plain text" },
	{ ENCODING_QUOTED_PRINTABLE, "a=3Db=c3=A9", "a=b\xc3\xa9" },
	{ ENCODING_QUOTED_PRINTABLE, "soft=\r\nbreak", "softbreak" },
	{ ENCODING_QUOTED_PRINTABLE, "soft=\nbreak", "softbreak" },
	{ ENCODING_QUOTED_PRINTABLE, "soft=  \t\r\nbreak", "softbreak" },
	{ ENCODING_QUOTED_PRINTABLE, "end  \r\nof\t\nline \t", "end\r\nof\nline" },
	{ ENCODING_QUOTED_PRINTABLE, "keep  inner", "keep  inner" },
	{ ENCODING_QUOTED_PRINTABLE, "blank=20\r\n", "blank \r\n" },
	{ ENCODING_QUOTED_PRINTABLE, "bad=ZZ and =4", "bad=ZZ and =4" },
	{ ENCODING_QUOTED_PRINTABLE, "=4=41", "=4A" },
	{ ENCODING_QUOTED_PRINTABLE, "==41", "=A" },
	{ ENCODING_QUOTED_PRINTABLE, "= x", "= x" },
	{ ENCODING_QUOTED_PRINTABLE, "end=", "end" },
	{ ENCODING_IDENTITY, "a=3D", "a=3D" },
	{ ENCODING_UNKNOWN, "Zg==", "Zg==" },
};

static const struct {
	const char *in, *out; /* out NULL: refused */
} strict[] = {
	{ "", "" },           { "Zg==", "f" },      { "Zm8=", "fo" }, { "AGEAYg==", "" },
	{ "Zm9v", "foo" },    { "Zg", NULL },       { "Zg=", NULL },  { "Zh==", NULL },
	{ "Zm9=", NULL },     { "Zg==\r\n", NULL }, { "Z===", NULL }, { "====", NULL },
	{ "Zg==Zg==", NULL }, { " Zg=", NULL },     { "Zm9-", NULL }, { "=Zg=", NULL },
	{ "Zm=v", NULL },
};

static void check_decoders(struct text *out)
{
	for (size_t i = 0; i < sizeof decoded / sizeof decoded[0]; i++) {
		struct view in = view_of(decoded[i].in);
		struct decoder d;

		text_clear(out);
		ok(transfer_decode(decoded[i].encoding, in, out), "decodes case %zu", i);
		is_string(out->raw, decoded[i].out, "decoded case %zu", i);
		text_clear(out);
		decoder_start(&d, decoded[i].encoding);
		for (size_t k = 0; k < in.len; k++)
			decoder_add(&d, view_take(view_skip(in, k), 1), out);
		decoder_end(&d, out);
		is_string(out->raw, decoded[i].out, "decoded case %zu a byte at a time", i);
	}
}

static void check_round_trip(struct text *out)
{
	static char bytes[5000];
	struct text back;
	uint32_t seed = 7;

	text_init(&back, OUT_MAX);
	for (size_t len = 0; len < sizeof bytes; len = len * 2 + 1) {
		struct view in = { bytes, len };

		for (size_t i = 0; i < len; i++)
			bytes[i] = (char)((seed = seed * 1103515245 + 12345) >> 16);
		text_clear(out), text_clear(&back);
		ok(base64_encode(out, in) && base64_decode_strict(text_view(out), &back) &&
		           view_equal(in, text_view(&back)),
		   "base64 of %zu bytes and back", len);
	}
	text_free(&back);
}

int main(void)
{
	struct text out, tiny;

	text_init(&out, OUT_MAX);
	check_decoders(&out);
	for (size_t i = 0; i < sizeof strict / sizeof strict[0]; i++) {
		text_clear(&out);
		ok(base64_decode_strict(view_of(strict[i].in), &out) == (strict[i].out != NULL),
		   "strict '%s'", strict[i].in);
		is_string(out.raw, strict[i].out ? strict[i].out : "", "gives the same or nothing");
	}
	text_clear(&out);
	base64_decode_strict(VIEW("AGEAYg=="), &out);
	ok(view_equal(text_view(&out), VIEW("\0a\0b")), "NUL bytes pass");
	check_round_trip(&out);
	text_init(&tiny, 3);
	ok(!base64_encode(&tiny, VIEW("f")) && tiny.full, "an encoder stops at the maximum");
	text_clear(&tiny);
	ok(!transfer_decode(ENCODING_BASE64, VIEW("Zm9vYmFy"), &tiny), "so does a decoder");
	ok(transfer_encoding_parse(VIEW(" Quoted-Printable\r\n")) == ENCODING_QUOTED_PRINTABLE &&
	           transfer_encoding_parse(VIEW("BASE64")) == ENCODING_BASE64 &&
	           transfer_encoding_parse(VIEW("")) == ENCODING_IDENTITY &&
	           transfer_encoding_parse(VIEW("x-uuencode")) == ENCODING_UNKNOWN,
	   "names of encodings");
	text_free(&out);
	text_free(&tiny);
	return tap_done();
}
