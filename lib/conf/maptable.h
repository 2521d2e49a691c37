/* SPDX-License-Identifier: ISC */
/* The maps that there are: maps.def as programs and the command line see it. */
#ifndef LIB_CONF_MAPTABLE_H
#define LIB_CONF_MAPTABLE_H

#include "lib/conf/map.h"

enum map_id {
#define MAP(id, name, one, many, key, text, program, index) MAP_##id,
#include "lib/conf/maps.def"
#undef MAP
	MAPS
};

enum { MAPTABLE_FILE_NAME_MAX = 64 };

struct maptable_row {
	const char *name;       /* "users": users.map, users.cdb */
	const char *one, *many; /* of its entries, for people; "": they are not counted */
	bool secret;            /* text and compiled file are their owner's alone */
	const char *program;    /* that reads the compiled file */
};

extern const struct maptable_row maptable[MAPS];

/* Its number; -1 with a reason that lists the maps. */
int maptable_find(const char *name, struct reason *why);
/* "users.map", "users.cdb". */
void maptable_text_file(enum map_id id, char out[MAPTABLE_FILE_NAME_MAX]);
void maptable_compiled_file(enum map_id id, char out[MAPTABLE_FILE_NAME_MAX]);

/* At a program's start, before program_confine: opens every map that the table gives to it; the
 * others stay as they were.  Fatal when one cannot be opened. */
void maptable_inherit(const char *program, struct map maps[MAPS]);

#endif
