/* SPDX-License-Identifier: ISC */
/* Header fields, ENVELOPE, dates and the MIME tree of one message: whatever comes, the tree is
 * sound. */
#include <stdlib.h>

#include "lib/mail/addresslist.h"
#include "lib/mail/date.h"
#include "lib/mail/imapenvelope.h"
#include "lib/mail/header.h"
#include "lib/mail/mime.h"

enum { SMALL_ARENA = 3000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A view that may be read to its end, inside the message or not. */
static void touch(struct view v)
{
	volatile char sum = 0;

	for (size_t i = 0; i < v.len; i++)
		sum = (char)(sum ^ v.data[i]);
}

static void touch_params(const struct mime_param *p)
{
	struct text value;

	for (; p; p = p->next) {
		touch(p->name);
		touch(p->value);
		text_init(&value, 100);
		mime_param_text(p, view_take(p->name, view_find(p->name, '*')), &value);
		text_free(&value);
	}
}

static void check_fields(const struct mime_part *part)
{
	touch(part->type);
	touch(part->subtype);
	touch(part->encoding_text);
	touch(part->id);
	touch(part->description);
	touch(part->md5);
	touch(part->location);
	touch(part->disposition);
	touch_params(part->params);
	touch_params(part->disposition_params);
	touch_params(part->languages);
}

static uint32_t count_lines(struct view all, size_t from, size_t len)
{
	struct view rest = view_take(view_skip(all, from), len), line;
	uint32_t lines = 0;
	bool ends = len > 0 && rest.data[len - 1] == '\n';

	while (view_cut(&rest, '\n', &line))
		lines++;
	return lines - (lines > 0 && !ends);
}

/* Returns the number of parts. */
static unsigned check_part(struct view all, const struct mime_part *part)
{
	size_t end = part->body_start + part->body_len, from = part->body_start;
	unsigned count = 1, children = 0;

	if (part->body_start != part->header_start + part->header_len ||
	    part->body_start > all.len || end > all.len || part->depth >= MIME_DEPTH_MAX)
		abort();
	if (!part->parent &&
	    (count_lines(all, 0, part->header_len) != part->header_lines ||
	     count_lines(all, part->body_start, part->body_len) != part->body_lines))
		abort();
	check_fields(part);
	for (const struct mime_part *child = part->child; child; child = child->next) {
		if (child->parent != part || child->header_start < from ||
		    (child->body_len > 0 && child->body_start + child->body_len > end))
			abort();
		from = child->body_start;
		count += check_part(all, child);
		children++;
	}
	if (children != part->children || (part->kind == MIME_MESSAGE && children != 1) ||
	    (part->kind == MIME_LEAF && children != 0))
		abort();
	return count;
}

static void check_tree(struct view in, size_t limit)
{
	static const char *const sections[] = { "",        "1",      "1.1",  "2.1.HEADER",
		                                "1.1.1.1", "3.TEXT", "1.2.3" };
	struct arena arena = { .limit = limit };
	struct mime_message m;

	if (mime_parse(&arena, in, &m)) {
		if (check_part(in, m.root) != m.parts)
			abort();
		for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
			struct view rest;
			bool whole;

			mime_section(m.root, view_of(sections[i]), &rest, &whole);
		}
	} else if (limit == 0) {
		abort();
	}
	arena_clear(&arena);
}

static void check_header(struct view in)
{
	struct arena arena = { 0 };
	struct view rest = in;
	struct header_field field;
	struct imapenvelope envelope;
	struct date date;

	while (header_next(&rest, &field)) {
		struct text unfolded;

		text_init(&unfolded, 1000);
		header_unfold(&unfolded, field.value);
		text_free(&unfolded);
	}
	if (header_length(in, in.len) != in.len - rest.len)
		abort();
	imapenvelope_read(in, &envelope);
	for (int i = 0; i < IMAPENVELOPE_ITEMS; i++)
		if (imapenvelope_is_list((enum imapenvelope_item)i))
			addresslist_parse(&arena, envelope.item[i], 100);
	if (date_mail_parse(envelope.item[IMAPENVELOPE_DATE], &date)) {
		char text[DATE_TEXT_MAX];
		struct date again;

		if (!date_mail_parse(view_of(date_mail(date, text)), &again))
			abort();
	}
	arena_clear(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view in = { (const char *)data, size };

	check_header(in);
	check_tree(in, 0);
	check_tree(in, SMALL_ARENA);
	return 0;
}
