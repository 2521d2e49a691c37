/* SPDX-License-Identifier: ISC */
/*
 * How a program that reads maps (lib/conf/maps.def) gets those of another generation while it runs,
 * over the wire "master": each file's descriptor, then the word to take them all (master.h). They
 * are verified as at a start, but for a file that is the one in use (generations share those that
 * did not change), which stays; its overlay, which may have none (map.h), is taken anew. Where one
 * is damaged, or missing among them, nothing is taken: the program keeps what it has, says so in
 * the log and to master, which replaces it.
 */
#ifndef LIB_WIRE_MAPWIRE_H
#define LIB_WIRE_MAPWIRE_H

#include "lib/conf/maptable.h"
#include "lib/wire/wire.h"

struct mapwire {
	/* Set by the program. */
	const char *program;
	struct map *maps; /* MAPS of them, those that it reads open: all are replaced in one step */
	void (*taken)(void); /* that has been done; views into the old ones are gone */
	/* Its own. */
	struct map fresh[MAPS], overlay[MAPS];
	enum mapwire_gift { MAPWIRE_NONE, MAPWIRE_ANOTHER, MAPWIRE_SAME } given[MAPS];
	bool overlaid[MAPS]; /* there is one for it */
	bool refused;
	/* The answer that master has not got, for want of room on its wire. */
	uint32_t round;
	bool owes, answer;
};

/* MASTER_MAP and MASTER_MAPS, which is answered on `master` where it asks for one;
 * whatever else it is has a line in the log. false: there is no room for the answer, which waits
 * for mapwire_answer. */
bool mapwire_said(struct mapwire *m, int master, struct wire_in *in);
/* When there may be room. false: there is none yet. */
bool mapwire_answer(struct mapwire *m, int master);

#endif
