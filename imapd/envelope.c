/* SPDX-License-Identifier: ISC */
/* ENVELOPE (RFC 3501 section 7.4.2). */
#include "imapd/answer.h"
#include "imapd/structure.h"
#include "lib/mail/addresslist.h"
#include "lib/mail/imapenvelope.h"
#include "lib/mail/header.h"

static void write_unfolded(struct text *out, struct view value)
{
	struct text line;

	if (value.data == NULL) {
		text_add_string(out, "NIL");
		return;
	}
	text_init(&line, STRUCTURE_TEXT_MAX);
	header_unfold(&line, value);
	answer_string(out, text_view(&line));
	text_free(&line);
}

/* A part that is not there is NIL; but a mailbox without a host is "", since NIL there means a
 * group. */
static void write_address(struct text *out, const struct listed_address *a)
{
	switch (a->kind) {
	case LISTED_GROUP_START:
		text_add_string(out, "(NIL NIL ");
		answer_string(out, a->name);
		text_add_string(out, " NIL)");
		break;
	case LISTED_GROUP_END: text_add_string(out, "(NIL NIL NIL NIL)"); break;
	case LISTED_MAILBOX:
		text_add_byte(out, '(');
		answer_nstring(out, a->name);
		text_add_byte(out, ' ');
		answer_nstring(out, a->route);
		text_add_byte(out, ' ');
		answer_string(out, a->mailbox);
		text_add_byte(out, ' ');
		answer_string(out, a->host);
		text_add_byte(out, ')');
		break;
	}
}

/* false, and NIL written, when there is no address in the value. */
static bool write_list(struct text *out, struct arena *arena, struct view value, bool nil)
{
	const struct listed_address *list =
		value.data ? addresslist_parse(arena, value, STRUCTURE_ADDRESSES_MAX) : NULL;

	if (list == NULL) {
		if (nil)
			text_add_string(out, "NIL");
		return false;
	}
	text_add_byte(out, '(');
	for (; list != NULL; list = list->next)
		write_address(out, list);
	text_add_byte(out, ')');
	return true;
}

/* Sender and reply-to that are absent or hold no address are those of From. */
static void write_item(struct text *out, struct arena *arena, const struct imapenvelope *e,
                       enum imapenvelope_item item)
{
	bool defaults = item == IMAPENVELOPE_SENDER || item == IMAPENVELOPE_REPLY_TO;

	if (!imapenvelope_is_list(item))
		write_unfolded(out, e->item[item]);
	else if (!write_list(out, arena, e->item[item], !defaults) && defaults)
		write_list(out, arena, e->item[IMAPENVELOPE_FROM], true);
}

bool structure_envelope(struct text *out, struct view header)
{
	struct arena arena = { .limit = STRUCTURE_ARENA_BYTES };
	struct imapenvelope e;

	imapenvelope_read(header, &e);
	for (int i = 0; i < IMAPENVELOPE_ITEMS; i++) {
		text_add_byte(out, i ? ' ' : '(');
		write_item(out, &arena, &e, (enum imapenvelope_item)i);
	}
	arena_clear(&arena);
	return text_add_byte(out, ')');
}
