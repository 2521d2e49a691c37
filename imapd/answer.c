/* SPDX-License-Identifier: ISC */
#include "imapd/answer.h"

#include <string.h>

#include "imapd/parse.h"

static bool may_be_quoted(struct view v)
{
	if (v.len > ANSWER_QUOTED_MAX)
		return false;
	for (size_t i = 0; i < v.len; i++) {
		unsigned char c = (unsigned char)v.data[i];

		if (c == '\0' || c == '\r' || c == '\n' || c >= 0x80)
			return false;
	}
	return true;
}

void answer_without_nul(char *bytes, size_t len)
{
	for (char *at = bytes; len && (at = memchr(at, '\0', (size_t)(bytes + len - at))) != NULL;)
		*at = (char)0x80;
}

void answer_literal(struct text *out, struct view v)
{
	text_format(out, "{%zu}\r\n", v.len);
	size_t begin = out->len;

	if (text_add(out, v))
		answer_without_nul(out->raw + begin, v.len);
}

void answer_string(struct text *out, struct view v)
{
	if (!may_be_quoted(v)) {
		answer_literal(out, v);
		return;
	}
	text_add_byte(out, '"');
	for (size_t i = 0; i < v.len; i++) {
		if (v.data[i] == '"' || v.data[i] == '\\')
			text_add_byte(out, '\\');
		text_add_byte(out, v.data[i]);
	}
	text_add_byte(out, '"');
}

void answer_nstring(struct text *out, struct view v)
{
	if (v.data == NULL)
		text_add_string(out, "NIL");
	else
		answer_string(out, v);
}

void answer_display(struct text *out, struct view v)
{
	size_t len = v.len;

	if (len > ANSWER_DISPLAY_MAX) {
		len = ANSWER_DISPLAY_MAX;
		/* At most the three bytes that may follow a first one. */
		while (len > ANSWER_DISPLAY_MAX - 4 && ((unsigned char)v.data[len] & 0xc0) == 0x80)
			len--;
	}
	answer_nstring(out, view_take(v, len));
}

void answer_astring(struct text *out, struct view v)
{
	bool atom = v.len != 0 && !view_equal_nocase(v, VIEW("NIL"));

	for (size_t i = 0; atom && i < v.len; i++)
		atom = byte_is_atom(v.data[i]) || v.data[i] == ']';
	if (atom)
		text_add(out, v);
	else
		answer_string(out, v);
}
