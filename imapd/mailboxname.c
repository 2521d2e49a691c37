/* SPDX-License-Identifier: ISC */
#include "imapd/mailboxname.h"

#include <string.h>

#include "lib/mail/charset.h"
#include "lib/store/store.h"

bool mailboxname_utf7_valid(struct view name)
{
	struct text utf8;

	text_init(&utf8, MAILBOXNAME_UTF8_MAX);
	bool valid = utf7_to_utf8(name, &utf8);

	text_free(&utf8);
	return valid;
}

bool mailboxname_is_inbox(struct view name)
{
	return view_starts_nocase(name, VIEW("INBOX")) &&
	       (name.len == 5 || name.data[5] == STORE_DELIMITER);
}

const char *mailboxname_fault(struct view name)
{
	if (name.len == 0)
		return "Empty mailbox name";
	if (name.len > STORE_NAME_MAX)
		return "Mailbox name too long";
	if (!mailboxname_utf7_valid(name))
		return "Mailbox name is not valid modified UTF-7";
	if (!store_name_valid(name))
		return "Invalid mailbox name";
	return NULL;
}

struct view mailboxname_canonical(struct arena *arena, struct view name)
{
	char *copy = arena_string(arena, name);

	if (copy != NULL && mailboxname_is_inbox(name))
		memcpy(copy, "INBOX", 5);
	return (struct view){ copy, name.len };
}

/* Without recursion: the set of places in the pattern that the name read so far can have
 * reached. */
struct places {
	unsigned char reached[MAILBOXNAME_PATTERN_MAX + 1];
};

/* "*" and "%" can stand for nothing: where they stand, what is behind them is reached too. */
static void pass_wildcards(struct places *p, struct view pattern)
{
	for (size_t i = 0; i < pattern.len; i++)
		if (p->reached[i] && (pattern.data[i] == '*' || pattern.data[i] == '%'))
			p->reached[i + 1] = 1;
}

static void pass_byte(struct places *p, struct view pattern, char c, bool any_case)
{
	for (size_t i = pattern.len + 1; i-- > 0;) {
		bool here = false;
		char wanted = i < pattern.len ? pattern.data[i] : '\0';

		if (i < pattern.len && p->reached[i])
			here = wanted == '*' || (wanted == '%' && c != STORE_DELIMITER);
		if (i && p->reached[i - 1]) {
			char before = pattern.data[i - 1];

			if (before != '*' && before != '%')
				here |= any_case ? byte_upper(before) == byte_upper(c)
				                 : before == c;
		}
		p->reached[i] = here;
	}
}

bool mailboxname_match(struct view pattern, struct view name)
{
	struct places p = { { 1 } };
	size_t inbox = mailboxname_is_inbox(name) ? 5 : 0;

	if (pattern.len > MAILBOXNAME_PATTERN_MAX)
		return false;
	pass_wildcards(&p, pattern);
	for (size_t i = 0; i < name.len; i++) {
		pass_byte(&p, pattern, name.data[i], i < inbox);
		pass_wildcards(&p, pattern);
	}
	return p.reached[pattern.len];
}
