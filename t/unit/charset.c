/* SPDX-License-Identifier: ISC */
#include "lib/mail/charset.h"

#include "lib/base/utf8.h"
#include "t/tap.h"

enum { OUT_MAX = 10000 };

static const struct {
	const char *set, *in, *out; /* out NULL: unknown */
} converted[] = {
	{ "utf-8", "caf\xc3\xa9", "caf\xc3\xa9" },
	{ "UTF8",
	  "\xff"
	  "a\xc3",
	  "\xef\xbf\xbd"
	  "a\xef\xbf\xbd" },
	{ "utf-8", "\xed\xa0\x80\xc0\x80",
	  "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	{ "US-ASCII", "a\xe9", "a\xef\xbf\xbd" },
	{ "ISO-8859-1", "caf\xe9\x80", "caf\xc3\xa9\xc2\x80" },
	{ "windows-1252", "\x80\x81\xe9", "\xe2\x82\xac\xef\xbf\xbd\xc3\xa9" },
	{ "iso-8859-2", "\xb9", "\xc5\xa1" },
	{ "KOI8-R", "a\xcd\xc9\xd2", "a\xd0\xbc\xd0\xb8\xd1\x80" },
	{ "windows-1257", "\xa1\xe0", "\xef\xbf\xbd\xc4\x85" }, /* one not assigned */
	{ "iso-8859-7", "\xe1", "\xce\xb1" },
	{ "gb2312", "\xd6\xd0", "\xe4\xb8\xad" },
	{ "gbk", "\xd6\xd0", "\xe4\xb8\xad" },
	{ "KOI8-R", "\xf0", "\xd0\x9f" },
	{ "iso-2022-jp", "\x1b$B$\"\x1b(B!", "\xe3\x81\x82!" },
	{ "shift_jis", "\x82", "\xef\xbf\xbd" },
	{ "x-no-such-set", "a", NULL },
	{ "", "a", NULL },
	{ "../../etc/passwd", "a", NULL },
	{ "utf-8//TRANSLIT", "a", NULL },
};

static const struct {
	const char *in, *out;
} headers[] = {
	{ "plain", "plain" },
	{ " plain \r\n folded\r\n", "plain  folded" },
	{ "=?utf-8?Q?caf=C3=A9?=", "caf\xc3\xa9" },
	{ "=?ISO-8859-1?q?caf=E9_x?= bar", "caf\xc3\xa9 x bar" },
	{ "=?utf-8?B?Y2Fmw6k=?=", "caf\xc3\xa9" },
	{ "=?utf-8?B?Y2Fmw6k?=", "caf\xc3\xa9" },
	{ "=?utf-8*en?B?Y2Fmw6k=?=", "caf\xc3\xa9" },
	{ "a =?utf-8?Q?b?= c", "a b c" },
	{ "=?utf-8?Q?a?= =?utf-8?Q?b?=\r\n =?iso-8859-1?Q?=E9?= c", "ab\xc3\xa9 c" },
	{ "=?utf-8?B?Y2Fmww==?= =?utf-8?B?qQ==?=", "caf\xc3\xa9" },
	{ "=?utf-8?Q?a b?=", "a b" },
	{ "=?utf-8?Q?trailing_?=", "trailing " },
	{ "x=?utf-8?Q?a?=y", "xay" },
	{ "=?utf-8?X?a?=", "=?utf-8?X?a?=" },
	{ "=?utf-8?Q?open", "=?utf-8?Q?open" },
	{ "=?utf-8?Q?a?b?=", "=?utf-8?Q?a?b?=" },
	{ "=?=?=?=", "=?=?=?=" },
	{ "=?no-such?Q?=E9?=", "\xc3\xa9" },
	{ "raw \xe9", "raw \xc3\xa9" },
	{ "raw \xc3\xa9", "raw \xc3\xa9" },
	{ "", "" },
};

static const struct {
	const char *in, *out;
} folds[] = {
	{ "ABC xyz 123", "abc xyz 123" },
	{ "\xc3\x89\xc3\x97\xc3\xbf",
	  "\xc3\xa9\xc3\x97\xc3\xbf" }, /* E acute, times, y diaeresis */
	{ "\xc5\xb8\xc4\x80\xc5\xbd\xc5\x81",
	  "\xc3\xbf\xc4\x81\xc5\xbe\xc5\x82" }, /* Y diaeresis, A macron, Z caron, L stroke */
	{ "\xce\xa3\xcf\x82\xcf\x83\xce\x86",
	  "\xcf\x83\xcf\x83\xcf\x83\xce\xac" }, /* Sigma, final, small, Alpha tonos */
	{ "\xd0\x9f\xd0\x81\xd2\x90", "\xd0\xbf\xd1\x91\xd2\x91" }, /* Pe, Io, Ghe with upturn */
	{ "\xe1\xba\x9e\xef\xbc\xa1", "\xc3\x9f\xef\xbd\x81" }, /* capital sharp s, full-width A */
	{ "\xff\xc3", "\xff\xc3" },
};

static const struct {
	const char *utf7, *utf8; /* utf8 NULL: not valid */
} mailboxes[] = {
	{ "", "" },
	{ "INBOX", "INBOX" },
	{ "a&-b", "a&b" },
	{ "&-&-", "&&" },
	{ "~peter/mail/&U,BTFw-/&ZeVnLIqe-",
	  "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e" },
	{ "&AOk-", "\xc3\xa9" },
	{ "&2D3eAA-", "\xf0\x9f\x98\x80" },
	{ "&AOkA6Q-", "\xc3\xa9\xc3\xa9" },
	{ "&AOk", NULL },
	{ "&", NULL },
	{ "&AGE-", NULL },      /* "a" */
	{ "&AOk-&AOk-", NULL }, /* two runs side by side */
	{ "&AOl-", NULL },      /* bits left over */
	{ "&AOkA-", NULL },     /* a character too many */
	{ "&2D0-", NULL },      /* half a pair */
	{ "&3gA-", NULL },
	{ "&AO/-", NULL },
	{ "&AAA-", NULL },
	{ "caf\xc3\xa9", NULL },
	{ "a\tb", NULL },
	{ "\x7f", NULL },
};

/* Neighbours that are more than are joined at a time come out whole. */
static void long_header(void)
{
	enum { WORDS = 4000, BYTES = 30 };
	struct text in, out;

	text_init(&in, 1 << 20);
	text_init(&out, 1 << 20);
	for (int i = 0; i < WORDS; i++)
		text_format(&in, "%s=?utf-8?q?%030d?=", i ? "\r\n " : "", i);
	ok(WORDS * BYTES > ENCODED_WORD_MAX && charset_decode_header(text_view(&in), &out) &&
	           out.len == WORDS * BYTES && view_ends_nocase(text_view(&out), VIEW("0003999")),
	   "%d encoded words", WORDS);
	text_free(&in);
	text_free(&out);
}

int main(void)
{
	struct text out, tiny;

	text_init(&out, OUT_MAX);
	charset_prepare();
	for (size_t i = 0; i < sizeof converted / sizeof converted[0]; i++) {
		text_clear(&out);
		ok(charset_to_utf8(view_of(converted[i].set), view_of(converted[i].in), &out) ==
		           (converted[i].out != NULL),
		   "set '%s'", converted[i].set);
		is_string(out.raw, converted[i].out ? converted[i].out : "", "its text");
		ok(charset_known(view_of(converted[i].set)) == (converted[i].out != NULL),
		   "is known or not");
	}
	long_header();
	for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
		text_clear(&out);
		charset_decode_header(view_of(headers[i].in), &out);
		is_string(out.raw, headers[i].out, "header text %zu", i);
	}
	for (size_t i = 0; i < sizeof folds / sizeof folds[0]; i++) {
		text_clear(&out);
		charset_fold(view_of(folds[i].in), &out);
		is_string(out.raw, folds[i].out, "folded text %zu", i);
	}
	for (uint32_t c = 0; c < 0x11000; c++) {
		uint32_t folded = charset_fold_code(c);

		if (charset_fold_code(folded) != folded)
			ok(false, "folding U+%04X twice", c);
	}
	for (size_t i = 0; i < sizeof mailboxes / sizeof mailboxes[0]; i++) {
		struct view name = view_of(mailboxes[i].utf7);

		text_clear(&out);
		ok(utf7_to_utf8(name, &out) == (mailboxes[i].utf8 != NULL), "mailbox name '%s'",
		   mailboxes[i].utf7);
		is_string(out.raw, mailboxes[i].utf8 ? mailboxes[i].utf8 : "", "in UTF-8");
	}
	text_init(&tiny, 2);
	ok(!charset_to_utf8(VIEW("iso-8859-2"), VIEW("\xb9\xb9"), &tiny) && tiny.full,
	   "a full text is told");
	text_clear(&tiny);
	ok(!charset_decode_header(VIEW("=?utf-8?Q?abc?="), &tiny), "for headers too");
	text_clear(&tiny);
	ok(!utf7_to_utf8(VIEW("abc"), &tiny) && tiny.len == 0, "and names");
	text_free(&out);
	text_free(&tiny);
	return tap_done();
}
