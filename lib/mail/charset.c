/* SPDX-License-Identifier: ISC */
#include "lib/mail/charset.h"

#include <assert.h>
#include <errno.h>
#include <iconv.h>

#include "lib/mail/encoding.h"
#include "lib/mail/utf8.h"

enum charset_kind { KIND_UTF8, KIND_ASCII, KIND_LATIN1, KIND_WINDOWS, KIND_ICONV };

static const struct {
	const char *name;
	enum charset_kind kind;
} own_sets[] = {
	{ "utf-8", KIND_UTF8 },        { "utf8", KIND_UTF8 },
	{ "us-ascii", KIND_ASCII },    { "ascii", KIND_ASCII },
	{ "iso-8859-1", KIND_LATIN1 }, { "latin1", KIND_LATIN1 },
	{ "iso8859-1", KIND_LATIN1 },  { "windows-1252", KIND_WINDOWS },
	{ "cp1252", KIND_WINDOWS },    { "ansi_x3.4-1968", KIND_ASCII },
};

/* A byte, a character: iconv is asked once for all 128, then let go. Every set that stays open is a
 * library in memory, to be copied into each session that is forked. */
static const char *const byte_sets[] = {
	"iso-8859-2",   "iso-8859-3",   "iso-8859-4",   "iso-8859-5",   "iso-8859-6",
	"iso-8859-7",   "iso-8859-8",   "iso-8859-9",   "iso-8859-10",  "iso-8859-13",
	"iso-8859-14",  "iso-8859-15",  "iso-8859-16",  "windows-1250", "windows-1251",
	"windows-1253", "windows-1254", "windows-1256", "windows-1257", "koi8-r",
	"koi8-u",       "tis-620",
};

enum { BYTE_SETS = sizeof byte_sets / sizeof byte_sets[0], LIBRARIES_KEPT = 3 };

static uint16_t byte_tables[BYTE_SETS][128];
static bool byte_table_made[BYTE_SETS];

static const char *const common_sets[] = {
	"iso-2022-jp", "shift_jis", "euc-jp", "iso-2022-kr",  "euc-kr",       "gb18030",
	"big5",        "utf-7",     "utf-16", "windows-1255", "windows-1258", /* letters and marks
	                                                                         are put together */
};

/* 0x80 to 0x9f of windows-1252; 0: not assigned. */
static const uint16_t windows_1252[32] = {
	0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
	0x2039, 0x0152, 0,      0x017d, 0,      0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
	0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178,
};

/* Sets that were opened in this process; never closed, as loading one is what costs. */
static struct {
	char name[CHARSET_NAME_MAX + 1];
	iconv_t handle;
} opened[CHARSET_OPEN_MAX];
static size_t opened_count;

static enum charset_kind kind_of(struct view name)
{
	for (size_t i = 0; i < sizeof own_sets / sizeof own_sets[0]; i++)
		if (view_equal_nocase(name, view_of(own_sets[i].name)))
			return own_sets[i].kind;
	return KIND_ICONV;
}

/* A name may reach a file name inside iconv: nothing but what such names are made of passes. */
static bool name_valid(struct view name)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.data[i];

		if (!byte_is_alpha(c) && !byte_is_digit(c) && c != '-' && c != '_' && c != '.' &&
		    c != ':' && c != '+')
			return false;
	}
	return name.len > 0 && name.len <= CHARSET_NAME_MAX && name.data[0] != '.';
}

/* *close: the caller closes it (the table is full). */
static iconv_t open_set(struct view name, bool *close)
{
	char terminated[CHARSET_NAME_MAX + 1];
	iconv_t handle;

	*close = false;
	/* What calls itself so has characters of the larger set as often (the WHATWG's Encoding
	 * Standard says the same). */
	if (view_equal_nocase(name, VIEW("gb2312")) || view_equal_nocase(name, VIEW("gbk")))
		name = VIEW("gb18030");
	if (!name_valid(name) || !string_copy(terminated, sizeof terminated, name))
		return (iconv_t)-1;
	for (size_t i = 0; i < opened_count; i++)
		if (view_equal_nocase(name, view_of(opened[i].name)))
			return opened[i].handle;
	handle = iconv_open("UTF-8", terminated);
	if (handle == (iconv_t)-1)
		return handle;
	*close = opened_count == CHARSET_OPEN_MAX;
	if (!*close) {
		string_put(opened[opened_count].name, sizeof opened[0].name, name);
		opened[opened_count++].handle = handle;
	}
	return handle;
}

static void make_byte_table(size_t set)
{
	iconv_t handle = iconv_open("UTF-8", byte_sets[set]);

	if (handle == (iconv_t)-1)
		return;
	for (unsigned c = 0; c < 128; c++) {
		char byte = (char)(c + 0x80), utf8[8], *from = &byte, *to = utf8;
		size_t left = 1, room = sizeof utf8;
		uint32_t code = UTF8_REPLACEMENT;

		iconv(handle, NULL, NULL, NULL, NULL);
		if (iconv(handle, &from, &left, &to, &room) == (size_t)-1 ||
		    utf8_get((struct view){ utf8, (size_t)(to - utf8) }, &code) == 0 ||
		    code > UINT16_MAX)
			code = UTF8_REPLACEMENT;
		byte_tables[set][c] = (uint16_t)code;
	}
	iconv_close(handle);
	byte_table_made[set] = true;
}

static const uint16_t *byte_table(struct view name)
{
	for (size_t i = 0; i < BYTE_SETS; i++)
		if (byte_table_made[i] && view_equal_nocase(name, view_of(byte_sets[i])))
			return byte_tables[i];
	return NULL;
}

void charset_prepare(void)
{
	bool close;

	static_assert(sizeof common_sets / sizeof common_sets[0] <= CHARSET_OPEN_MAX,
	              "the common sets fit");
	for (size_t i = 0; i < sizeof common_sets / sizeof common_sets[0]; i++)
		open_set(view_of(common_sets[i]), &close);
	for (size_t i = 0; i < BYTE_SETS; i++)
		make_byte_table(i);
	/* glibc keeps a library until some others have been closed after it: one that stays. */
	for (int i = 0; i < LIBRARIES_KEPT; i++) {
		iconv_t handle = iconv_open("UTF-8", common_sets[0]);

		if (handle != (iconv_t)-1)
			iconv_close(handle);
	}
}

bool charset_known(struct view name)
{
	bool close;
	iconv_t handle;

	if (kind_of(name) != KIND_ICONV || byte_table(name) != NULL)
		return true;
	handle = open_set(name, &close);
	if (handle == (iconv_t)-1)
		return false;
	if (close)
		iconv_close(handle);
	return true;
}

/* ---- to UTF-8 ---- */

static bool add_utf8(struct view in, struct text *out)
{
	while (in.len > 0) {
		size_t good = 0, len;
		uint32_t code;

		while (good < in.len && (len = utf8_get(view_skip(in, good), &code)) > 0)
			good += len;
		if (!text_add(out, view_take(in, good)))
			return false;
		in = view_skip(in, good);
		if (in.len > 0 && !utf8_add(out, UTF8_REPLACEMENT))
			return false;
		in = view_skip(in, 1);
	}
	return true;
}

static uint32_t byte_code(unsigned char c, enum charset_kind kind)
{
	if (c < 0x80)
		return c;
	if (kind == KIND_ASCII)
		return UTF8_REPLACEMENT;
	if (kind == KIND_WINDOWS && c < 0xa0)
		return windows_1252[c - 0x80] ? windows_1252[c - 0x80] : UTF8_REPLACEMENT;
	return c;
}

static bool add_bytes(struct view in, enum charset_kind kind, struct text *out)
{
	bool good = true;

	for (size_t i = 0; i < in.len && good; i++)
		good = utf8_add(out, byte_code((unsigned char)in.data[i], kind));
	return good;
}

/* Runs iconv over all of `in`; a byte it does not take becomes U+FFFD. */
static bool add_iconv(iconv_t handle, struct view in, struct text *out)
{
	char *from = (char *)(uintptr_t)in.data; /* iconv's prototype; it does not write there */
	size_t left = in.len;
	bool flushed = false;

	iconv(handle, NULL, NULL, NULL, NULL);
	while (left > 0 || !flushed) {
		char piece[1024], *to = piece;
		size_t room = sizeof piece;
		bool broken = false;

		if (left > 0)
			broken = iconv(handle, &from, &left, &to, &room) == (size_t)-1 &&
			         errno != E2BIG;
		else {
			/* What a set with shift states or combining characters holds back. */
			iconv(handle, NULL, NULL, &to, &room);
			flushed = true;
		}
		if (!text_add(out, (struct view){ piece, (size_t)(to - piece) }))
			return false;
		if (broken && left > 0) {
			from++;
			left--;
			if (!utf8_add(out, UTF8_REPLACEMENT))
				return false;
		}
	}
	return true;
}

static bool add_by_table(struct view in, const uint16_t table[128], struct text *out)
{
	bool good = true;

	for (size_t i = 0; i < in.len && good; i++) {
		unsigned char c = (unsigned char)in.data[i];

		good = utf8_add(out, c < 0x80 ? c : table[c - 0x80]);
	}
	return good;
}

bool charset_to_utf8(struct view name, struct view in, struct text *out)
{
	enum charset_kind kind = kind_of(name);
	const uint16_t *table = byte_table(name);
	bool close, good;
	iconv_t handle;

	if (kind == KIND_UTF8)
		return add_utf8(in, out);
	if (kind != KIND_ICONV)
		return add_bytes(in, kind, out);
	if (table != NULL)
		return add_by_table(in, table, out);
	handle = open_set(name, &close);
	if (handle == (iconv_t)-1)
		return false;
	good = add_iconv(handle, in, out);
	if (close)
		iconv_close(handle);
	return good;
}

bool charset_to_utf8_or_guess(struct view name, struct view in, struct text *out)
{
	if (name.len > 0 && charset_known(name))
		return charset_to_utf8(name, in, out);
	return utf8_valid(in) ? text_add(out, in) : add_bytes(in, KIND_WINDOWS, out);
}

/* ---- encoded words ---- */

struct encoded_word {
	struct view charset, data;
	char encoding; /* 'b' or 'q' */
};

/* An encoded word at the front; returns its length or 0. Blanks inside the text are forgiven, as
 * they are common. */
static size_t word_at(struct view v, struct encoded_word *word)
{
	struct view rest = view_skip(v, 2);
	size_t end;

	if (!view_starts(v, VIEW("=?")) || !view_cut(&rest, '?', &word->charset) ||
	    word->charset.len == 0 || word->charset.len > CHARSET_NAME_MAX || rest.len < 2 ||
	    rest.data[1] != '?')
		return 0;
	word->encoding = byte_lower(rest.data[0]);
	if (word->encoding != 'b' && word->encoding != 'q')
		return 0;
	/* RFC 2231 section 5: "charset*language". */
	word->charset = view_take(word->charset, view_find(word->charset, '*'));
	rest = view_skip(rest, 2);
	for (end = 0; end < rest.len; end++) {
		if (rest.data[end] == '\r' || rest.data[end] == '\n')
			return 0;
		if (rest.data[end] == '?' && end + 1 < rest.len && rest.data[end + 1] == '=')
			break;
		if (rest.data[end] == '?')
			return 0;
	}
	if (end >= rest.len)
		return 0;
	word->data = view_take(rest, end);
	return (size_t)(rest.data + end + 2 - v.data);
}

/* The bytes of the word, in its own set. */
static bool word_bytes(const struct encoded_word *word, struct text *out)
{
	struct decoder d;

	if (word->encoding == 'b')
		return transfer_decode(ENCODING_BASE64, word->data, out);
	decoder_start(&d, ENCODING_QUOTED_PRINTABLE);
	for (size_t i = 0; i < word->data.len; i++) {
		/* RFC 2047 section 4.2: an underscore is a blank, and blanks are no line's end
		 * here. */
		struct view piece = view_take(view_skip(word->data, i), 1);
		bool blank = piece.data[0] == '_' || piece.data[0] == ' ';

		if (!decoder_add(&d, blank ? VIEW("=20") : piece, out))
			return false;
	}
	return decoder_end(&d, out);
}

/* Blanks and line ends at the front. */
static size_t blank_run(struct view v)
{
	size_t n = 0;

	while (n < v.len && (byte_is_space(v.data[n]) || v.data[n] == '\r' || v.data[n] == '\n'))
		n++;
	return n;
}

/*
 * Encoded words from the front on; blanks between two of them go (section 6.2).
 * The bytes of neighbours in one set are joined before they are converted, as
 * many mailers cut inside of a character.
 */
static bool add_words(struct view *v, struct encoded_word word, size_t len, struct text *out)
{
	struct text bytes;
	bool good, more = true;

	text_init(&bytes, ENCODED_WORD_MAX);
	good = word_bytes(&word, &bytes);
	*v = view_skip(*v, len);
	while (good && more) {
		size_t blanks = blank_run(*v);
		struct encoded_word next;

		len = word_at(view_skip(*v, blanks), &next);
		more = len > 0;
		if (more && (!view_equal_nocase(next.charset, word.charset) ||
		             !text_has_room(&bytes, next.data.len))) {
			good = charset_to_utf8_or_guess(word.charset, text_view(&bytes), out);
			text_clear(&bytes);
		}
		if (more && good) {
			word = next;
			good = word_bytes(&word, &bytes);
			*v = view_skip(*v, blanks + len);
		}
	}
	/* Also of one that is malformed or too long: the beginning is more than nothing. */
	good = charset_to_utf8_or_guess(word.charset, text_view_cut(&bytes), out) && good;
	text_free(&bytes);
	return good;
}

/* Text that is no encoded word, up to the next that may be one: unfolded, 8-bit bytes guessed. */
static bool add_plain(struct view *v, struct text *out)
{
	size_t len = 1;

	if (v->data[0] == '\r' || v->data[0] == '\n') {
		*v = view_skip(*v, 1);
		return true;
	}
	while (len < v->len && v->data[len] != '\r' && v->data[len] != '\n' &&
	       !(v->data[len] == '=' && len + 1 < v->len && v->data[len + 1] == '?'))
		len++;
	struct view plain = view_take(*v, len);

	*v = view_skip(*v, len);
	return charset_to_utf8_or_guess((struct view){ "", 0 }, plain, out);
}

bool charset_decode_header(struct view value, struct text *out)
{
	struct view v = view_trim(value);
	bool good = true;

	while (good && v.len > 0) {
		struct encoded_word word;
		size_t len = word_at(v, &word);

		good = len > 0 ? add_words(&v, word, len, out) : add_plain(&v, out);
	}
	return good && !out->full;
}
