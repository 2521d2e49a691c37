/* SPDX-License-Identifier: ISC */
/* Writing a generation: its files, those that stay what they are linked, and its manifest. */
#ifndef CONF_WRITING_H
#define CONF_WRITING_H

#include <cdb.h>

#include "conf/model.h"
#include "lib/conf/generation.h"
#include "lib/conf/manifest.h"

/* A generation that is being written, and what its files are; from: the current one, whose files
 * are taken where they would be the same, or -1. */
struct writing {
	struct generation_writer w;
	int from;
	struct manifest_row rows[GENERATION_MANIFEST];
	/* Of `from`, when its files were verified already, and what they were then; NULL: they are
	 * verified here. */
	struct map *manifest;
	const struct maptable_known *known;
	/* Has the new generation an overlay of the map, when the map's own file is linked?  NULL:
	 * none has. */
	bool (*has_overlay)(void *context, enum map_id id);
	bool written[MAPS]; /* its own file, and not linked */
	/* Adds what the manifest says beside them; NULL: nothing. errno. */
	int (*add_inputs)(void *context, struct cdb_make *make);
	void *context;
};

/* What stands in a file of a generation; 0, or -1 with errno. */
typedef int contents_function(void *context, int file, struct cdb_make *make);
/* Does the file of the current generation hold what the new one would? old: it, open; NULL where it
 * was verified already. */
typedef bool same_function(void *context, int file, struct map *old);
/* Where the entries of a map go, in their order; 0, or what ends it. */
typedef int entry_sink(void *context, struct view key, struct view value);

/* What the running server goes on with while it refuses others is kept, to return to. */
int writing_begin(struct writing *x, const char *state, const struct settings *s,
                  struct reason *why);
int writing_files(struct writing *x, same_function *same, contents_function *contents,
                  void *context, struct reason *why);
/* Can a file of this generation (its directory) stay what it is? Else it is copied. */
bool writing_links(int from, int file);
/* Its number; -1 when something of it failed before (result), -2 when it was made current, and what
 * followed failed. */
long writing_finish(struct writing *x, int result, bool by_edit, int keep, struct reason *why);

int writing_put(struct cdb_make *make, struct view key, struct view value);
/* The entries with their index (mapbuild.h). */
int writing_give_map(struct map_entry *const *entries, size_t count, enum map_id id,
                     entry_sink *sink, void *context);
int writing_put_map(struct map_entry *const *entries, size_t count, enum map_id id,
                    struct cdb_make *make);

#endif
