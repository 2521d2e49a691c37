/* SPDX-License-Identifier: ISC */
/*
 * What a generation consists of: manifest.cdb in it, a compiled map like the others (map.h).
 *
 *	"users.cdb"   for each of its files: the number of the generation that it was built for,
 *	              the sum of its trailer, and device, inode, size and time of change of the
 *	              file when it was written, or last verified by the builder: six 64-bit
 *	              numbers (value.h)
 *
 * Other rows are the builder's (conf/inputs.h).
 *
 * A file that did not change is the one of an earlier generation, linked: that all files of a
 * generation belong together, and that none was lost, is what the manifest says. In a generation of
 * before there was one no file has a number (map.h).
 */
#ifndef LIB_CONF_MANIFEST_H
#define LIB_CONF_MANIFEST_H

#include "lib/conf/map.h"

#define MANIFEST_FILE "manifest.cdb"

struct manifest_row {
	uint64_t generation, sum;
	struct map_identity identity; /* none: of before there were any */
};

/* Of a generation (its directory), verified: 1, and the caller closes it with map_close; 0 when it
 * has none; -1 with what it is instead of good. */
int manifest_open(int generation, struct map *out, struct reason *detail);
/* Is there a row for the file, and what does it say? */
bool manifest_find(struct map *manifest, const char *file, struct manifest_row *out);
/* Is it the file that the row is about?  One without a trailer is none. */
bool manifest_matches(const struct manifest_row *row, const struct map *file);
void manifest_encode(const struct manifest_row *row, struct text *out);

#endif
