/* SPDX-License-Identifier: ISC */
/*
 * Lookups in a map whose own file was not summed when it was opened (map_open_known), for whoever
 * writes what it finds, or that it finds nothing, into another file.
 *
 * An edit of one entry cannot sum a map of a million. But a hash table that is damaged says "not
 * here" of what is here, and so does a record whose key is: these lookups believe no slot whose
 * record is not the one that it is of, and no empty one where slots in plenty are. What they say is
 * missing was not there when the map was built; whether a value is whole only the sum can tell: one
 * that is to be copied, or that something is made of, is given here of a summed map alone.
 */
#ifndef LIB_CONF_MAPSURE_H
#define LIB_CONF_MAPSURE_H

#include "lib/conf/maptable.h"

/* Is the map's own file what was built? Summed once; errno. An overlay is summed when it is opened.
 */
bool mapsure_sums(struct map *m, enum map_id id);
/* As map_get, and as map_next, for what is written elsewhere: sums first, where there is something.
 */
enum map_result mapsure_get(struct map *m, enum map_id id, struct view key, struct view *value);
enum map_result mapsure_next(struct map *m, enum map_id id, struct view *key, struct view *value);
/* Of a map that is not summed: a value to decide by, which goes into no file, nor does what is made
 * of it. */
enum map_result mapsure_judge(struct map *m, struct view key, struct view *value);
/* Is there one? In the first file alone: whatever an overlay says. */
enum map_result mapsure_has(struct map *m, struct view key);
enum map_result mapsure_in_base(const struct map *m, struct view key);
/* Where an entry stands among the others, in the order of map_next. */
enum map_result mapsure_place(struct map *m, struct view key, uint64_t *place);

#endif
