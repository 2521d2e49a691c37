/* SPDX-License-Identifier: ISC */
#include "conf/entry.h"

#include <stdio.h>

#include "conf/edits.h"
#include "conf/load.h"

struct request {
	enum map_id map;
	const char *key;
	struct view value; /* empty: the entry goes */
	bool replace;
};

static int change_in(struct edits *e, void *context, struct reason *why)
{
	const struct request *r = context;
	struct edit *f = edits_open(e, r->map, why);
	struct text old;

	text_init(&old, 1 << 20);
	int found = f != NULL ? edit_get(e, f, view_of(r->key), &old, why) : -1;

	if (found > 0 && r->value.len && !r->replace)
		found = fail(why, "\"%s\" is in %s already: %s", r->key, f->name,
		             text_string(&old));
	text_free(&old);
	if (found < 0)
		return -1;
	if (r->value.len)
		return edit_set(e, f, view_of(r->key), r->value, why);
	if (found == 0)
		return edit_missing(f, r->key, why);
	return edit_delete(e, f, view_of(r->key), why) > 0 ? 0 : -1;
}

int entry_change(const struct command *c, enum map_id map, const char *key, struct view value,
                 bool replace)
{
	struct request r = { map, key, value, replace };

	return edits_run(c, change_in, &r);
}

int entry_list(const struct command *c, enum map_id map, const char *only_domain)
{
	struct model m;

	load_configuration(&m, c->confdir, NULL);
	for (size_t i = 0; i < m.maps[map].count; i++) {
		const struct map_entry *e = m.maps[map].entries[i];

		if (only_domain == NULL ||
		    view_equal_nocase(address_domain(e->key), view_of(only_domain)))
			printf("%.*s %.*s\n", VIEW_ARG(e->key), VIEW_ARG(e->value));
	}
	model_free(&m);
	return EXIT_DONE;
}

static int show_in(struct edits *e, void *context, struct reason *why)
{
	const struct request *r = context;
	struct edit *f = edits_open(e, r->map, why);
	struct text value;

	text_init(&value, 1 << 20);
	int found = f != NULL ? edit_get(e, f, view_of(r->key), &value, why) : -1;

	if (found == 0)
		edit_missing(f, r->key, why);
	if (found > 0)
		printf("%s\n", text_string(&value));
	text_free(&value);
	return found > 0 ? 0 : -1;
}

int entry_show(const struct command *c, enum map_id map, const char *key)
{
	struct request r = { .map = map, .key = key };

	return edits_run(c, show_in, &r);
}
