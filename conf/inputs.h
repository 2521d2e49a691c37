/* SPDX-License-Identifier: ISC */
/*
 * What a generation was built from, as rows of its manifest (lib/conf/manifest.h) beside those of
 * its files: whoever changes a few entries need not compile the rest again while all of this is as
 * it was.
 *
 *	"base"            a digest of posthouse.conf, the release, the directory, the accounts
 *	                  and the settings: some are made of the host's name
 *	"text users.map"  size, times of change, inode, device, mode and owner of each text
 *	"file NAME"       the same of each file that a value includes
 *	"asked more"      what the checks of edits asked for since asked.cdb was written: the
 *	                  hashes of a sieve (sieve.h)
 *
 * asked.cdb in the generation has one row, "asked": what the checks asked for (model.h), a sieve.
 *
 * A text that was changed within INPUTS_SETTLED_NS before it was read has no row: its time might be
 * that of one more change.  But one that we wrote has, as its time is none that a clock's tick has
 * (inputs_stamp), and so has one whose row the generation before had.
 */
#ifndef CONF_INPUTS_H
#define CONF_INPUTS_H

#include <cdb.h>

#include "conf/model.h"

#define INPUTS_SETTLED_NS INT64_C(2000000000)

/* Sets the time of a text that was just written; 0, or -1 with errno. */
int inputs_stamp(int fd, struct timespec *stamp);
/* What the row of a text with that stamp is made of, by the descriptor it was written to, once it
 * is in its place; false when it is not what was written, or the file system's times are coarser.
 */
bool inputs_stamped(int fd, const struct timespec *stamp, size_t size, struct stat *out);
/* Adds the rows of a model. before: the manifest of the current generation, whose rows of texts are
 * still good for these; NULL: there is none. 0, or -1 with errno. */
int inputs_write(const struct model *m, struct map *before, struct cdb_make *make);
/* The same of a model with a few entries (model.h, below): texts that it has none of are as in the
 * generation's manifest. */
int inputs_write_again(const struct model *m, struct map *manifest, struct cdb_make *make);
/* asked.cdb of a model. */
int inputs_write_asked(const struct model *m, struct cdb_make *make);
/* Is it the same? */
bool inputs_same_asked(const struct model *m, struct map *asked);
/* The sieve of an open asked.cdb and its manifest, which outlive it; false: there is none. */
bool inputs_read_asked(struct map *asked, struct map *manifest, struct sieve *out);
/* Are the settings, accounts, texts and included files those that the manifest names?  m: with its
 * settings read. */
bool inputs_are_current(struct model *m, struct map *manifest);
/* Is a text what the manifest says, by the stat of the file that was read? */
bool inputs_is_text(struct map *manifest, enum map_id id, const struct stat *st);

#endif
