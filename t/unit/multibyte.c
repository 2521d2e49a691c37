/* SPDX-License-Identifier: ISC */
/* Our decoders against iconv itself: each sequence there is, and noise. Against glibc's alone:
 * musl's reads what is broken in ways of its own, and has other rows. */
#include "lib/mail/multibyte.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>

#include "lib/mail/charset.h"
#include "lib/mail/charsettables.h"
#include "lib/base/utf8.h"
#include "t/tap.h"

enum {
	OUT_MAX = 4096,
	NAMES_MAX = 2,
	TOLD_MAX = 5,
	NOISE_STRINGS = 4000,
	NOISE_BYTES = 40,
	UNICODE_STRINGS = 60000,
};

/* iconv's answers in the order in which they count. */
struct set {
	const char *name;
	const char *names[NAMES_MAX];
	iconv_t handles[NAMES_MAX];
};

static struct set sets[] = {
	{ "euc-jp", { "euc-jp", "euc-jp-ms" }, { 0 } },
	{ "shift_jis", { "shift_jis", "cp932" }, { 0 } },
	{ "euc-kr", { "uhc", "euc-kr" }, { 0 } },
	{ "big5", { "big5", NULL }, { 0 } },
	{ "gb18030", { "gb18030", NULL }, { 0 } },
};

#ifdef __GLIBC__
#define IS_GLIBC true
#else
#define IS_GLIBC false
#endif

static iconv_t none;

static bool has(const char *name)
{
	iconv_t handle = iconv_open("UTF-8", name);

	if (handle == none)
		return false;
	iconv_close(handle);
	return true;
}

/* 0: all of it was taken, and *out has it; else errno. */
static int ask(iconv_t handle, struct view in, struct text *out)
{
	char utf8[512], *from = (char *)(uintptr_t)in.data, *to = utf8;
	size_t left = in.len, room = sizeof utf8;

	iconv(handle, NULL, NULL, NULL, NULL);
	if (iconv(handle, &from, &left, &to, &room) == (size_t)-1)
		return errno;
	iconv(handle, NULL, NULL, &to, &room);
	text_add(out, (struct view){ utf8, (size_t)(to - utf8) });
	return 0;
}

static uint32_t only_code(const struct text *t)
{
	uint32_t code;

	return t->len > 0 && utf8_get(text_view(t), &code) == t->len ? code : 0;
}

static unsigned char byte(struct view v, size_t i)
{
	return i < v.len ? (unsigned char)v.data[i] : 0;
}

/* What a sequence that iconv does not know is skipped by: as multibyte.h says. */
static size_t broken_length(const struct set *set, struct view in, bool lead)
{
	unsigned char a = byte(in, 0), b = byte(in, 1), c = byte(in, 2), d = byte(in, 3);

	if (!lead)
		return 1;
	if (a == 0x8f && strcmp(set->name, "euc-jp") == 0)
		return b >= 0xa1 && b != 0xff && c >= 0xa1 && c != 0xff ? 3 : 1;
	if (b >= '0' && b <= '9' && strcmp(set->name, "gb18030") == 0)
		return c >= 0x81 && c != 0xff && d >= '0' && d <= '9' ? 4 : 1;
	return b >= 0x80 ? 2 : 1;
}

/* The first character by iconv. */
static size_t expect_one(const struct set *set, struct view in, struct text *out)
{
	struct text one;
	bool lead = false;
	uint32_t code = byte(in, 0) < 0x80 ? byte(in, 0) : UTF8_REPLACEMENT;
	size_t used = byte(in, 0) < 0x80 ? 1 : 0;

	text_init(&one, OUT_MAX);
	for (size_t n = 0; n < NAMES_MAX && used == 0 && set->names[n] != NULL; n++) {
		if (set->handles[n] == none)
			continue;
		for (size_t len = lead ? 2 : 1; len <= 4 && len <= in.len && used == 0; len++) {
			int error;

			text_clear(&one);
			error = ask(set->handles[n], view_take(in, len), &one);
			if (len == 1 && error == EINVAL && byte(in, 0) > 0x80 && byte(in, 0) < 0xff)
				lead = true;
			if (error == 0 && only_code(&one) != 0) {
				code = only_code(&one);
				used = len;
			} else if (error != EINVAL)
				break;
		}
	}
	text_free(&one);
	utf8_add(out, code);
	return used ? used : broken_length(set, in, lead);
}

static void expect(const struct set *set, struct view in, struct text *out)
{
	while (in.len > 0)
		in = view_skip(in, expect_one(set, in, out));
}

/* Counts and shows what differs. */
static void compare(const char *name, struct view in, const struct text *want, unsigned *wrong)
{
	struct text got;

	text_init(&got, OUT_MAX);
	if (!charset_to_utf8(view_of(name), in, &got) ||
	    !view_equal(text_view(&got), text_view(want))) {
		if ((*wrong)++ < TOLD_MAX) {
			printf("# %s:", name);
			for (size_t i = 0; i < in.len; i++)
				printf(" %02x", byte(in, i));
			printf(": %s, not %s\n", got.raw, want->raw);
		}
	}
	text_free(&got);
}

static void check(const struct set *set, struct view in, unsigned *wrong)
{
	struct text want;

	text_init(&want, OUT_MAX);
	expect(set, in, &want);
	compare(set->name, in, &want, wrong);
	text_free(&want);
}

static void check_pairs(const struct set *set)
{
	unsigned wrong = 0;

	for (unsigned i = 0; i < 0x100; i++)
		check(set, (struct view){ (char[]){ (char)i }, 1 }, &wrong);
	for (unsigned i = 0x8000; i < 0x10000; i++)
		check(set, (struct view){ (char[]){ (char)(i >> 8), (char)i }, 2 }, &wrong);
	ok(wrong == 0, "%s: one and two bytes", set->name);
}

static void check_three(const struct set *set)
{
	unsigned wrong = 0;

	for (unsigned i = 0; i < 0x10000; i++)
		check(set, (struct view){ (char[]){ '\x8f', (char)(i >> 8), (char)i }, 3 }, &wrong);
	ok(wrong == 0, "%s: three bytes", set->name);
}

static void check_four(const struct set *set)
{
	enum { ALL = 126 * 12600, STEP = 97 };
	unsigned wrong = 0;

	for (unsigned i = 0; i < ALL; i += i < GB18030_BASIC_MAX + 1000 ? 1 : STEP)
		check(set,
		      (struct view){ (char[]){ (char)(0x81 + i / 12600),
		                               (char)('0' + i / 1260 % 10),
		                               (char)(0x81 + i / 10 % 126), (char)('0' + i % 10) },
		                     4 },
		      &wrong);
	ok(wrong == 0, "%s: four bytes", set->name);
}

/* The same every time. */
static unsigned noise(unsigned below)
{
	static uint32_t state = 1;

	state = state * 1664525u + 1013904223u;
	return (state >> 8) % below;
}

static char noise_byte(void)
{
	switch (noise(4)) {
	case 0: return (char)noise(0x100);
	case 1: return (char)(0x20 + noise(0x60));
	default: return (char)(0x81 + noise(0x7e));
	}
}

static void check_noise(const struct set *set)
{
	unsigned wrong = 0;

	for (unsigned i = 0; i < NOISE_STRINGS; i++) {
		char bytes[NOISE_BYTES];
		size_t len = noise(NOISE_BYTES + 1);

		for (size_t k = 0; k < len; k++)
			bytes[k] = noise_byte();
		check(set, (struct view){ bytes, len }, &wrong);
	}
	ok(wrong == 0, "%s: noise", set->name);
}

static void check_sets(void)
{
	for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
		struct set *set = &sets[i];

		if (!has(set->names[0])) {
			printf("# skipped: iconv has no %s\n", set->names[0]);
			continue;
		}
		for (size_t n = 0; n < NAMES_MAX && set->names[n] != NULL; n++)
			set->handles[n] = iconv_open("UTF-8", set->names[n]);
		check_pairs(set);
		if (strcmp(set->name, "euc-jp") == 0)
			check_three(set);
		if (strcmp(set->name, "gb18030") == 0)
			check_four(set);
		check_noise(set);
		for (size_t n = 0; n < NAMES_MAX && set->names[n] != NULL; n++)
			if (set->handles[n] != none)
				iconv_close(set->handles[n]);
	}
}

/* ---- sets of seven bits, with escapes ---- */

static const struct {
	const char *name, *iconv_name, *escape;
	/* The same pairs with the eighth bits, for what iconv has not got behind the escape. */
	const char *wide_name, *wide_prefix;
} escaped[] = {
	{ "iso-2022-jp", "iso-2022-jp", "\x1b$B", "euc-jp", "" },
	{ "iso-2022-jp", "iso-2022-jp", "\x1b$@", "euc-jp", "" },
	{ "iso-2022-jp-1", "iso-2022-jp-2", "\x1b$(D", "euc-jp", "\x8f" },
	{ "iso-2022-jp-2", "iso-2022-jp-2", "\x1b$(C", "euc-kr", "" },
	{ "iso-2022-jp-2", "iso-2022-jp-2", "\x1b$A", "gb18030", "" },
	{ "iso-2022-kr", "iso-2022-kr", "\x1b$)C\x0e", "euc-kr", "" },
};

/* GB18030's middle dot and dash are other characters than GB2312's in iconv. */
static bool is_exempt(const char *escape, unsigned a, unsigned b)
{
	return strcmp(escape, "\x1b$A") == 0 && a == 0x21 && (b == 0x24 || b == 0x2a);
}

static void check_escaped(size_t row)
{
	iconv_t handle = iconv_open("UTF-8", escaped[row].iconv_name);
	unsigned wrong = 0, answers = 0;

	if (handle == none) {
		printf("# skipped: iconv has no %s\n", escaped[row].iconv_name);
		return;
	}
	for (unsigned i = 0; i < 94 * 94; i++) {
		unsigned a = 0x21 + i / 94, b = 0x21 + i % 94;
		struct text in, wide, want;

		if (is_exempt(escaped[row].escape, a, b))
			continue;
		text_init(&in, OUT_MAX);
		text_init(&wide, OUT_MAX);
		text_init(&want, OUT_MAX);
		text_format(&in, "%s%c%c", escaped[row].escape, (int)a, (int)b);
		text_format(&wide, "%s%c%c", escaped[row].wide_prefix, (int)(a | 0x80),
		            (int)(b | 0x80));
		if (ask(handle, text_view(&in), &want) == 0)
			answers++;
		else
			charset_to_utf8(view_of(escaped[row].wide_name), text_view(&wide), &want);
		compare(escaped[row].name, text_view(&in), &want, &wrong);
		text_free(&in);
		text_free(&wide);
		text_free(&want);
	}
	iconv_close(handle);
	ok(wrong == 0 && answers > 2000, "%s: %u pairs behind an escape", escaped[row].name,
	   answers);
}

/* ---- Unicode's own ---- */

static void add_code(struct text *utf8, bool rare)
{
	uint32_t code = rare ? 0x10000 + noise(0x100000) : 0x20 + noise(0xd800 - 0x20);

	utf8_add(utf8, code == '\\' || code == '~' || code == 0x7f ? 'a' : code);
}

static void check_unicode(const char *name, unsigned codes)
{
	iconv_t handle = iconv_open(name, "UTF-8");
	unsigned wrong = 0;

	if (handle == none) {
		printf("# skipped: iconv has no %s\n", name);
		return;
	}
	for (unsigned i = 0; i < codes; i++) {
		char bytes[512], *to = bytes, *from;
		size_t room = sizeof bytes, left;
		struct text utf8;

		text_init(&utf8, OUT_MAX);
		if (i < 0xd800 - 0x20)
			utf8_add(&utf8, i + 0x20);
		else
			for (unsigned k = noise(12); k > 0; k--)
				add_code(&utf8, noise(5) == 0);
		from = utf8.raw;
		left = utf8.len;
		iconv(handle, NULL, NULL, NULL, NULL);
		iconv(handle, &from, &left, &to, &room);
		iconv(handle, NULL, NULL, &to, &room);
		compare(name, (struct view){ bytes, (size_t)(to - bytes) }, &utf8, &wrong);
		text_free(&utf8);
	}
	iconv_close(handle);
	ok(wrong == 0, "%s: each character, and strings", name);
}

/* ---- single bytes ---- */

static const char *const byte_sets[] = { "iso-8859-2",   "iso-8859-8",   "windows-1251",
	                                 "windows-1255", "windows-1256", "windows-1258",
	                                 "koi8-r",       "tis-620" };

/* A letter and up to two marks. Not with a byte that is not assigned: iconv holds a letter back
 * then. */
static void check_bytes(const char *name)
{
	iconv_t handle = iconv_open("UTF-8", name);
	unsigned wrong = 0, compositions = 0;
	struct text want;

	if (handle == none) {
		printf("# skipped: iconv has no %s\n", name);
		return;
	}
	text_init(&want, OUT_MAX);
	for (unsigned i = 0; i < 0x10000; i++) {
		struct view in = { (char[]){ (char)(i >> 8), (char)i, 0 }, 2 };
		uint32_t codes[2];
		size_t len;

		text_clear(&want);
		if (ask(handle, in, &want) != 0)
			continue;
		compare(name, in, &want, &wrong);
		len = utf8_get(text_view(&want), &codes[0]);
		if (len < want.len)
			continue;
		compositions++;
		for (unsigned third = 0x80; third < 0x100; third++) {
			in = (struct view){ (char[]){ (char)(i >> 8), (char)i, (char)third }, 3 };
			text_clear(&want);
			if (ask(handle, in, &want) == 0)
				compare(name, in, &want, &wrong);
		}
	}
	for (unsigned i = 0; i < 0x100; i++) {
		struct view in = { (char[]){ (char)i }, 1 };

		text_clear(&want);
		if (ask(handle, in, &want) != 0)
			utf8_add(&want, UTF8_REPLACEMENT);
		compare(name, in, &want, &wrong);
	}
	text_free(&want);
	iconv_close(handle);
	ok(wrong == 0, "%s: bytes, %u compositions", name, compositions);
}

/* ---- by hand ---- */

#define BROKEN "\xef\xbf\xbd"

static const struct {
	const char *set;
	struct view in;
	const char *out;
} cases[] = {
	/* Cut at the end. */
	{ "euc-jp", VIEW("a\xa4"), "a" BROKEN },
	{ "euc-jp", VIEW("\x8f\xb0"), BROKEN BROKEN },
	{ "gb18030", VIEW("\x81\x30\x81"), BROKEN "0" BROKEN },
	{ "iso-2022-jp", VIEW("\x1b$B$\"$"), "\xe3\x81\x82" BROKEN },
	{ "iso-2022-jp", VIEW("a\x1b$"), "a\x1b$" },
	{ "utf-16le", VIEW("a\0b"), "a" BROKEN },
	{ "utf-16", VIEW("\xff"), BROKEN },
	{ "utf-7", VIEW("a+"), "a" },
	{ "utf-7", VIEW("+AOk"), "\xc3\xa9" },
	{ "utf-7", VIEW("+AOkA"), "\xc3\xa9" BROKEN },
	{ "utf-7", VIEW("+2D0"), BROKEN },
	/* Broken, and in step behind it. */
	{ "euc-jp", VIEW("\xa9\xa1\xa4\xa2"), BROKEN "\xe3\x81\x82" },
	{ "euc-jp", VIEW("\xa4\x22\xa4\xa2"), BROKEN "\"\xe3\x81\x82" },
	{ "iso-2022-jp", VIEW("\x1b$B)!$\"\x1b(Ba\x80"),
	  BROKEN "\xe3\x81\x82"
	         "a" BROKEN },
	{ "iso-2022-jp", VIEW("\x1b$B$\n$\"\x1b(B$"), BROKEN "\n\xe3\x81\x82$" },
	{ "utf-16be", VIEW("\xd8\x00\0a\xdc\x00\0b"), BROKEN "a" BROKEN "b" },
	{ "utf-7", VIEW("+2D0A6Q-a\xe9"), BROKEN "a" BROKEN },
#ifdef __GLIBC__
	/* What mail has and the set of that name has not. */
	{ "shift_jis", VIEW("\x87\x40~\\"), "\xe2\x91\xa0~\\" },
	{ "windows-31j", VIEW("\x87\x40"), "\xe2\x91\xa0" },
	{ "iso-2022-jp", VIEW("\x1b$B-!"), "\xe2\x91\xa0" },
#endif
	{ "iso-2022-jp", VIEW("\x1b(I1\x1b(J\\\x1b(B\\"), "\xef\xbd\xb1\xc2\xa5\\" },
	{ "ks_c_5601-1987", VIEW("\xb0\xa1\x81\x41"), "\xea\xb0\x80\xea\xb0\x82" },
	{ "iso-2022-kr",
	  VIEW("\x1b$)C\016"
	       "0!\017x\016"
	       "0!\n0!"),
	  "\xea\xb0\x80x\xea\xb0\x80\n0!" },
	{ "CP1251", VIEW("\xff"), "\xd1\x8f" },
	{ "iso8859-2", VIEW("\xb9"), "\xc5\xa1" },
	/* Marks of order. */
	{ "utf-16", VIEW("\xfe\xff\0a"), "a" },
	{ "utf-16",
	  VIEW("\xff\xfe"
	       "a\0"),
	  "a" },
	{ "utf-16", VIEW("a\0"), "a" },
	{ "utf-16be", VIEW("\xfe\xff\0a"),
	  "\xef\xbb\xbf"
	  "a" },
	{ "utf-7", VIEW("1 +- 1~\\ +AOk-x+AOk.-"), "1 + 1~\\ \xc3\xa9x\xc3\xa9.-" },
};

static void check_cases(void)
{
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct text out;

		text_init(&out, OUT_MAX);
		if (charset_to_utf8(view_of(cases[i].set), cases[i].in, &out))
			is_string(text_string(&out), cases[i].out, "%s, case %zu", cases[i].set, i);
		else
			printf("# skipped: iconv has no %s\n", cases[i].set);
		text_free(&out);
	}
}

static void check_all(void)
{
	check_sets();
	for (size_t i = 0; i < sizeof escaped / sizeof escaped[0]; i++)
		check_escaped(i);
	check_unicode("utf-16", UNICODE_STRINGS);
	check_unicode("utf-16be", UNICODE_STRINGS);
	check_unicode("utf-16le", UNICODE_STRINGS);
	check_unicode("utf-7", UNICODE_STRINGS);
	for (size_t i = 0; i < sizeof byte_sets / sizeof byte_sets[0]; i++)
		check_bytes(byte_sets[i]);
}

/* Each would be five mappings that every session copies. */
static void check_libraries(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[OUT_MAX];
	unsigned libraries = 0;

	if (maps == NULL) {
		printf("# skipped: no /proc/self/maps\n");
		return;
	}
	while (fgets(line, sizeof line, maps))
		libraries += strstr(line, "/gconv/") != NULL;
	fclose(maps);
	ok(libraries == 0, "no library of iconv's stays (%u mappings)", libraries);
}

int main(void)
{
	none = (iconv_t)-1;
	charset_prepare();
	check_libraries();
	check_cases();
	if (IS_GLIBC)
		check_all();
	else
		printf("# skipped: iconv is not glibc's\n");
	return tap_done();
}
