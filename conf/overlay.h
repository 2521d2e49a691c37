/* SPDX-License-Identifier: ISC */
/*
 * What an edit makes of a map's overlay (lib/conf/map.h): the entries that it had and those of the
 * edit, so that the map's own file stays what it is, whatever its size.
 *
 * It is written anew with each edit, and therefore bounded. An edit beyond that writes the map's
 * own file with all entries in place, and no overlay, as each build does.
 */
#ifndef CONF_OVERLAY_H
#define CONF_OVERLAY_H

#include <cdb.h>

#include "conf/model.h"

enum {
	OVERLAY_ENTRIES_MAX = 4096,
	OVERLAY_SHARE = 16, /* at most one entry for so many of the map's own file */
	OVERLAY_BYTES_MAX = 1 << 20
};

struct overlay_entry {
	enum map_mark mark;
	struct view key, value;
};

struct overlay {
	struct overlay_entry *entries;
	size_t count, bytes;
	bool damaged; /* the map */
};

/* Of a map with the entries of a partial model (model.h, below) in place, in the order of the text.
 * Views are into both. false: it would be too large, or the map is damaged. */
bool overlay_make(struct overlay *o, struct map *map, const struct model_map *changes);
/* 0, or -1 with errno. */
int overlay_write(const struct overlay *o, struct cdb_make *make);
void overlay_free(struct overlay *o);

#endif
