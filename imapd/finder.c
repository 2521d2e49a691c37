/* SPDX-License-Identifier: ISC */
#include "imapd/finder.h"

void finder_begin(struct finder *f, struct view needle)
{
	f->needle = needle;
	f->ascii = true;
	for (int i = 0; i < 256; i++)
		f->skip[i] = (uint32_t)needle.len;
	for (size_t i = 0; i < needle.len; i++) {
		char c = needle.data[i];

		if ((unsigned char)c >= 0x80)
			f->ascii = false;
		if (i + 1 < needle.len)
			f->skip[(unsigned char)c] = f->skip[(unsigned char)byte_upper(c)] =
				(uint32_t)(needle.len - 1 - i);
	}
}

static bool matches_at(const struct finder *f, const char *at)
{
	for (size_t i = f->needle.len; i-- > 0;)
		if (byte_lower(at[i]) != f->needle.data[i])
			return false;
	return true;
}

bool finder_finds(const struct finder *f, struct view hay)
{
	size_t last = f->needle.len - 1;

	if (f->needle.len == 0)
		return true;
	for (size_t at = 0; hay.len >= f->needle.len && at <= hay.len - f->needle.len;
	     at += f->skip[(unsigned char)hay.data[at + last]])
		if (matches_at(f, hay.data + at))
			return true;
	return false;
}
