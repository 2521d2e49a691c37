/* SPDX-License-Identifier: ISC */
/* The modified UTF-7 of IMAP mailbox names, RFC 3501 section 5.1.3. */
#include "lib/mail/charset.h"
#include "lib/mail/encoding.h"
#include "lib/base/utf8.h"

/* "," stands for "/", which separates the levels of a name. */
static int run_value(char c)
{
	return c == ',' ? base64_value('/') : c == '/' ? -1 : base64_value(c);
}

/* Printable ASCII, which must stand for itself. */
static bool is_direct(uint32_t c)
{
	return c >= 0x20 && c <= 0x7e;
}

/* One UTF-16 unit of a run; *high is the first half of a pair that waits for its second. */
static bool add_unit(uint32_t unit, uint32_t *high, struct text *out)
{
	if (*high) {
		uint32_t code = 0x10000 + ((*high - 0xd800) << 10) + (unit - 0xdc00);

		*high = 0;
		return unit >= 0xdc00 && unit <= 0xdfff && utf8_add(out, code);
	}
	if (unit >= 0xd800 && unit <= 0xdbff) {
		*high = unit;
		return true;
	}
	/* ASCII must not be hidden in base64: one mailbox, one name.  Nor controls at all. */
	if (is_direct(unit) || unit < 0x20 || unit == 0x7f || (unit >= 0xdc00 && unit <= 0xdfff))
		return false;
	return utf8_add(out, unit);
}

/* The base64 of a run, without "&" and "-". */
static bool add_run(struct view run, struct text *out)
{
	uint32_t bits = 0, high = 0;
	unsigned count = 0;

	for (size_t i = 0; i < run.len; i++) {
		int value = run_value(run.data[i]);

		if (value < 0)
			return false;
		bits = bits << 6 | (uint32_t)value;
		count += 6;
		if (count >= 16) {
			count -= 16;
			if (!add_unit(bits >> count & 0xffff, &high, out))
				return false;
			bits &= (1u << count) - 1;
		}
	}
	/* Fewer than six bits may be left over, all zero, and no half of a pair. */
	return count < 6 && bits == 0 && high == 0;
}

static bool decode(struct view name, struct text *out)
{
	bool behind_run = false;

	while (name.len > 0) {
		char c = name.data[0];

		if ((unsigned char)c < 0x20 || (unsigned char)c > 0x7e)
			return false;
		name = view_skip(name, 1);
		if (c != '&') {
			behind_run = false;
			if (!text_add_byte(out, c))
				return false;
			continue;
		}
		struct view run = view_take(name, view_find(name, '-'));

		if (run.len == name.len)
			return false; /* no end */
		name = view_skip(name, run.len + 1);
		/* Two runs side by side would be a second spelling of one. */
		if (run.len > 0 && behind_run)
			return false;
		if (!(run.len == 0 ? text_add_byte(out, '&') : add_run(run, out)))
			return false;
		behind_run = run.len > 0;
	}
	return true;
}

bool utf7_to_utf8(struct view name, struct text *out)
{
	size_t before = out->len;

	if (name.len <= MAILBOX_UTF7_MAX && decode(name, out))
		return true;
	text_cut_back(out, before); /* what a failure left behind */
	return false;
}
