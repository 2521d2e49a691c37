/* SPDX-License-Identifier: ISC */
/*
 * Lookups in a map whose own file was not summed when it was opened (map_open_known), for whoever
 * writes what it finds, or that it finds nothing, into another file.
 *
 * An edit of one entry cannot sum a map of a million. But a hash table that is damaged says "not
 * here" of what is here, and so does a record whose key is: these lookups believe no slot whose
 * record is not the one that it is of, and no empty one where slots in plenty are. What they say is
 * missing was not there when the map was built; whether a value is whole only the sum can tell.
 */
#ifndef LIB_CONF_MAPSURE_H
#define LIB_CONF_MAPSURE_H

#include "lib/conf/map.h"

/* As map_get. */
enum map_result mapsure_get(struct map *m, struct view key, struct view *value);
/* Is it in the first file, whatever an overlay says? */
enum map_result mapsure_in_base(const struct map *m, struct view key, struct view *value);
/* Where an entry stands among the others, in the order of map_next. */
enum map_result mapsure_place(struct map *m, struct view key, uint64_t *place);

#endif
