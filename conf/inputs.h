/* SPDX-License-Identifier: ISC */
/*
 * What a generation was built from, as rows of its manifest (lib/conf/manifest.h) beside those of
 * its files: whoever changes a few entries need not compile the rest again while all of this is as
 * it was.
 *
 *	"base"            a digest of posthouse.conf, the release, the directory and the accounts
 *	"text users.map"  size, time of the last change, inode and device of each text
 *	"file NAME"       the same of each file that a value includes
 *	"asked"           what the checks asked for (model.h), a sieve
 *
 * A text that was changed within the last INPUTS_SETTLED_NS has no row: its time might be that of
 * one more change.  The time of a text that we write is none that a clock's tick has
 * (inputs_stamp).
 */
#ifndef CONF_INPUTS_H
#define CONF_INPUTS_H

#include <cdb.h>

#include "conf/model.h"

#define INPUTS_SETTLED_NS INT64_C(2000000000)

/* Sets the time of a text that was just written; 0, or -1 with errno. */
int inputs_stamp(int fd);
/* Adds the rows of a model; a text that was not read from its file was written to it since
 * (inputs_stamp). before: the manifest of the current generation, whose rows of texts are still
 * good for these; NULL: there is none. 0, or -1 with errno. */
int inputs_write(const struct model *m, struct map *before, struct cdb_make *make);
/* The same of a model with a few entries (model.h, below): texts that it has none of are as in the
 * generation's manifest. */
int inputs_write_again(const struct model *m, struct map *manifest, struct cdb_make *make);
/* Are the settings, accounts, texts and included files those that the manifest names?  m: with its
 * settings read. */
bool inputs_are_current(struct model *m, struct map *manifest);
/* Is a text what the manifest says, by the stat of the file that was read? */
bool inputs_is_text(struct map *manifest, enum map_id id, const struct stat *st);

#endif
