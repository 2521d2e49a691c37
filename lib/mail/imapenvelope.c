/* SPDX-License-Identifier: ISC */
#include "lib/mail/imapenvelope.h"

#include <assert.h>
#include <string.h>

#include "lib/mail/header.h"

static const char *const names[] = { "Date", "Subject", "From", "Sender",      "Reply-To",
	                             "To",   "Cc",      "Bcc",  "In-Reply-To", "Message-ID" };
static_assert(sizeof names / sizeof names[0] == IMAPENVELOPE_ITEMS, "a name for each item");

bool imapenvelope_is_list(enum imapenvelope_item item)
{
	return item >= IMAPENVELOPE_FROM && item <= IMAPENVELOPE_BCC;
}

/* IMAPENVELOPE_ITEMS when it is none of them. */
static size_t item_of(struct view name)
{
	size_t i = 0;

	while (i < IMAPENVELOPE_ITEMS && !view_equal_nocase(name, view_of(names[i])))
		i++;
	return i;
}

void imapenvelope_read(struct view header, struct imapenvelope *out)
{
	struct header_field field;

	memset(out, 0, sizeof *out);
	while (header_next(&header, &field)) {
		size_t i = item_of(field.name);

		if (i == IMAPENVELOPE_ITEMS)
			continue;
		if (out->item[i].data)
			out->again[i] = true;
		else
			out->item[i] = view_trim(field.value);
	}
}

bool imapenvelope_next(struct view *header, enum imapenvelope_item item, struct view *value)
{
	struct header_field field;

	while (header_next(header, &field))
		if (item_of(field.name) == item) {
			*value = view_trim(field.value);
			return true;
		}
	return false;
}
