/* SPDX-License-Identifier: ISC */
#include "imapd/fetchsection.h"

#include "imapd/answer.h"

static bool is_named(const struct section *s, struct view name)
{
	for (unsigned i = 0; i < s->field_count; i++)
		if (view_equal_nocase(s->fields[i], name))
			return true;
	return false;
}

/* The fields that are asked for, and the empty line when the header has one. */
static void pick_fields(const struct section *s, struct view header, struct text *out)
{
	struct header_field field;
	struct view rest = header;
	size_t taken = 0;
	bool wanted = s->what == SECTION_FIELDS;

	while (header_next(&rest, &field)) {
		taken = header.len - rest.len;
		if (field.name.len ? is_named(s, field.name) == wanted : !wanted)
			text_add(out, field.whole);
	}
	if (taken < header.len)
		text_add(out, VIEW("\r\n"));
	answer_without_nul(out->raw, out->len);
}

static void set_range(struct section_bytes *out, uint64_t offset, uint64_t length)
{
	out->in_message = true;
	out->offset = offset;
	out->length = length;
}

/* HEADER and TEXT of the message or of a message inside it. */
static void message_part(const struct section *s, struct view header, uint64_t header_start,
                         uint64_t body_start, uint64_t body_length, struct text *scratch,
                         struct section_bytes *out)
{
	switch (s->what) {
	case SECTION_HEADER: set_range(out, header_start, header.len); break;
	case SECTION_TEXT: set_range(out, body_start, body_length); break;
	case SECTION_FIELDS:
	case SECTION_FIELDS_NOT:
		pick_fields(s, header, scratch);
		out->memory = text_view_cut(scratch); /* section_find refuses a full one */
		break;
	case SECTION_ALL:
	case SECTION_MIME: out->missing = true; break;
	}
}

/* Sections without numbers need no structure. */
static enum store_result of_message(struct content *c, const struct section *s,
                                    struct text *scratch, struct section_bytes *out,
                                    struct reason *why)
{
	enum store_result result =
		s->what == SECTION_ALL ? content_open(c, why) : content_header(c, why);

	if (result != STORE_OK)
		return result;
	if (s->what == SECTION_ALL)
		set_range(out, 0, c->message.size);
	else
		message_part(s, c->header, 0, c->header.len, c->message.size - c->header.len,
		             scratch, out);
	return STORE_OK;
}

static struct view range_view(struct view whole, size_t start, size_t length)
{
	return view_take(view_skip(whole, start), length);
}

/* A multipart without a part is shown as one that has an empty one (bodystructure.c). */
static bool is_empty_part(struct content *c, const struct section *s)
{
	struct view parent = s->spec, rest;
	bool whole;

	while (parent.len && byte_is_digit(parent.data[parent.len - 1]))
		parent.len--;
	struct view number = view_skip(s->spec, parent.len);

	if (s->what != SECTION_ALL || !view_equal(number, VIEW("1")))
		return false;
	const struct mime_part *p =
		mime_section(c->mime.root, view_take(parent, parent.len ? parent.len - 1 : 0),
	                     &rest, &whole);

	if (p != NULL && p->kind == MIME_MESSAGE)
		p = p->child;
	return p != NULL && p->kind == MIME_MULTIPART && p->child == NULL;
}

static enum store_result of_part(struct content *c, const struct section *s, struct text *scratch,
                                 struct section_bytes *out, struct reason *why)
{
	enum store_result result = content_mime(c, why);
	struct view rest;
	bool whole;

	if (result != STORE_OK)
		return result;
	const struct mime_part *p = mime_section(c->mime.root, s->spec, &rest, &whole);

	if (p == NULL) {
		out->missing = !is_empty_part(c, s);
	} else if (s->what == SECTION_ALL) {
		set_range(out, p->body_start, p->body_len);
	} else if (s->what == SECTION_MIME) {
		set_range(out, p->header_start, p->header_len);
	} else if (p->kind != MIME_MESSAGE || p->child == NULL) {
		out->missing = true; /* HEADER and TEXT are those of a message (section 6.4.5) */
	} else {
		const struct mime_part *m = p->child;

		message_part(s, range_view(c->whole, m->header_start, m->header_len),
		             m->header_start, m->body_start, m->body_len, scratch, out);
	}
	return STORE_OK;
}

static void cut(const struct section *s, uint64_t length, uint64_t *origin, uint64_t *wanted)
{
	*origin = s->origin < length ? s->origin : length;
	*wanted = length - *origin < s->length ? length - *origin : s->length;
}

/* A partial fetch: what of it is there, perhaps nothing. */
static void take_partial(const struct section *s, struct section_bytes *out)
{
	uint64_t origin, wanted;

	if (!s->partial || out->missing)
		return;
	cut(s, out->in_message ? out->length : out->memory.len, &origin, &wanted);
	out->offset += origin;
	out->length = wanted;
	if (!out->in_message)
		out->memory = view_take(view_skip(out->memory, (size_t)origin), (size_t)wanted);
}

enum store_result section_find(struct content *c, const struct section *s, struct text *scratch,
                               struct section_bytes *out, struct reason *why)
{
	*out = (struct section_bytes){ .memory = VIEW("") };
	enum store_result result =
		s->depth ? of_part(c, s, scratch, out, why) : of_message(c, s, scratch, out, why);

	if (result == STORE_OK && scratch->full) {
		fail(why, "a section is too large to be put together");
		result = STORE_LIMIT;
	}
	if (result == STORE_OK)
		take_partial(s, out);
	return result;
}
