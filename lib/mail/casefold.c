/* SPDX-License-Identifier: ISC */
/* Case folding for searching; what it covers stands in charset.h. */
#include "lib/mail/charset.h"
#include "lib/base/utf8.h"

enum fold_rule {
	FOLD_ADD,  /* small = capital + delta, which may be negative */
	FOLD_EVEN, /* capitals are even, the small letter is the next */
	FOLD_ODD   /* capitals are odd */
};

/* Sorted by first; of Unicode's CaseFolding.txt, status C and S. */
static const struct fold_range {
	uint16_t first, last;
	int16_t delta;
	uint8_t rule;
} ranges[] = {
	{ 0x0041, 0x005a, 32, FOLD_ADD },    { 0x00b5, 0x00b5, 775, FOLD_ADD },
	{ 0x00c0, 0x00d6, 32, FOLD_ADD },    { 0x00d8, 0x00de, 32, FOLD_ADD },
	{ 0x0100, 0x012f, 0, FOLD_EVEN },    { 0x0130, 0x0130, -199, FOLD_ADD },
	{ 0x0132, 0x0137, 0, FOLD_EVEN },    { 0x0139, 0x0148, 0, FOLD_ODD },
	{ 0x014a, 0x0177, 0, FOLD_EVEN },    { 0x0178, 0x0178, -121, FOLD_ADD },
	{ 0x0179, 0x017e, 0, FOLD_ODD },     { 0x017f, 0x017f, -268, FOLD_ADD },
	{ 0x01a0, 0x01a5, 0, FOLD_EVEN },    { 0x01af, 0x01b0, 0, FOLD_ODD },
	{ 0x01cd, 0x01dc, 0, FOLD_ODD },     { 0x01de, 0x01ef, 0, FOLD_EVEN },
	{ 0x01f8, 0x021f, 0, FOLD_EVEN },    { 0x0222, 0x0233, 0, FOLD_EVEN },
	{ 0x0386, 0x0386, 38, FOLD_ADD },    { 0x0388, 0x038a, 37, FOLD_ADD },
	{ 0x038c, 0x038c, 64, FOLD_ADD },    { 0x038e, 0x038f, 63, FOLD_ADD },
	{ 0x0391, 0x03a1, 32, FOLD_ADD },    { 0x03a3, 0x03ab, 32, FOLD_ADD },
	{ 0x03c2, 0x03c2, 1, FOLD_ADD },     { 0x0400, 0x040f, 80, FOLD_ADD },
	{ 0x0410, 0x042f, 32, FOLD_ADD },    { 0x0460, 0x0481, 0, FOLD_EVEN },
	{ 0x048a, 0x04bf, 0, FOLD_EVEN },    { 0x04c0, 0x04c0, 15, FOLD_ADD },
	{ 0x04c1, 0x04ce, 0, FOLD_ODD },     { 0x04d0, 0x052f, 0, FOLD_EVEN },
	{ 0x0531, 0x0556, 48, FOLD_ADD },    { 0x1e00, 0x1e95, 0, FOLD_EVEN },
	{ 0x1e9e, 0x1e9e, -7615, FOLD_ADD }, { 0x1ea0, 0x1eff, 0, FOLD_EVEN },
	{ 0x2160, 0x216f, 16, FOLD_ADD },    { 0x24b6, 0x24cf, 26, FOLD_ADD },
	{ 0xff21, 0xff3a, 32, FOLD_ADD },
};

uint32_t charset_fold_code(uint32_t code)
{
	size_t low = 0, high = sizeof ranges / sizeof ranges[0];

	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct fold_range *r = &ranges[middle];

		if (code > r->last) {
			low = middle + 1;
		} else if (code < r->first) {
			high = middle;
		} else if (r->rule == FOLD_ADD) {
			return (uint32_t)((int32_t)code + r->delta);
		} else {
			return code % 2 == (r->rule == FOLD_ODD) ? code + 1 : code;
		}
	}
	return code;
}

bool charset_fold(struct view in, struct text *out)
{
	while (in.len > 0) {
		uint32_t code;
		size_t len = utf8_get(in, &code);
		bool good = len > 1 ? utf8_add(out, charset_fold_code(code))
		                    : text_add_byte(out, byte_lower(in.data[0]));

		if (!good)
			return false;
		in = view_skip(in, len > 0 ? len : 1);
	}
	return true;
}
