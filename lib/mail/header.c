/* SPDX-License-Identifier: ISC */
#include "lib/mail/header.h"

/* Length of the line at the front with its end; *content without it. */
static size_t line_length(struct view v, size_t *content)
{
	size_t lf = view_find(v, '\n');

	*content = lf < v.len && lf > 0 && v.data[lf - 1] == '\r' ? lf - 1 : lf;
	return lf < v.len ? lf + 1 : lf;
}

/* Splits "Name : value"; an empty name when there is none. */
static void split_field(struct view line, struct header_field *field)
{
	size_t colon = view_find(line, ':');
	struct view name = view_take(line, colon);

	while (name.len > 0 && byte_is_space(name.data[name.len - 1]))
		name.len--; /* obsolete syntax, RFC 5322 section 4.5.8 */
	if (colon < line.len && header_name_valid(name)) {
		field->name = name;
		field->value = view_skip(line, colon + 1);
	} else {
		field->name = (struct view){ line.data, 0 };
		field->value = line;
	}
}

bool header_next(struct view *rest, struct header_field *field)
{
	size_t content, len = line_length(*rest, &content), all = len;

	if (content == 0) {
		*rest = view_skip(*rest, len);
		return false;
	}
	/* A line of blanks only continues the field, it is not the empty line. */
	while (all < rest->len && byte_is_space(rest->data[all])) {
		struct view more = view_skip(*rest, all);
		size_t more_content;

		len = line_length(more, &more_content);
		content = all + more_content;
		all += len;
	}
	field->whole = view_take(*rest, all);
	split_field(view_take(*rest, content), field);
	*rest = view_skip(*rest, all);
	return true;
}

size_t header_length(struct view message, size_t max)
{
	size_t at = 0;

	while (at < message.len) {
		size_t content, len = line_length(view_skip(message, at), &content);

		if (at + len > max)
			return at > 0 ? at : max;
		at += len;
		if (content == 0)
			break;
	}
	return at;
}

bool header_find(struct view header, struct view name, struct header_field *field)
{
	while (header_next(&header, field))
		if (view_equal_nocase(field->name, name))
			return true;
	return false;
}

bool header_unfold(struct text *out, struct view value)
{
	value = view_trim(value);
	while (value.len > 0) {
		size_t run = 0;

		while (run < value.len && value.data[run] != '\r' && value.data[run] != '\n')
			run++;
		if (!text_add(out, view_take(value, run)))
			return false;
		value = view_skip(value, run);
		while (value.len > 0 && (value.data[0] == '\r' || value.data[0] == '\n'))
			value = view_skip(value, 1);
	}
	return true;
}

bool header_name_valid(struct view name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.data[i] <= ' ' || name.data[i] > '~' || name.data[i] == ':')
			return false;
	return name.len > 0 && name.len <= HEADER_NAME_MAX;
}
