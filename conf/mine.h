/* SPDX-License-Identifier: ISC */
/*
 * What one edit changes, and nothing else: its entries, compiled against the current generation,
 * and that generation with them in place.
 *
 * What others wrote into the texts and did not build has no part in it: not their settings, not
 * their domains, not their errors.  The unit is the entry: what another changed in the very one
 * that is edited goes with it.
 */
#ifndef CONF_MINE_H
#define CONF_MINE_H

#include "conf/model.h"

struct mine_map {
	struct map current;         /* of the generation */
	struct map_entry **entries; /* line 0: the key goes */
	size_t count;
	struct hashtable index; /* key -> struct map_entry */
};

struct mine {
	struct model *texts;      /* where things are, and files that a value includes */
	int generation;           /* its directory */
	long number;              /* and its number */
	struct settings settings; /* and its settings */
	struct mine_map maps[MAPS];
	struct arena arena;
	struct mine_bare {
		enum map_id map;
		int line; /* of its text; 0: there is none */
		struct reason why;
	} bare;      /* the first of mine whose key is not the same address for both */
	bool hidden; /* find passes by what is mine */
	bool asked;  /* and found some of it */
};

/* -1 when there is no current generation, or it is damaged. texts outlives it. */
int mine_open(struct mine *x, struct model *texts, struct reason *why);
void mine_close(struct mine *x);
/* Where mail.domain was changed and not built, a key without a domain is one address by the text
 * and another one by the generation: then -1, with the reason. */
int mine_same_key(const struct mine *x, enum map_id map, struct view key, struct reason *why);
/* The entries in which a map's text after the edit differs from the text before it, and those that
 * were asked for (a table of their compiled keys): whatever they were before, they shall be as they
 * are now.  The texts outlive x; what cannot be read in them is passed by. */
void mine_add(struct mine *x, enum map_id map, struct view before, struct view after,
              const struct hashtable *asked);
/* All that were added, in the order of the maps, and those of the generation that are made of them,
 * as a password has the state of its user.  now: the model with the edit, for their texts. */
void mine_compile(struct mine *x, const struct model *now, struct problems *problems);
/* The generation's entries of a map with mine among them, without its index (mapbuild.h); the
 * caller frees the array.  -1 with errno when the generation cannot be read. */
int mine_merge(struct mine *x, enum map_id map, struct map_entry ***entries, size_t *count);

#endif
