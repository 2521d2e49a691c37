/* SPDX-License-Identifier: ISC */
#include "conf/entry.h"

#include <stdio.h>

#include "conf/edits.h"
#include "conf/load.h"

int entry_change(const struct command *c, enum map_id map, const char *key, struct view value,
                 bool replace)
{
	struct edits e;
	struct reason why;
	struct text old;
	int code;

	if (edits_begin(&e, c->confdir, &why) != 0)
		return command_fail(EXIT_TEMPORARY, &why);
	text_init(&old, 1 << 20);
	struct edit *f = edits_open(&e, map, &why);
	int found = f != NULL ? edit_get(&e, f, view_of(key), &old, &why) : -1,
	    result = found < 0 ? -1 : 0;

	if (found > 0 && value.len && !replace)
		result = fail(&why, "\"%s\" is in %s already: %s", key, f->name, old.data);
	else if (found == 0 && value.len == 0)
		result = fail(&why, "\"%s\" is not in %s", key, f->name);
	else if (found >= 0 && value.len)
		result = edit_set(&e, f, view_of(key), value, &why);
	else if (found >= 0)
		result = edit_delete(&e, f, view_of(key), &why) > 0 ? 0 : -1;
	code = result == 0 ? edits_commit(&e) : command_fail(EXIT_PERMANENT, &why);
	text_free(&old);
	edits_end(&e);
	return code;
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

int entry_show(const struct command *c, enum map_id map, const char *key)
{
	struct edits e;
	struct reason why;
	struct text value;

	if (edits_begin(&e, c->confdir, &why) != 0)
		return command_fail(EXIT_TEMPORARY, &why);
	text_init(&value, 1 << 20);
	struct edit *f = edits_open(&e, map, &why);
	int found = f != NULL ? edit_get(&e, f, view_of(key), &value, &why) : -1;

	if (found == 0)
		found = fail(&why, "\"%s\" is not in %s", key, f->name);
	int code = found > 0 ? EXIT_DONE : command_fail(EXIT_PERMANENT, &why);

	if (found > 0)
		printf("%s\n", value.data);
	text_free(&value);
	edits_end(&e);
	return code;
}
