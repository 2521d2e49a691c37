/* SPDX-License-Identifier: ISC */
#include "lib/base/shown.h"

#include "lib/base/log.h"
#include "lib/base/utf8.h"

/* The bytes of the character at the beginning; *shown: it may go to a terminal. Never 0. */
static size_t first_of(struct view v, bool *shown)
{
	uint32_t code;
	size_t len = utf8_get(v, &code);

	*shown = len && code >= ' ' && (code < 0x7f || code >= 0xa0) &&
	         (code < 0xa0 || !utf8_is_invisible(code));
	return len ? len : 1;
}

void text_add_shown(struct text *out, struct view v)
{
	char escaped[LOG_ESCAPED];
	bool shown;

	while (v.len) {
		size_t len = first_of(v, &shown);

		if (shown)
			text_add(out, view_take(v, len));
		for (size_t i = 0; !shown && i < len; i++) {
			log_escape(escaped, (unsigned char)v.data[i]);
			text_add(out, (struct view){ escaped, sizeof escaped });
		}
		v = view_skip(v, len);
	}
}

static bool is_plain(struct view word)
{
	const struct view plain =
		VIEW("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._@%+=:,-");

	for (size_t i = 0; i < word.len; i++)
		if (view_find(plain, word.data[i]) == plain.len)
			return false;
	return word.len > 0;
}

static bool is_shown(struct view v)
{
	bool shown = true;

	while (v.len && shown)
		v = view_skip(v, first_of(v, &shown));
	return shown;
}

static void add_octal(struct text *out, struct view word)
{
	text_add_string(out, "$'");
	for (size_t i = 0; i < word.len; i++) {
		unsigned char byte = (unsigned char)word.data[i];

		if (byte < ' ' || byte > '~' || byte == '\'' || byte == '\\')
			text_format(out, "\\%03o", byte);
		else
			text_add_byte(out, word.data[i]);
	}
	text_add_byte(out, '\'');
}

void text_add_shell_word(struct text *out, struct view word)
{
	if (is_plain(word)) {
		text_add(out, word);
		return;
	}
	if (!is_shown(word)) {
		add_octal(out, word);
		return;
	}
	text_add_byte(out, '\'');
	for (size_t i = 0; i < word.len; i++)
		if (word.data[i] == '\'')
			text_add_string(out, "'\\''");
		else
			text_add_byte(out, word.data[i]);
	text_add_byte(out, '\'');
}
