/* SPDX-License-Identifier: ISC */
#include "lib/mail/utf8.h"

static size_t expected_length(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		return 2;
	if (first >= 0xe0 && first <= 0xef)
		return 3;
	return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

size_t utf8_get(struct view v, uint32_t *code)
{
	static const uint8_t first_mask[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = v.len > 0 ? expected_length((unsigned char)v.data[0]) : 0;
	uint32_t c;

	if (len == 0 || len > v.len)
		return 0;
	c = (unsigned char)v.data[0] & first_mask[len];
	for (size_t i = 1; i < len; i++) {
		unsigned char byte = (unsigned char)v.data[i];

		if ((byte & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (byte & 0x3f);
	}
	if (c < smallest[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*code = c;
	return len;
}

bool utf8_add(struct text *out, uint32_t code)
{
	char bytes[4];

	if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		code = UTF8_REPLACEMENT;
	if (code < 0x80)
		return text_add_byte(out, (char)code);
	if (code < 0x800) {
		bytes[0] = (char)(0xc0 | code >> 6);
		bytes[1] = (char)(0x80 | (code & 0x3f));
		return text_add(out, (struct view){ bytes, 2 });
	}
	if (code < 0x10000) {
		bytes[0] = (char)(0xe0 | code >> 12);
		bytes[1] = (char)(0x80 | (code >> 6 & 0x3f));
		bytes[2] = (char)(0x80 | (code & 0x3f));
		return text_add(out, (struct view){ bytes, 3 });
	}
	bytes[0] = (char)(0xf0 | code >> 18);
	bytes[1] = (char)(0x80 | (code >> 12 & 0x3f));
	bytes[2] = (char)(0x80 | (code >> 6 & 0x3f));
	bytes[3] = (char)(0x80 | (code & 0x3f));
	return text_add(out, (struct view){ bytes, 4 });
}

bool utf8_is_ascii(struct view v)
{
	for (size_t i = 0; i < v.len; i++)
		if ((unsigned char)v.data[i] >= 0x80)
			return false;
	return true;
}

bool utf8_valid(struct view v)
{
	uint32_t code;

	while (v.len > 0) {
		size_t len = utf8_get(v, &code);

		if (len == 0)
			return false;
		v = view_skip(v, len);
	}
	return true;
}
