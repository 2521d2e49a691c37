/* SPDX-License-Identifier: ISC */
#include "lib/conf/maptable.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/program.h"

enum { PUBLIC = false, SECRET = true };

const struct maptable_row maptable[MAPS] = {
#define MAP(id, name, one, many, key, text, program, index) \
	[MAP_##id] = { #name, one, many, text, program },
#include "lib/conf/maps.def"
#undef MAP
};

int maptable_find(const char *name, struct reason *why)
{
	struct text list;

	for (int id = 0; id < MAPS; id++)
		if (strcmp(maptable[id].name, name) == 0)
			return id;
	text_init(&list, REASON_MAX);
	for (int id = 0; id < MAPS; id++)
		text_format(&list, "%s%s", id ? ", " : "", maptable[id].name);
	fail(why, "there is no map \"%s\"; there are %s", name, list.data);
	text_free(&list);
	return -1;
}

void maptable_text_file(enum map_id id, char out[MAPTABLE_FILE_NAME_MAX])
{
	snprintf(out, MAPTABLE_FILE_NAME_MAX, "%s.map", maptable[id].name);
}

void maptable_compiled_file(enum map_id id, char out[MAPTABLE_FILE_NAME_MAX])
{
	snprintf(out, MAPTABLE_FILE_NAME_MAX, "%s.cdb", maptable[id].name);
}

void maptable_inherit(const char *program, struct map maps[MAPS])
{
	char name[MAPTABLE_FILE_NAME_MAX];
	struct reason why;

	for (int id = 0; id < MAPS; id++) {
		if (strcmp(maptable[id].program, program) != 0)
			continue;
		maptable_compiled_file((enum map_id)id, name);
		if (map_open(&maps[id], program_generation_file(name), &why) != 0)
			log_fatal("%s: %s (run: posthouse build)", name, why.text);
	}
}
