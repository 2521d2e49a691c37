/* SPDX-License-Identifier: ISC */
/* One entry of a map, for commands that are named after what the map holds; exit codes. */
#ifndef CONF_ENTRY_H
#define CONF_ENTRY_H

#include "conf/command.h"
#include "lib/conf/maptable.h"

/* Sets, or with an empty value deletes.  replace: what is there already may be. */
int entry_change(const struct command *c, enum map_id map, const char *key, struct view value,
                 bool replace);
/* Many, from standard input (batch.h).  otherwise: the value of a line that has none; "": it must
 * have one. */
int entry_add_lines(const struct command *c, enum map_id map, const char *otherwise);
int entry_set_lines(const struct command *c, enum map_id map);
int entry_delete_lines(const struct command *c, enum map_id map);
/* Keys and values, of all or (when it is not NULL) one domain. */
int entry_list(const struct command *c, enum map_id map, const char *only_domain);
int entry_show(const struct command *c, enum map_id map, const char *key);

#endif
