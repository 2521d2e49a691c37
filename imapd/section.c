/* SPDX-License-Identifier: ISC */
#include "imapd/section.h"

static const struct {
	const char *name;
	enum section_what what;
} section_names[] = {
	{ "HEADER", SECTION_HEADER },
	{ "HEADER.FIELDS", SECTION_FIELDS },
	{ "HEADER.FIELDS.NOT", SECTION_FIELDS_NOT },
	{ "TEXT", SECTION_TEXT },
	{ "MIME", SECTION_MIME },
};

/* Takes "1.2" off the front, and the dot between it and a name. */
static bool take_numbers(struct view *rest, struct section *out)
{
	while (rest->len && byte_is_digit(rest->data[0])) {
		uint64_t number;
		size_t dot = view_find(*rest, '.');

		if (out->depth == SECTION_DEPTH_MAX ||
		    !view_number(view_take(*rest, dot), UINT32_MAX, &number) || number == 0 ||
		    dot + 1 == rest->len)
			return false;
		out->depth++;
		*rest = view_skip(*rest, dot + 1);
	}
	return true;
}

static bool take_what(struct view name, struct section *out)
{
	if (name.len == 0)
		return true; /* SECTION_ALL */
	for (size_t i = 0; i < sizeof section_names / sizeof section_names[0]; i++)
		if (view_equal_nocase(name, view_of(section_names[i].name))) {
			out->what = section_names[i].what;
			return out->what != SECTION_MIME || out->depth;
		}
	return false;
}

static bool take_fields(struct arena *arena, const struct argument *list, struct section *out)
{
	if (list == NULL || list->type != ARGUMENT_LIST || list->first == NULL)
		return false;
	for (const struct argument *a = list->first; a != NULL; a = a->next)
		out->field_count++;
	if (out->field_count > SECTION_FIELDS_MAX)
		return false;
	out->fields = arena_get(arena, out->field_count * sizeof *out->fields);
	if (out->fields == NULL)
		return false;
	unsigned i = 0;

	for (const struct argument *a = list->first; a != NULL; a = a->next)
		if (!argument_astring(a, &out->fields[i++]))
			return false;
	return true;
}

/* "" or "<0.100>". */
static bool take_partial(struct view rest, struct section *out)
{
	uint64_t origin, length;
	size_t dot = view_find(rest, '.');

	if (rest.len == 0)
		return true;
	if (rest.data[0] != '<' || rest.data[rest.len - 1] != '>' || dot == rest.len)
		return false;
	rest.len--;
	if (!view_number(view_skip(view_take(rest, dot), 1), UINT32_MAX, &origin) ||
	    !view_number(view_skip(rest, dot + 1), UINT32_MAX, &length) || length == 0)
		return false;
	out->partial = true;
	out->origin = (uint32_t)origin;
	out->length = (uint32_t)length;
	return true;
}

static bool name_needs_quotes(struct view name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!byte_is_atom(name.data[i]) || name.data[i] == '[')
			return true;
	return name.len == 0;
}

static void label_name(struct text *label, struct view name)
{
	if (!name_needs_quotes(name)) {
		text_add(label, name);
		return;
	}
	text_add_byte(label, '"');
	for (size_t i = 0; i < name.len; i++) {
		/* No field has such a name and no quoted string may hold it: the answer is called
		 * by what was searched. */
		if (name.data[i] == '\r' || name.data[i] == '\n' || name.data[i] == '\0')
			continue;
		if (name.data[i] == '"' || name.data[i] == '\\')
			text_add_byte(label, '\\');
		text_add_byte(label, name.data[i]);
	}
	text_add_byte(label, '"');
}

static bool make_label(struct arena *arena, struct section *s)
{
	struct text label;

	text_init(&label, SECTION_LABEL_MAX);
	text_add_string(&label, "BODY[");
	for (size_t i = 0; i < s->spec.len; i++)
		text_add_byte(&label, byte_upper(s->spec.data[i]));
	for (unsigned i = 0; i < s->field_count; i++) {
		text_add_string(&label, i ? " " : " (");
		label_name(&label, s->fields[i]);
	}
	text_add_string(&label, s->field_count ? ")]" : "]");
	if (s->partial)
		text_format(&label, "<%u>", s->origin);
	s->label = label.full ? (struct view){ NULL, 0 } : arena_copy(arena, text_view(&label));
	text_free(&label);
	return s->label.data != NULL;
}

const struct argument *section_parse(struct arena *arena, const struct argument *a, size_t prefix,
                                     struct section *out)
{
	struct view rest = view_skip(a->text, prefix);
	size_t bracket = view_find(rest, ']');
	struct view name = view_take(rest, bracket);

	*out = (struct section){ .what = SECTION_ALL, .spec = name };
	if (!take_numbers(&name, out) || !take_what(name, out))
		return NULL;
	if (out->what == SECTION_FIELDS || out->what == SECTION_FIELDS_NOT) {
		if (bracket != rest.len || !take_fields(arena, a->next, out))
			return NULL;
		a = a->next->next;
		if (a == NULL || a->type != ARGUMENT_ATOM || a->text.data[0] != ']')
			return NULL;
		rest = a->text;
		bracket = 0;
	}
	if (bracket == rest.len || !take_partial(view_skip(rest, bracket + 1), out))
		return NULL;
	return make_label(arena, out) ? a : NULL;
}
