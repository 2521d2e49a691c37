/* SPDX-License-Identifier: ISC */
#include "conf/entry.h"

#include <stdio.h>

#include "conf/batch.h"
#include "conf/edits.h"
#include "conf/load.h"

struct request {
	enum map_id map;
	const char *key;
	struct view value; /* empty: the entry goes */
	bool replace;
	bool goes; /* each of many */
};

static int change_one(struct edits *e, enum map_id map, struct view key, struct view value,
                      bool replace, struct reason *why)
{
	struct edit *f = edits_open(e, map, why);
	struct text old;

	text_init(&old, 1 << 20);
	int found = f != NULL ? edit_get(e, f, key, &old, why) : -1;

	if (found > 0 && value.len && !replace)
		found = fail(why, "\"%.*s\" is in %s already: %s", VIEW_ARG(key), f->name,
		             text_string(&old));
	text_free(&old);
	if (found < 0)
		return -1;
	if (value.len)
		return edit_set(e, f, key, value, why);
	if (found == 0)
		return edit_missing(f, key, why);
	return edit_delete(e, f, key, why) > 0 ? 0 : -1;
}

static int change_in(struct edits *e, void *context, struct reason *why)
{
	const struct request *r = context;

	return change_one(e, r->map, view_of(r->key), r->value, r->replace, why);
}

static int change_line(struct edits *e, void *context, struct view key, struct view value,
                       struct reason *why)
{
	const struct request *r = context;

	if (r->goes && value.len)
		return fail(why,
		            "\"%.*s\" and more: a line names what is removed, and nothing else",
		            VIEW_ARG(key));
	if (!r->goes && value.len == 0)
		value = r->value;
	if (!r->goes && value.len == 0)
		return fail(why, "\"%.*s\" alone: its value is missing", VIEW_ARG(key));
	return change_one(e, r->map, key, value, r->replace, why);
}

int entry_change(const struct command *c, enum map_id map, const char *key, struct view value,
                 bool replace)
{
	struct request r = { map, key, value, replace, false };

	return edits_run(c, change_in, &r);
}

int entry_add_lines(const struct command *c, enum map_id map, const char *otherwise)
{
	struct request r = { .map = map, .value = view_of(otherwise) };

	return batch_run(c, change_line, &r);
}

int entry_set_lines(const struct command *c, enum map_id map)
{
	struct request r = { .map = map, .replace = true };

	return batch_run(c, change_line, &r);
}

int entry_delete_lines(const struct command *c, enum map_id map)
{
	struct request r = { .map = map, .goes = true };

	return batch_run(c, change_line, &r);
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
		edit_missing(f, view_of(r->key), why);
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
