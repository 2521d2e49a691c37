/* SPDX-License-Identifier: ISC */
/*
 * How a map is built: what each lib/conf/NAME.c does for the builder, which is conf/.
 *
 * NAME_compile makes the compiled value of a text's value.  Of domains and users, which other maps
 * refer to, it decodes even after a failure: what was understood, so that those lines are checked
 * too. NAME_show makes text of a compiled entry; false: not an entry of the text.
 */
#ifndef LIB_CONF_MAPBUILD_H
#define LIB_CONF_MAPBUILD_H

#include "lib/base/arena.h"
#include "lib/conf/mapkey.h"
#include "lib/conf/maptable.h"
#include "lib/conf/settings.h"

struct map_entry {
	struct view key, value; /* the key as compiled, the value as text */
	struct view compiled;
	int line;
};

/* What a map may ask of the rest of the configuration.  `builder` is the builder's own. */
struct mapbuild {
	const struct settings *settings;
	struct arena *arena; /* as long as the build */
	/* The compiled value of a key of a map that stands above this one in maps.def. */
	bool (*find)(void *builder, enum map_id map, struct view key, struct view *compiled);
	/* The text of a file below the configuration directory, in the arena. */
	int (*read_file)(void *builder, const char *name, struct view *text, struct reason *why);
	void *builder;
};

typedef int mapbuild_compile_function(const struct mapbuild *b, struct view key, struct view value,
                                      struct text *out, struct reason *why);
typedef bool mapbuild_show_function(struct view key, struct view value, struct text *key_out,
                                    struct text *value_out);
/* One more entry, made of all others. */
typedef void mapbuild_index_function(struct map_entry *const *entries, size_t count,
                                     struct text *key, struct text *value);

#define MAP(id, name, one, many, key, text, program, index) \
	mapbuild_compile_function name##_compile;           \
	mapbuild_show_function name##_show;
#include "lib/conf/maps.def"
#undef MAP

/* What only one map has. */
mapkey_function access_key;
mapbuild_index_function access_index;

#endif
