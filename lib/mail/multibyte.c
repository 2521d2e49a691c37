/* SPDX-License-Identifier: ISC */
#include "lib/mail/multibyte.h"

#include "lib/mail/charsettables.h"
#include "lib/mail/encoding.h"
#include "lib/base/utf8.h"

enum { ESC = 0x1b, SHIFT_OUT = 0x0e, SHIFT_IN = 0x0f };

/* A byte or more that is no character: an escape, a mark. */
#define NO_CODE UINT32_MAX

/* What the bytes before say about those that come. */
enum mode {
	MODE_ASCII, /* at the beginning */
	MODE_ROMAN,
	MODE_KATAKANA,
	MODE_JIS_X_0208,
	MODE_JIS_X_0212,
	MODE_GB2312,
	MODE_KOREAN,
	MODE_LITTLE,
	MODE_BIG,
	MODE_BASE64,
};

struct reader {
	enum mode mode;
	/* MODE_BASE64: bits that were not yet enough for 16, and the first half of a pair. */
	uint32_t bits, high;
	unsigned bit_count;
};

/* One character, or less, at the front of `in`, which is not empty: how many bytes it was, 0 only
 * when the mode changed. *code is U+FFFD before. */
typedef size_t read_function(struct reader *r, struct view in, uint32_t *code);

static unsigned char at(struct view in, size_t i)
{
	return (unsigned char)in.data[i];
}

static bool is_between(unsigned char c, unsigned char first, unsigned char last)
{
	return c >= first && c <= last;
}

/* ---- a byte below 0x80, or a pair ---- */

static size_t read_pair(enum pair_set set, struct view in, uint32_t *code)
{
	const struct pair_table *t = pair_table(set);
	uint32_t found;

	if (at(in, 0) < 0x80) {
		*code = at(in, 0);
		return 1;
	}
	if (t->high[at(in, 0) - 0x80] != 0) {
		*code = t->high[at(in, 0) - 0x80];
		return 1;
	}
	if (in.len < 2)
		return 1;
	found = pair_code(t, at(in, 0), at(in, 1));
	if (found == 0)
		return at(in, 1) < 0x80 ? 1 : 2;
	*code = found;
	return 2;
}

static size_t read_euc_jp(struct reader *r, struct view in, uint32_t *code)
{
	uint32_t found;

	(void)r;
	if (at(in, 0) != 0x8f)
		return read_pair(PAIRS_JIS_X_0208, in, code);
	if (in.len < 3 || !is_between(at(in, 1), 0xa1, 0xfe) || !is_between(at(in, 2), 0xa1, 0xfe))
		return 1;
	found = pair_code(pair_table(PAIRS_JIS_X_0212), at(in, 1), at(in, 2));
	if (found != 0)
		*code = found;
	return 3;
}

static size_t read_shift_jis(struct reader *r, struct view in, uint32_t *code)
{
	(void)r;
	return read_pair(PAIRS_SHIFT_JIS, in, code);
}

static size_t read_euc_kr(struct reader *r, struct view in, uint32_t *code)
{
	(void)r;
	return read_pair(PAIRS_KOREAN, in, code);
}

static size_t read_big5(struct reader *r, struct view in, uint32_t *code)
{
	(void)r;
	return read_pair(PAIRS_BIG5, in, code);
}

static size_t read_gb18030(struct reader *r, struct view in, uint32_t *code)
{
	enum { UPPER = (0x90 - 0x81) * 12600, PLANES = 0x100000 };
	uint32_t linear, found = 0;

	(void)r;
	if (!is_between(at(in, 0), 0x81, 0xfe) || in.len < 2 || !byte_is_digit(in.data[1]))
		return read_pair(PAIRS_GB18030, in, code);
	if (in.len < 4 || !is_between(at(in, 2), 0x81, 0xfe) || !byte_is_digit(in.data[3]))
		return 1;
	linear = (at(in, 0) - 0x81u) * 12600 + (at(in, 1) - '0') * 1260u +
	         (at(in, 2) - 0x81u) * 10 + (at(in, 3) - '0');
	if (linear < GB18030_BASIC_MAX)
		found = gb18030_basic_code(linear);
	else if (linear >= UPPER && linear < UPPER + PLANES)
		found = 0x10000 + (linear - UPPER);
	if (found != 0)
		*code = found;
	return 4;
}

/* ---- seven bits ---- */

static const struct {
	const char *bytes;
	enum mode mode;
} escapes[] = {
	{ "\x1b(B", MODE_ASCII },      { "\x1b(J", MODE_ROMAN },
	{ "\x1b(I", MODE_KATAKANA },   { "\x1b$@", MODE_JIS_X_0208 },
	{ "\x1b$B", MODE_JIS_X_0208 }, { "\x1b$(D", MODE_JIS_X_0212 },
	{ "\x1b$A", MODE_GB2312 },     { "\x1b$(C", MODE_KOREAN },
};

/* The length of the escape at the front; 0: none that is known. */
static size_t read_escape(struct reader *r, struct view in)
{
	for (size_t i = 0; i < sizeof escapes / sizeof escapes[0]; i++) {
		struct view bytes = view_of(escapes[i].bytes);

		if (view_starts(in, bytes)) {
			r->mode = escapes[i].mode;
			return bytes.len;
		}
	}
	return 0;
}

/* A pair of seven bits, which is one of eight with these off. */
static size_t read_low_pair(enum pair_set set, struct view in, uint32_t *code)
{
	uint32_t found;

	if (in.len < 2 || !is_between(at(in, 1), 0x21, 0x7e))
		return 1;
	found = pair_code(pair_table(set), at(in, 0) | 0x80, at(in, 1) | 0x80);
	if (found != 0)
		*code = found;
	return 2;
}

/* JIS X 0201, both halves. */
static uint32_t roman_code(unsigned char c)
{
	return c == '\\' ? 0xa5 : c == '~' ? 0x203e : c;
}

static uint32_t katakana_code(unsigned char c)
{
	return c <= 0x5f ? 0xff61u + (c - 0x21u) : UTF8_REPLACEMENT;
}

static size_t read_iso_2022(struct reader *r, struct view in, uint32_t *code)
{
	unsigned char c = at(in, 0);

	if (c >= 0x80)
		return 1;
	switch (is_between(c, 0x21, 0x7e) ? r->mode : MODE_ASCII) {
	case MODE_ROMAN: *code = roman_code(c); return 1;
	case MODE_KATAKANA: *code = katakana_code(c); return 1;
	case MODE_JIS_X_0208: return read_low_pair(PAIRS_JIS_X_0208, in, code);
	case MODE_JIS_X_0212: return read_low_pair(PAIRS_JIS_X_0212, in, code);
	case MODE_GB2312: return read_low_pair(PAIRS_GB18030, in, code);
	case MODE_KOREAN: return read_low_pair(PAIRS_KOREAN, in, code);
	default: *code = c; return 1;
	}
}

static size_t read_iso_2022_jp(struct reader *r, struct view in, uint32_t *code)
{
	size_t len = at(in, 0) == ESC ? read_escape(r, in) : 0;

	if (len == 0)
		return read_iso_2022(r, in, code);
	*code = NO_CODE;
	return len;
}

static size_t read_iso_2022_kr(struct reader *r, struct view in, uint32_t *code)
{
	struct view header = VIEW("\x1b$)C");

	if (view_starts(in, header)) {
		*code = NO_CODE;
		return header.len;
	}
	if (at(in, 0) == SHIFT_OUT || at(in, 0) == SHIFT_IN) {
		r->mode = at(in, 0) == SHIFT_OUT ? MODE_KOREAN : MODE_ASCII;
		*code = NO_CODE;
		return 1;
	}
	if (at(in, 0) == '\n')
		r->mode = MODE_ASCII;
	return read_iso_2022(r, in, code);
}

/* ---- UTF-16 ---- */

static bool is_high(uint32_t unit)
{
	return unit >= 0xd800 && unit <= 0xdbff;
}

static bool is_low(uint32_t unit)
{
	return unit >= 0xdc00 && unit <= 0xdfff;
}

static uint32_t unpaired(uint32_t high, uint32_t low)
{
	return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

static size_t read_utf_16(struct reader *r, struct view in, uint32_t *code)
{
	uint32_t unit, low;

	if (in.len < 2)
		return 1;
	if (r->mode == MODE_ASCII) {
		bool big = view_starts(in, VIEW("\xfe\xff"));

		r->mode = big ? MODE_BIG : MODE_LITTLE;
		*code = NO_CODE;
		return big || view_starts(in, VIEW("\xff\xfe")) ? 2 : 0;
	}
	unit = (uint32_t)(r->mode == MODE_BIG ? number_get_big(in.data, 2)
	                                      : number_get_little(in.data, 2));
	if (!is_high(unit)) {
		if (!is_low(unit))
			*code = unit;
		return 2;
	}
	if (in.len < 4)
		return 2;
	low = (uint32_t)(r->mode == MODE_BIG ? number_get_big(in.data + 2, 2)
	                                     : number_get_little(in.data + 2, 2));
	if (!is_low(low))
		return 2;
	*code = unpaired(unit, low);
	return 4;
}

/* ---- UTF-7 ---- */

/* Of a run of base64 that is over, is anything left: a character torn, half a pair? */
static bool is_torn(const struct reader *r)
{
	return r->mode == MODE_BASE64 && (r->bit_count >= 6 || r->bits != 0 || r->high != 0);
}

/* A unit of UTF-16. A pair that is torn is one U+FFFD, with what stands for its second half. */
static uint32_t unit_code(struct reader *r, uint32_t unit)
{
	uint32_t high = r->high;

	r->high = 0;
	if (high != 0)
		return is_low(unit) ? unpaired(high, unit) : UTF8_REPLACEMENT;
	if (is_low(unit))
		return UTF8_REPLACEMENT;
	if (!is_high(unit))
		return unit;
	r->high = unit;
	return NO_CODE;
}

static size_t read_base64(struct reader *r, struct view in, uint32_t *code)
{
	int value = base64_value(in.data[0]);

	if (value < 0) {
		*code = is_torn(r) ? UTF8_REPLACEMENT : NO_CODE;
		r->mode = MODE_ASCII;
		return in.data[0] == '-' ? 1 : 0;
	}
	*code = NO_CODE;
	r->bits = r->bits << 6 | (uint32_t)value;
	r->bit_count += 6;
	if (r->bit_count >= 16) {
		r->bit_count -= 16;
		*code = unit_code(r, r->bits >> r->bit_count);
		r->bits &= (1u << r->bit_count) - 1;
	}
	return 1;
}

static size_t read_utf_7(struct reader *r, struct view in, uint32_t *code)
{
	if (r->mode == MODE_BASE64)
		return read_base64(r, in, code);
	if (view_starts(in, VIEW("+-"))) {
		*code = '+';
		return 2;
	}
	if (in.data[0] == '+') {
		*r = (struct reader){ .mode = MODE_BASE64 };
		*code = NO_CODE;
	} else if (at(in, 0) < 0x80)
		*code = at(in, 0);
	return 1;
}

/* ---- all ---- */

static const struct {
	read_function *read;
	enum mode mode; /* at the beginning */
	unsigned pairs; /* the tables that it reads, a bit each */
} sets[] = {
	[MULTIBYTE_EUC_JP] = { read_euc_jp, MODE_ASCII,
	                       1u << PAIRS_JIS_X_0208 | 1u << PAIRS_JIS_X_0212 },
	[MULTIBYTE_SHIFT_JIS] = { read_shift_jis, MODE_ASCII, 1u << PAIRS_SHIFT_JIS },
	[MULTIBYTE_ISO_2022_JP] = { read_iso_2022_jp, MODE_ASCII,
	                            1u << PAIRS_JIS_X_0208 | 1u << PAIRS_JIS_X_0212 |
	                                    1u << PAIRS_GB18030 | 1u << PAIRS_KOREAN },
	[MULTIBYTE_EUC_KR] = { read_euc_kr, MODE_ASCII, 1u << PAIRS_KOREAN },
	[MULTIBYTE_ISO_2022_KR] = { read_iso_2022_kr, MODE_ASCII, 1u << PAIRS_KOREAN },
	[MULTIBYTE_BIG5] = { read_big5, MODE_ASCII, 1u << PAIRS_BIG5 },
	[MULTIBYTE_GB18030] = { read_gb18030, MODE_ASCII, 1u << PAIRS_GB18030 },
	[MULTIBYTE_UTF_16] = { read_utf_16, MODE_ASCII, 0 },
	[MULTIBYTE_UTF_16BE] = { read_utf_16, MODE_BIG, 0 },
	[MULTIBYTE_UTF_16LE] = { read_utf_16, MODE_LITTLE, 0 },
	[MULTIBYTE_UTF_7] = { read_utf_7, MODE_ASCII, 0 },
};

bool multibyte_ready(enum multibyte set)
{
	for (unsigned i = 0; i < PAIR_SETS; i++)
		if ((sets[set].pairs >> i & 1) && pair_table((enum pair_set)i) == NULL)
			return false;
	return true;
}

bool multibyte_to_utf8(enum multibyte set, struct view in, struct text *out)
{
	struct reader r = { .mode = sets[set].mode };
	bool good = true;

	while (good && in.len > 0) {
		uint32_t code = UTF8_REPLACEMENT;
		size_t len = sets[set].read(&r, in, &code);

		in = view_skip(in, len);
		good = code == NO_CODE || utf8_add(out, code);
	}
	return good && (!is_torn(&r) || utf8_add(out, UTF8_REPLACEMENT));
}
