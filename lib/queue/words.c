/* SPDX-License-Identifier: ISC */
#include "lib/queue/words.h"

int words_hex_value(char c)
{
	return c >= 'A' && c <= 'F' ? -1 : byte_hex_value(c);
}

static void put_word(struct text *out, struct view v)
{
	if (v.len == 0 || (v.len == 1 && v.data[0] == '-')) {
		text_add_string(out, v.len ? "%2d" : "-");
		return;
	}
	for (size_t i = 0; i < v.len;) {
		size_t plain = i;

		while (plain < v.len && (unsigned char)v.data[plain] > ' ' &&
		       v.data[plain] != '%' && v.data[plain] != 0x7f)
			plain++;
		text_add(out, (struct view){ v.data + i, plain - i });
		if (plain < v.len) {
			unsigned char c = (unsigned char)v.data[plain++];
			char escaped[3] = { '%', hex_digits[c >> 4], hex_digits[c & 15] };

			text_add(out, (struct view){ escaped, 3 });
		}
		i = plain;
	}
}

bool words_get(struct view *rest, char *out, size_t size)
{
	struct view word;
	size_t n = 0;

	out[0] = '\0';
	if (!view_cut(rest, ' ', &word) || word.len == 0)
		return false;
	if (word.len == 1 && word.data[0] == '-')
		return true;
	for (size_t i = 0; i < word.len; i++) {
		char c = word.data[i];

		if (c == '%') {
			if (word.len - i < 3 || words_hex_value(word.data[i + 1]) < 0 ||
			    words_hex_value(word.data[i + 2]) < 0)
				return false;
			c = (char)(words_hex_value(word.data[i + 1]) << 4 |
			           words_hex_value(word.data[i + 2]));
			i += 2;
		}
		if (c == '\0' || n + 1 >= size)
			return false;
		out[n++] = c;
	}
	out[n] = '\0';
	return true;
}

void words_put(struct text *out, const char *s)
{
	text_add_byte(out, ' ');
	put_word(out, view_of(s));
}

void words_put_number(struct text *out, int64_t n)
{
	char digits[24];
	size_t len = string_print(digits, sizeof digits, " %lld", (long long)n);

	text_add(out, (struct view){ digits, len });
}

bool words_get_number(struct view *rest, uint64_t max, uint64_t *out)
{
	struct view word;

	return view_cut(rest, ' ', &word) && view_number(word, max, out);
}

bool words_get_u32(struct view *rest, uint32_t *out)
{
	uint64_t n;

	if (!words_get_number(rest, UINT32_MAX, &n))
		return false;
	*out = (uint32_t)n;
	return true;
}
