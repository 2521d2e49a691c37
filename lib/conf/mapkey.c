/* SPDX-License-Identifier: ISC */
#include "lib/conf/mapkey.h"

#include "lib/conf/maptext.h"

int mapkey_domain(struct view text, struct view mail_domain, struct text *out, struct reason *why)
{
	(void)mail_domain;
	return maptext_domain(text, out, why);
}

int mapkey_address(struct view text, struct view mail_domain, struct text *out, struct reason *why)
{
	return maptext_address(text, mail_domain, out, why);
}

int mapkey_recipient(struct view text, struct view mail_domain, struct text *out,
                     struct reason *why)
{
	if (!view_starts(text, VIEW("@")))
		return maptext_address(text, mail_domain, out, why);
	text_add_byte(out, '@');
	return maptext_domain(view_skip(text, 1), out, why);
}

int mapkey_destination(struct view text, struct view mail_domain, struct text *out,
                       struct reason *why)
{
	if (view_equal(text, VIEW("*")))
		return text_add(out, text), 0;
	if (view_find(text, '@') < text.len)
		return maptext_address(text, mail_domain, out, why);
	if (view_starts(text, VIEW("."))) {
		text_add_byte(out, '.');
		text = view_skip(text, 1);
	}
	return maptext_domain(text, out, why);
}
