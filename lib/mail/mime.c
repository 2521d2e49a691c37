/* SPDX-License-Identifier: ISC */
#include "lib/mail/mime.h"

#include <string.h>

#include "lib/mail/header.h"

/* A multipart that is open, with the boundary that ends its parts. */
struct open_multipart {
	struct mime_part *part;
	struct view boundary;
};

struct parser {
	struct arena *arena;
	struct view all;
	struct mime_message *message;
	struct mime_part *part; /* the innermost open one */
	bool in_header;         /* of `part` */
	bool dashes_seen;       /* in this header, see at_own_boundary */
	size_t line_start;
	uint32_t lines;        /* before line_start */
	uint32_t lines_behind; /* with this line, if it has an end */
	struct open_multipart open[MIME_DEPTH_MAX];
	size_t open_count;
};

static struct view slice(const struct parser *p, size_t from, size_t to)
{
	return view_take(view_skip(p->all, from), to - from);
}

/* ---- fields ---- */

/* Trimmed; unfolded into the arena where it was folded. */
static struct view plain_value(struct parser *p, struct view value)
{
	size_t kept = 0;
	char *to;

	value = view_take(view_trim(value), MIME_FIELD_MAX);
	if (view_find(value, '\r') == value.len && view_find(value, '\n') == value.len)
		return value;
	to = arena_get(p->arena, value.len);
	if (!to) {
		p->message->truncated = true;
		return (struct view){ NULL, 0 };
	}
	for (size_t i = 0; i < value.len; i++)
		if (value.data[i] != '\r' && value.data[i] != '\n')
			to[kept++] = value.data[i];
	return (struct view){ to, kept };
}

/* "en, de (comment)": tags between commas. */
static struct mime_param *read_languages(struct parser *p, struct view value)
{
	struct mime_param *first = NULL, **last = &first;
	struct view tag;

	value = view_take(value, MIME_FIELD_MAX);
	for (unsigned count = 0; count < MIME_PARAMS_MAX && view_cut(&value, ',', &tag); count++) {
		struct mime_param *l;

		tag = view_trim(view_take(tag, view_find(tag, '(')));
		if (tag.len == 0)
			continue;
		l = arena_get(p->arena, sizeof *l);
		if (!l)
			break;
		l->name = plain_value(p, tag);
		*last = l;
		last = &l->next;
	}
	return first;
}

static void read_type(struct parser *p, struct mime_part *part, struct view value)
{
	struct view type, subtype;

	if (!mime_value_parse(p->arena, value, true, &type, &subtype, &part->params))
		return;
	part->type = type;
	part->subtype = subtype;
	part->type_default = false;
}

static void read_disposition(struct parser *p, struct mime_part *part, struct view value)
{
	struct view word, none;

	if (mime_value_parse(p->arena, value, false, &word, &none, &part->disposition_params))
		part->disposition = word;
}

static void read_encoding(struct parser *p, struct mime_part *part, struct view value)
{
	struct view word, none;
	struct mime_param *params;

	if (!mime_value_parse(p->arena, value, false, &word, &none, &params))
		return;
	part->encoding_text = word;
	part->encoding = transfer_encoding_parse(word);
}

/* A text field: where it goes. */
static struct view *text_field(struct mime_part *part, struct view name)
{
	if (view_equal_nocase(name, VIEW("Content-ID")))
		return &part->id;
	if (view_equal_nocase(name, VIEW("Content-Description")))
		return &part->description;
	if (view_equal_nocase(name, VIEW("Content-MD5")))
		return &part->md5;
	if (view_equal_nocase(name, VIEW("Content-Location")))
		return &part->location;
	return NULL;
}

/* The first field of each name counts. */
static void read_field(struct parser *p, struct mime_part *part, const struct header_field *field)
{
	struct view *text = text_field(part, field->name);

	if (text) {
		if (!text->data)
			*text = plain_value(p, field->value);
	} else if (view_equal_nocase(field->name, VIEW("Content-Type"))) {
		if (part->type_default)
			read_type(p, part, field->value);
	} else if (view_equal_nocase(field->name, VIEW("Content-Transfer-Encoding"))) {
		if (!part->encoding_text.data)
			read_encoding(p, part, field->value);
	} else if (view_equal_nocase(field->name, VIEW("Content-Disposition"))) {
		if (!part->disposition.data)
			read_disposition(p, part, field->value);
	} else if (view_equal_nocase(field->name, VIEW("Content-Language"))) {
		if (!part->languages)
			part->languages = read_languages(p, field->value);
	}
}

static void read_header(struct parser *p, struct mime_part *part)
{
	struct view header = slice(p, part->header_start, part->header_start + part->header_len);
	struct header_field field;

	part->type_default = true;
	while (header_next(&header, &field))
		if (view_starts_nocase(field.name, VIEW("Content-")))
			read_field(p, part, &field);
	if (!part->type_default)
		return;
	/* RFC 2046 section 5.1.5: parts of a digest are messages unless they say otherwise. */
	if (part->parent && part->parent->kind == MIME_MULTIPART &&
	    view_equal_nocase(part->parent->subtype, VIEW("digest"))) {
		part->type = VIEW("message");
		part->subtype = VIEW("rfc822");
	} else {
		part->type = VIEW("text");
		part->subtype = VIEW("plain");
	}
}

/* The boundary parameter, in pieces too (RFC 2231), without trailing blanks (RFC 2046 section
 * 5.1.1). */
static struct view boundary_of(struct parser *p, const struct mime_part *part)
{
	struct view boundary = mime_param(part->params, VIEW("boundary"));
	struct text joined;

	if (!boundary.data) {
		text_init(&joined, MIME_BOUNDARY_MAX);
		if (mime_param_text(part->params, VIEW("boundary"), &joined))
			boundary = arena_copy(p->arena, text_view(&joined));
		text_free(&joined);
	}
	while (boundary.len > 0 && byte_is_space(boundary.data[boundary.len - 1]))
		boundary.len--;
	return view_take(boundary, MIME_BOUNDARY_MAX);
}

/* ---- the tree ---- */

/* A child of parent whose header begins at the current line. */
static bool open_part(struct parser *p, struct mime_part *parent, size_t start, uint32_t lines)
{
	struct mime_part *part = NULL;

	if (p->message->parts < MIME_PARTS_MAX)
		part = arena_get(p->arena, sizeof *part);
	if (!part) {
		p->message->truncated = true;
		return false;
	}
	p->message->parts++;
	part->parent = parent;
	part->depth = parent ? parent->depth + 1 : 0;
	part->header_start = start;
	part->header_lines = lines; /* the count before it, until the header ends */
	if (parent) {
		if (parent->last_child)
			parent->last_child->next = part;
		else
			parent->child = part;
		parent->last_child = part;
		parent->children++;
	}
	p->part = part;
	p->in_header = true;
	p->dashes_seen = false;
	return true;
}

/* The header of the current part ends at `end`, with `lines` lines before it. */
static void end_header(struct parser *p, size_t end, uint32_t lines)
{
	struct mime_part *part = p->part;

	part->header_len = end - part->header_start;
	part->header_lines = lines - part->header_lines;
	part->body_start = end;
	part->body_lines = lines; /* the count before it, until the part is closed */
	p->in_header = false;
	read_header(p, part);
	if (part->depth + 1 >= MIME_DEPTH_MAX) {
		p->message->truncated = p->message->truncated ||
		                        view_equal_nocase(part->type, VIEW("multipart")) ||
		                        view_equal_nocase(part->type, VIEW("message"));
		return;
	}
	if (view_equal_nocase(part->type, VIEW("multipart"))) {
		struct view boundary = boundary_of(p, part);

		part->kind = MIME_MULTIPART;
		if (boundary.len > 0)
			p->open[p->open_count++] = (struct open_multipart){ part, boundary };
	} else if (view_equal_nocase(part->type, VIEW("message")) &&
	           (view_equal_nocase(part->subtype, VIEW("rfc822")) ||
	            view_equal_nocase(part->subtype, VIEW("global")))) {
		if (open_part(p, part, end, lines))
			part->kind = MIME_MESSAGE;
	}
}

/* Closes the open parts inside of `keep` (NULL: all of them); their bodies end at `end`. */
static void close_parts(struct parser *p, const struct mime_part *keep, size_t end, uint32_t lines)
{
	if (p->in_header)
		end_header(p, end, lines);
	/* That may have opened the message inside a message: its header is empty as well. */
	while (p->in_header)
		end_header(p, p->part->header_start, p->part->header_lines);
	for (; p->part != keep; p->part = p->part->parent) {
		struct mime_part *part = p->part;

		/* The line end before a boundary may have been the empty line of the header. */
		part->body_len = end > part->body_start ? end - part->body_start : 0;
		part->body_lines = part->body_len > 0 ? lines - part->body_lines : 0;
	}
}

/* The open multipart whose boundary the line (behind "--") begins with: the longest, inner ones
 * first. */
static bool find_boundary(const struct parser *p, struct view line, size_t *index)
{
	size_t best = 0;

	for (size_t i = p->open_count; i-- > 0;) {
		struct view boundary = p->open[i].boundary;

		if (boundary.len <= best || !view_starts(line, boundary))
			continue;
		best = boundary.len;
		*index = i;
		struct view rest = view_skip(line, best);

		if (rest.len == 0 || view_equal(rest, VIEW("--")))
			break; /* exactly this one */
	}
	return best > 0;
}

/* The line is a boundary of open[index]; `next` is the line behind it. */
static void at_boundary(struct parser *p, size_t index, struct view line, size_t next)
{
	struct open_multipart at = p->open[index];
	size_t end = p->line_start;
	uint32_t lines = p->lines;

	/* The line end before the boundary belongs to it (RFC 2046 section 5.1.1), but an open
	 * header keeps its own. */
	if (!p->in_header && end > 0) {
		end--;
		lines--;
		if (end > 0 && p->all.data[end - 1] == '\r')
			end--;
	}
	close_parts(p, at.part, end, lines);
	p->open_count = index + 1;
	/* Closed, or no part more to be had: what follows is epilogue of at.part. */
	if (view_starts(view_skip(line, at.boundary.len), VIEW("--")) ||
	    !open_part(p, at.part, next, p->lines_behind))
		p->open_count = index;
}

/*
 * In the header of a multipart whose empty line is missing, is this its first
 * boundary?  Only the first line with dashes is looked at: reading the header
 * again for each would cost the square of its length.
 */
static bool at_own_boundary(struct parser *p, struct view line)
{
	struct view header = slice(p, p->part->header_start, p->line_start);
	struct mime_part probe = { 0 };
	struct header_field field;

	if (p->dashes_seen)
		return false;
	p->dashes_seen = true;
	probe.type_default = true;
	while (probe.type_default && header_next(&header, &field))
		if (view_equal_nocase(field.name, VIEW("Content-Type")))
			read_type(p, &probe, field.value);
	if (!view_equal_nocase(probe.type, VIEW("multipart")))
		return false;
	struct view boundary = boundary_of(p, &probe);

	return boundary.len > 0 && view_starts(line, boundary);
}

/* One line, content without its end. */
static void take_line(struct parser *p, size_t content_end, size_t next)
{
	struct view line = slice(p, p->line_start, content_end);
	bool dashes = line.len > 2 && line.data[0] == '-' && line.data[1] == '-';
	size_t index;

	if (dashes && p->in_header && at_own_boundary(p, view_skip(line, 2)))
		end_header(p, p->line_start, p->lines);
	if (dashes && p->open_count > 0 && find_boundary(p, view_skip(line, 2), &index)) {
		at_boundary(p, index, view_skip(line, 2), next);
		return;
	}
	if (p->in_header && line.len == 0)
		end_header(p, next, p->lines_behind);
}

bool mime_parse(struct arena *arena, struct view message, struct mime_message *out)
{
	struct parser p = { .arena = arena, .all = message, .message = out };

	memset(out, 0, sizeof *out);
	if (!open_part(&p, NULL, 0, 0))
		return false;
	out->root = p.part;
	while (p.line_start < message.len) {
		struct view rest = view_skip(message, p.line_start);
		size_t lf = view_find(rest, '\n');
		size_t next = p.line_start + (lf < rest.len ? lf + 1 : lf);
		bool crlf = lf > 0 && lf < rest.len && rest.data[lf - 1] == '\r';

		p.lines_behind = p.lines + (lf < rest.len);
		take_line(&p, p.line_start + lf - crlf, next);
		p.lines = p.lines_behind;
		p.line_start = next;
	}
	close_parts(&p, NULL, message.len, p.lines);
	return true;
}

/* ---- sections ---- */

static struct mime_part *nth_child(struct mime_part *part, uint64_t n)
{
	struct mime_part *child = part->child;

	while (child && n > 1) {
		child = child->next;
		n--;
	}
	return child;
}

/*
 * Part n of what `at` holds.  At first `at` is the message; later a part: then a
 * message/rfc822 stands for the message inside, and *whole tells that a number
 * has been spent on the one body of a message that is not multipart.
 */
static struct mime_part *descend(struct mime_part *at, bool first, uint64_t n, bool *whole)
{
	if (!first && at->kind == MIME_MESSAGE)
		at = at->child;
	else if (!first && at->kind == MIME_LEAF)
		return NULL;
	*whole = false;
	if (at->kind == MIME_MULTIPART)
		return nth_child(at, n);
	if (n != 1)
		return NULL;
	*whole = true;
	return at;
}

struct mime_part *mime_section(struct mime_part *root, struct view section, struct view *rest,
                               bool *whole)
{
	struct mime_part *at = root;

	*whole = false;
	while (at && section.len > 0 && byte_is_digit(section.data[0])) {
		struct view number;
		uint64_t n;

		view_cut(&section, '.', &number);
		if (!view_number(number, MIME_PARTS_MAX, &n) || n == 0)
			return NULL;
		at = descend(at, at == root && !*whole, n, whole);
	}
	*rest = section;
	return at;
}
