/* SPDX-License-Identifier: ISC */
/* Character sets, encoded words, mailbox names, base64 and quoted-printable: bounded, and UTF-8
 * comes out. */
#include <stdlib.h>

#include "lib/mail/charset.h"
#include "lib/mail/date.h"
#include "lib/mail/encoding.h"
#include "lib/base/utf8.h"

enum { OUT_MAX = 1 << 16, TINY_MAX = 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_utf8(const struct text *out)
{
	if (out->len > out->max || !utf8_valid(text_view_cut(out)))
		abort();
}

static void check_sets(struct view in, struct text *out)
{
	static const char *const sets[] = {
		"utf-8",       "us-ascii", "windows-1252", "windows-1255", "windows-1258",
		"koi8-r",      "euc-jp",   "shift_jis",    "iso-2022-jp",  "euc-kr",
		"iso-2022-kr", "big5",     "gb18030",      "utf-16",       "utf-16be",
		"utf-7",       "",
	};

	charset_prepare();
	for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
		text_clear(out);
		charset_to_utf8_or_guess(view_of(sets[i]), in, out);
		check_utf8(out);
	}
	text_clear(out);
	charset_decode_header(in, out);
	check_utf8(out);
}

static void check_names(struct view in, struct text *out)
{
	text_clear(out);
	if (utf7_to_utf8(in, out))
		check_utf8(out);
	else if (out->len != 0)
		abort();
}

static void check_fold(struct view in, struct text *out, struct text *back)
{
	text_clear(out);
	text_clear(back);
	if (charset_fold(in, out) && charset_fold(text_view(out), back) &&
	    !view_equal(text_view(out), text_view(back)))
		abort();
}

static void check_encodings(struct view in, struct text *out, struct text *back)
{
	for (int e = ENCODING_IDENTITY; e <= ENCODING_UNKNOWN; e++) {
		struct decoder d;

		text_clear(out);
		text_clear(back);
		if (!transfer_decode((enum transfer_encoding)e, in, out))
			continue;
		decoder_start(&d, (enum transfer_encoding)e);
		for (size_t i = 0; i < in.len; i += 7)
			decoder_add(&d, view_take(view_skip(in, i), 7), back);
		if (!decoder_end(&d, back) || !view_equal(text_view(out), text_view(back)))
			abort();
	}
	text_clear(out);
	text_clear(back);
	if (base64_decode_strict(in, out) && base64_encode(back, text_view(out)) &&
	    !view_equal(in, text_view(back)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t maxima[] = { OUT_MAX, TINY_MAX };
	struct view in = { (const char *)data, size < OUT_MAX / 8 ? size : OUT_MAX / 8 }, rest = in,
		    line;

	for (size_t i = 0; i < sizeof maxima / sizeof maxima[0]; i++) {
		struct text out, back;

		text_init(&out, maxima[i]);
		text_init(&back, maxima[i]);
		check_sets(in, &out);
		check_fold(in, &out, &back);
		check_encodings(in, &out, &back);
		rest = in;
		for (int lines = 0; lines < 50 && view_cut(&rest, '\n', &line); lines++) {
			struct date date;
			int64_t day;

			check_names(line, &out);
			date_imap_parse(line, &date);
			date_day_parse(line, &day);
			date_mail_parse(line, &date);
		}
		text_free(&out);
		text_free(&back);
	}
	return 0;
}
