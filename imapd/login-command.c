/* SPDX-License-Identifier: ISC */
#include "imapd/login-command.h"

/* ASTRING-CHAR: ATOM-CHAR / "]" (RFC 3501 section 9). */
static bool is_astring_byte(char c)
{
	switch (c) {
	case '(':
	case ')':
	case '{':
	case '%':
	case '*':
	case '"':
	case '\\': return false;
	default: return c > ' ' && c < 0x7f;
	}
}

static size_t astring_bytes(struct view v)
{
	size_t n = 0;

	while (n < v.len && is_astring_byte(v.data[n]))
		n++;
	return n;
}

/* A tag is of ASTRING-CHAR without "+"; "*" and "+" would make our answer another one. */
bool login_tag(struct view command, char tag[AUTH_TAG_MAX])
{
	struct view word = view_take(command, view_find(command, ' '));

	return word.len > 0 && astring_bytes(word) == word.len &&
	       view_find(word, '+') == word.len && string_copy(tag, AUTH_TAG_MAX, word);
}

bool login_head(struct view command, struct login_head *head)
{
	struct view rest = view_skip(command, view_find(command, ' ') + 1);

	if (!login_tag(command, head->tag))
		return false;
	head->name = view_take(rest, view_find(rest, ' '));
	head->arguments = view_skip(rest, head->name.len + 1);
	return head->name.len > 0;
}

enum login_literal login_literal_end(struct view line, size_t *bytes)
{
	size_t open = line.len;
	uint64_t number;
	bool unasked;

	if (line.len == 0 || line.data[line.len - 1] != '}')
		return LITERAL_NONE;
	while (open && line.data[open - 1] != '{')
		open--;
	if (open == 0)
		return LITERAL_NONE;
	struct view digits = view_take(view_skip(line, open), line.len - open - 1);

	unasked = digits.len && digits.data[digits.len - 1] == '+';
	/* "{" is in no atom and no base64; in a quoted string it is text, and a quote ends the line
	 * then. */
	if (!view_number(view_take(digits, digits.len - unasked), UINT32_MAX, &number))
		return digits.len && byte_is_digit(digits.data[0]) ? LITERAL_BAD : LITERAL_NONE;
	*bytes = (size_t)number;
	return unasked ? LITERAL_UNASKED : LITERAL_ASKED;
}

static bool take_quoted(struct view *rest, struct text *out)
{
	for (size_t i = 1; i < rest->len; i++) {
		char c = rest->data[i];

		if (c == '"') {
			*rest = view_skip(*rest, i + 1);
			return !out->full;
		}
		/* quoted-specials only may be escaped; a line holds no CR, LF or NUL. */
		if (c == '\\' &&
		    (++i == rest->len || (rest->data[i] != '"' && rest->data[i] != '\\')))
			return false;
		text_add_byte(out, rest->data[i]);
	}
	return false;
}

static bool take_literal(struct view *rest, struct text *out)
{
	size_t line_end = view_find(*rest, '\r'), bytes;
	enum login_literal kind = login_literal_end(view_take(*rest, line_end), &bytes);
	struct view behind = view_skip(*rest, line_end + 2);

	if ((kind != LITERAL_ASKED && kind != LITERAL_UNASKED) || bytes > behind.len)
		return false;
	*rest = view_skip(behind, bytes);
	return text_add(out, view_take(behind, bytes));
}

bool login_astring(struct view *rest, struct text *out)
{
	text_clear(out);
	if (rest->len && rest->data[0] == '"')
		return take_quoted(rest, out);
	if (rest->len && rest->data[0] == '{')
		return take_literal(rest, out);
	size_t n = astring_bytes(*rest);
	bool good = n > 0 && text_add(out, view_take(*rest, n));

	*rest = view_skip(*rest, n);
	return good;
}

bool login_space(struct view *rest)
{
	if (rest->len == 0 || rest->data[0] != ' ')
		return false;
	*rest = view_skip(*rest, 1);
	return true;
}
