/* SPDX-License-Identifier: ISC */
#include "imapd/fetchitem.h"

static struct fetch_item *item_add(struct arena *arena, struct fetch_request *r,
                                   enum fetch_what what)
{
	struct fetch_item *item;

	if (r->count == FETCH_ITEMS_MAX || (item = arena_get(arena, sizeof *item)) == NULL)
		return NULL;
	item->what = what;
	r->count++;
	r->has[what] = true;
	*r->tail = item;
	r->tail = &item->next;
	return item;
}

/* Once is enough: clients ask for "UID FLAGS UID". */
static bool item_add_once(struct arena *arena, struct fetch_request *r, enum fetch_what what)
{
	return r->has[what] || item_add(arena, r, what) != NULL;
}

static const struct {
	const char *name;
	enum fetch_what what;
} simple_items[] = {
	{ "UID", FETCH_UID },           { "FLAGS", FETCH_FLAGS },
	{ "RFC822.SIZE", FETCH_SIZE },  { "INTERNALDATE", FETCH_INTERNALDATE },
	{ "ENVELOPE", FETCH_ENVELOPE }, { "BODYSTRUCTURE", FETCH_BODYSTRUCTURE },
	{ "BODY", FETCH_BODY },
};

/* The old names of sections; the answer bears the name that was asked for. */
static const struct {
	const char *name;
	enum section_what what;
	bool sees;
} old_items[] = {
	{ "RFC822", SECTION_ALL, true },
	{ "RFC822.HEADER", SECTION_HEADER, false },
	{ "RFC822.TEXT", SECTION_TEXT, true },
};

static bool add_simple(struct arena *arena, struct fetch_request *r, const struct argument *a,
                       bool *found)
{
	for (size_t i = 0; i < sizeof simple_items / sizeof simple_items[0]; i++)
		if (argument_is_atom(a, simple_items[i].name)) {
			*found = true;
			return item_add_once(arena, r, simple_items[i].what);
		}
	for (size_t i = 0; i < sizeof old_items / sizeof old_items[0]; i++)
		if (argument_is_atom(a, old_items[i].name)) {
			struct fetch_item *item = item_add(arena, r, FETCH_SECTION);

			*found = true;
			if (item == NULL)
				return false;
			item->section = (struct section){ .what = old_items[i].what,
				                          .label = view_of(old_items[i].name) };
			item->sees = old_items[i].sees;
			r->sees |= item->sees;
			return true;
		}
	return true;
}

static const struct argument *add_section(struct arena *arena, struct fetch_request *r,
                                          const struct argument *a)
{
	bool peek = a->type == ARGUMENT_ATOM && view_starts_nocase(a->text, VIEW("BODY.PEEK["));

	if (!peek && (a->type != ARGUMENT_ATOM || !view_starts_nocase(a->text, VIEW("BODY["))))
		return NULL;
	struct fetch_item *item = item_add(arena, r, FETCH_SECTION);

	if (item == NULL)
		return NULL;
	item->sees = !peek;
	r->sees |= item->sees;
	return section_parse(arena, a, peek ? sizeof "BODY.PEEK[" - 1 : sizeof "BODY[" - 1,
	                     &item->section);
}

/* One item; returns its last argument, NULL on an error. */
static const struct argument *add_item(struct arena *arena, struct fetch_request *r,
                                       const struct argument *a)
{
	bool found = false;

	if (!add_simple(arena, r, a, &found))
		return NULL;
	return found ? a : add_section(arena, r, a);
}

static bool add_macro(struct arena *arena, struct fetch_request *r, const struct argument *a,
                      bool *found)
{
	bool full = argument_is_atom(a, "FULL"), all = full || argument_is_atom(a, "ALL");

	*found = all || argument_is_atom(a, "FAST");
	if (!*found)
		return true;
	return item_add_once(arena, r, FETCH_FLAGS) &&
	       item_add_once(arena, r, FETCH_INTERNALDATE) && item_add_once(arena, r, FETCH_SIZE) &&
	       (!all || item_add_once(arena, r, FETCH_ENVELOPE)) &&
	       (!full || item_add_once(arena, r, FETCH_BODY));
}

bool fetch_request_read(struct arena *arena, const struct argument *a, bool by_uid,
                        struct fetch_request *out)
{
	bool found = false;

	*out = (struct fetch_request){ .tail = &out->first };
	/* UID FETCH tells the UID also when it was not asked for (section 6.4.8). */
	if (by_uid && !item_add_once(arena, out, FETCH_UID))
		return false;
	if (a->type != ARGUMENT_LIST) {
		if (a->next == NULL && !add_macro(arena, out, a, &found))
			return false;
		if (found)
			return true;
		a = add_item(arena, out, a);
		return a != NULL && a->next == NULL;
	}
	if (a->first == NULL || a->next != NULL)
		return false;
	for (a = a->first; a != NULL; a = a->next)
		if ((a = add_item(arena, out, a)) == NULL)
			return false;
	return true;
}
