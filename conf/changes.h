/* SPDX-License-Identifier: ISC */
/* How the texts differ from the current generation: what the next build, or edit, would publish. */
#ifndef CONF_CHANGES_H
#define CONF_CHANGES_H

#include "conf/model.h"

/* '-' for an entry as it is in the generation, '+' as it is in the text; a changed one has both. */
typedef void changes_found(void *context, enum map_id id, char mark, struct view key,
                           struct view value);

/* A map of the current generation; the caller closes it. */
int changes_open(const struct model *m, enum map_id id, struct map *out, struct reason *why);
/* The same of a generation, by its directory. */
int changes_open_of(int generation, enum map_id id, struct map *out, struct reason *why);
/* Every entry that differs; -1 when the compiled map is damaged. */
int changes_of_map(const struct model *m, enum map_id id, struct map *compiled,
                   changes_found *found, void *context);
/* How many entries of a map differ; 0 too when it cannot be read. Do settings? */
size_t changes_count(const struct model *m, enum map_id id);
size_t changes_count_in(const struct model *m, enum map_id id, struct map *compiled);
bool changes_of_settings(const struct model *m, int generation);
/* Are the certificates of this generation (its directory) others than those of the texts? */
bool changes_of_certificates(const struct model *m, int generation);
/* Adds what differs in a few words: "posthouse.conf, users.map (2 entries), certificates", and what
 * is damaged in the generation as what perhaps does; nothing when there is no generation. */
void changes_summary(const struct model *m, struct text *out);

#endif
