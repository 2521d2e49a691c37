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
	/* One byte more than is shown: for whoever cuts it. */
	text_init(&line, ANSWER_DISPLAY_MAX + 1);
	header_unfold(&line, view_take(value, ANSWER_DISPLAY_MAX + 1));
	answer_display(out, text_view(&line));
	text_free(&line);
}

/* A part that is not there is NIL; but a mailbox without a host is "", since NIL there means a
 * group. */
static void write_address(struct text *out, const struct listed_address *a)
{
	switch (a->kind) {
	case LISTED_GROUP_START:
		text_add_string(out, "(NIL NIL ");
		answer_display(out, a->name);
		text_add_string(out, " NIL)");
		break;
	case LISTED_GROUP_END: text_add_string(out, "(NIL NIL NIL NIL)"); break;
	case LISTED_MAILBOX:
		text_add_byte(out, '(');
		answer_display(out, a->name);
		text_add_byte(out, ' ');
		answer_display(out, a->route);
		text_add_byte(out, ' ');
		answer_string(out, a->mailbox);
		text_add_byte(out, ' ');
		answer_string(out, a->host);
		text_add_byte(out, ')');
		break;
	}
}

/* A list in the making. */
struct list_writer {
	struct text *out;
	struct arena *arena;
	size_t begin;
	bool any, in_group;
};

/* An address is whole or not there: half of one would be somebody else's. */
static bool is_too_long(const struct listed_address *a)
{
	return a->kind == LISTED_MAILBOX &&
	       (a->mailbox.len > ANSWER_DISPLAY_MAX || a->host.len > ANSWER_DISPLAY_MAX);
}

static void add_addresses(struct list_writer *w, struct view value)
{
	const struct listed_address *a =
		value.data ? addresslist_parse(w->arena, value, STRUCTURE_ADDRESSES_MAX) : NULL;

	for (; a != NULL && w->out->len - w->begin < STRUCTURE_LIST_MAX; a = a->next) {
		if (is_too_long(a))
			continue;
		if (!w->any)
			text_add_byte(w->out, '(');
		w->any = true;
		write_address(w->out, a);
		if (a->kind != LISTED_MAILBOX)
			w->in_group = a->kind == LISTED_GROUP_START;
	}
	if (w->in_group)
		text_add_string(w->out, "(NIL NIL NIL NIL)");
	w->in_group = false;
}

/* false, and nothing written, when there is no address. */
static bool end_list(struct list_writer *w)
{
	if (w->any)
		text_add_byte(w->out, ')');
	return w->any;
}

static bool write_list(struct text *out, struct arena *arena, struct view value)
{
	struct list_writer w = { .out = out, .arena = arena, .begin = out->len };

	add_addresses(&w, value);
	return end_list(&w);
}

/* All the fields of the name: RFC 5322 allows one, and who is in a second one got the message
 * too. */
static bool write_lists(struct text *out, struct arena *arena, struct view header,
                        enum imapenvelope_item item)
{
	struct list_writer w = { .out = out, .arena = arena, .begin = out->len };
	struct view value;

	while (imapenvelope_next(&header, item, &value))
		add_addresses(&w, value);
	return end_list(&w);
}

/* Sender and reply-to that are absent or hold no address are those of From. */
static void write_item(struct text *out, struct arena *arena, struct view header,
                       const struct imapenvelope *e, enum imapenvelope_item item)
{
	bool is_recipients =
		item == IMAPENVELOPE_TO || item == IMAPENVELOPE_CC || item == IMAPENVELOPE_BCC;
	bool written;

	if (!imapenvelope_is_list(item)) {
		write_unfolded(out, e->item[item]);
		return;
	}
	if (is_recipients && e->again[item])
		written = write_lists(out, arena, header, item);
	else
		written = write_list(out, arena, e->item[item]);
	if (!written && (item == IMAPENVELOPE_SENDER || item == IMAPENVELOPE_REPLY_TO))
		written = write_list(out, arena, e->item[IMAPENVELOPE_FROM]);
	if (!written)
		text_add_string(out, "NIL");
}

bool structure_envelope(struct text *out, struct view header)
{
	struct arena arena = { .limit = STRUCTURE_ARENA_BYTES };
	struct imapenvelope e;

	imapenvelope_read(header, &e);
	for (int i = 0; i < IMAPENVELOPE_ITEMS; i++) {
		text_add_byte(out, i ? ' ' : '(');
		write_item(out, &arena, header, &e, (enum imapenvelope_item)i);
	}
	arena_clear(&arena);
	return text_add_byte(out, ')');
}
