/* SPDX-License-Identifier: ISC */
#include "lib/mail/charset.h"

#include <errno.h>
#include <iconv.h>

#include "lib/mail/charsettables.h"
#include "lib/mail/encoding.h"
#include "lib/mail/multibyte.h"
#include "lib/base/utf8.h"

enum charset_kind { KIND_UTF8, KIND_ASCII, KIND_LATIN1, KIND_WINDOWS, KIND_MULTIBYTE, KIND_OTHER };

/* Names by which mail calls what is decoded here; the sets of single bytes are found by their
 * tables. What calls itself GB2312 or GBK has characters of the larger set as often, and a vendor's
 * name stands for the set that the vendor made larger (the WHATWG's Encoding Standard says the
 * same). */
static const struct own_set {
	const char *name;
	enum charset_kind kind;
	enum multibyte multibyte;
} own_sets[] = {
	{ "utf-8", KIND_UTF8, 0 },
	{ "utf8", KIND_UTF8, 0 },
	{ "us-ascii", KIND_ASCII, 0 },
	{ "ascii", KIND_ASCII, 0 },
	{ "ansi_x3.4-1968", KIND_ASCII, 0 },
	{ "iso-8859-1", KIND_LATIN1, 0 },
	{ "latin1", KIND_LATIN1, 0 },
	{ "iso8859-1", KIND_LATIN1, 0 },
	{ "windows-1252", KIND_WINDOWS, 0 },
	{ "cp1252", KIND_WINDOWS, 0 },
	{ "iso-2022-jp", KIND_MULTIBYTE, MULTIBYTE_ISO_2022_JP },
	{ "iso2022jp", KIND_MULTIBYTE, MULTIBYTE_ISO_2022_JP },
	{ "csiso2022jp", KIND_MULTIBYTE, MULTIBYTE_ISO_2022_JP },
	{ "iso-2022-jp-1", KIND_MULTIBYTE, MULTIBYTE_ISO_2022_JP },
	{ "iso-2022-jp-2", KIND_MULTIBYTE, MULTIBYTE_ISO_2022_JP },
	{ "iso2022jp2", KIND_MULTIBYTE, MULTIBYTE_ISO_2022_JP },
	{ "csiso2022jp2", KIND_MULTIBYTE, MULTIBYTE_ISO_2022_JP },
	{ "shift_jis", KIND_MULTIBYTE, MULTIBYTE_SHIFT_JIS },
	{ "shift-jis", KIND_MULTIBYTE, MULTIBYTE_SHIFT_JIS },
	{ "sjis", KIND_MULTIBYTE, MULTIBYTE_SHIFT_JIS },
	{ "x-sjis", KIND_MULTIBYTE, MULTIBYTE_SHIFT_JIS },
	{ "ms_kanji", KIND_MULTIBYTE, MULTIBYTE_SHIFT_JIS },
	{ "csshiftjis", KIND_MULTIBYTE, MULTIBYTE_SHIFT_JIS },
	{ "windows-31j", KIND_MULTIBYTE, MULTIBYTE_SHIFT_JIS },
	{ "cp932", KIND_MULTIBYTE, MULTIBYTE_SHIFT_JIS },
	{ "euc-jp", KIND_MULTIBYTE, MULTIBYTE_EUC_JP },
	{ "eucjp", KIND_MULTIBYTE, MULTIBYTE_EUC_JP },
	{ "x-euc-jp", KIND_MULTIBYTE, MULTIBYTE_EUC_JP },
	{ "ujis", KIND_MULTIBYTE, MULTIBYTE_EUC_JP },
	{ "cseucpkdfmtjapanese", KIND_MULTIBYTE, MULTIBYTE_EUC_JP },
	{ "euc-kr", KIND_MULTIBYTE, MULTIBYTE_EUC_KR },
	{ "euckr", KIND_MULTIBYTE, MULTIBYTE_EUC_KR },
	{ "cseuckr", KIND_MULTIBYTE, MULTIBYTE_EUC_KR },
	{ "ks_c_5601-1987", KIND_MULTIBYTE, MULTIBYTE_EUC_KR },
	{ "csksc56011987", KIND_MULTIBYTE, MULTIBYTE_EUC_KR },
	{ "windows-949", KIND_MULTIBYTE, MULTIBYTE_EUC_KR },
	{ "cp949", KIND_MULTIBYTE, MULTIBYTE_EUC_KR },
	{ "uhc", KIND_MULTIBYTE, MULTIBYTE_EUC_KR },
	{ "iso-2022-kr", KIND_MULTIBYTE, MULTIBYTE_ISO_2022_KR },
	{ "iso2022kr", KIND_MULTIBYTE, MULTIBYTE_ISO_2022_KR },
	{ "csiso2022kr", KIND_MULTIBYTE, MULTIBYTE_ISO_2022_KR },
	{ "big5", KIND_MULTIBYTE, MULTIBYTE_BIG5 },
	{ "big-five", KIND_MULTIBYTE, MULTIBYTE_BIG5 },
	{ "bigfive", KIND_MULTIBYTE, MULTIBYTE_BIG5 },
	{ "cn-big5", KIND_MULTIBYTE, MULTIBYTE_BIG5 },
	{ "big-5", KIND_MULTIBYTE, MULTIBYTE_BIG5 },
	{ "csbig5", KIND_MULTIBYTE, MULTIBYTE_BIG5 },
	{ "cp950", KIND_MULTIBYTE, MULTIBYTE_BIG5 },
	{ "gb18030", KIND_MULTIBYTE, MULTIBYTE_GB18030 },
	{ "gbk", KIND_MULTIBYTE, MULTIBYTE_GB18030 },
	{ "gb2312", KIND_MULTIBYTE, MULTIBYTE_GB18030 },
	{ "cp936", KIND_MULTIBYTE, MULTIBYTE_GB18030 },
	{ "windows-936", KIND_MULTIBYTE, MULTIBYTE_GB18030 },
	{ "utf-16", KIND_MULTIBYTE, MULTIBYTE_UTF_16 },
	{ "utf16", KIND_MULTIBYTE, MULTIBYTE_UTF_16 },
	{ "utf-16be", KIND_MULTIBYTE, MULTIBYTE_UTF_16BE },
	{ "utf16be", KIND_MULTIBYTE, MULTIBYTE_UTF_16BE },
	{ "utf-16le", KIND_MULTIBYTE, MULTIBYTE_UTF_16LE },
	{ "utf16le", KIND_MULTIBYTE, MULTIBYTE_UTF_16LE },
	{ "utf-7", KIND_MULTIBYTE, MULTIBYTE_UTF_7 },
	{ "utf7", KIND_MULTIBYTE, MULTIBYTE_UTF_7 },
	{ "unicode-1-1-utf-7", KIND_MULTIBYTE, MULTIBYTE_UTF_7 },
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

/* *multibyte: which, of KIND_MULTIBYTE. */
static enum charset_kind kind_of(struct view name, enum multibyte *multibyte)
{
	for (size_t i = 0; i < sizeof own_sets / sizeof own_sets[0]; i++) {
		const struct own_set *set = &own_sets[i];

		if (!view_equal_nocase(name, view_of(set->name)))
			continue;
		*multibyte = set->multibyte;
		return set->kind != KIND_MULTIBYTE || multibyte_ready(set->multibyte) ? set->kind
		                                                                      : KIND_OTHER;
	}
	return KIND_OTHER;
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

void charset_prepare(void)
{
	charset_tables_make();
}

bool charset_known(struct view name)
{
	enum multibyte multibyte;
	bool close;
	iconv_t handle;

	if (kind_of(name, &multibyte) != KIND_OTHER || byte_table_find(name) != NULL)
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

static bool add_by_table(struct view in, const struct byte_table *t, struct text *out)
{
	enum { MARKS_MAX = 2 };
	bool good = true;

	for (size_t i = 0; i < in.len && good; i++) {
		unsigned char c = (unsigned char)in.data[i];
		uint32_t code = c < 0x80 ? c : t->high[c - 0x80], composed;

		for (int mark = 0; mark < MARKS_MAX && i + 1 < in.len; mark++) {
			composed = byte_table_composed(t, code, (unsigned char)in.data[i + 1],
			                               mark > 0);
			if (composed == 0)
				break;
			code = composed;
			i++;
		}
		good = utf8_add(out, code);
	}
	return good;
}

static bool add_other(struct view name, struct view in, struct text *out)
{
	bool close, good;
	iconv_t handle = open_set(name, &close);

	if (handle == (iconv_t)-1)
		return false;
	good = add_iconv(handle, in, out);
	if (close)
		iconv_close(handle);
	return good;
}

bool charset_to_utf8(struct view name, struct view in, struct text *out)
{
	enum multibyte multibyte;
	enum charset_kind kind = kind_of(name, &multibyte);
	const struct byte_table *table = byte_table_find(name);

	if (kind == KIND_UTF8)
		return add_utf8(in, out);
	if (kind == KIND_MULTIBYTE)
		return multibyte_to_utf8(multibyte, in, out);
	if (kind != KIND_OTHER)
		return add_bytes(in, kind, out);
	return table != NULL ? add_by_table(in, table, out) : add_other(name, in, out);
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
