/* SPDX-License-Identifier: ISC */
/*
 * Generations of the compiled configuration.
 *
 *	STATEDIR/generations/NNNN/   settings.cdb, tls.cdb, manifest.cdb and NAME.cdb of every map;
 *	                             never changed after their birth. A map that an earlier
 *	                             generation has too is one file with two names (manifest.h)
 *	STATEDIR/generations/NNNN/NAME.more.cdb  after edits: the entries in which the map differs
 *	                             from that file (map.h, overlays); asked.cdb: conf/inputs.h
 *	STATEDIR/generations/NNNN/keys/  for keyd, copies of the certificates' private keys: a
 *	                             file that is replaced elsewhere is no part of a generation
 *	STATEDIR/generations/current a symbolic link to one of them, replaced by rename
 *
 *	STATEDIR/generations/NNNN/edit   empty, and there when an edit made it and not a build
 *
 * A new generation is written as NNNN.new, synced, renamed, and made current: a crash before
 * the last rename leaves the old one current, and NNNN.new is removed by the next build.
 */
#ifndef LIB_CONF_GENERATION_H
#define LIB_CONF_GENERATION_H

#include "lib/base/bytes.h"
#include "lib/base/reason.h"

enum { GENERATION_MAX = 999999999 };

/* The directory of the current generation, for openat; -1 with a reason that says what to do. */
int generation_open(const char *statedir, struct reason *why);
/* The same of one that may not be the current one. */
int generation_open_number(const char *statedir, long number, struct reason *why);
/* A file of it ("users.cdb") for reading; close-on-exec. */
int generation_file(int generation, const char *name, struct reason *why);
/* The directory of its private keys; -1 with the reason, errno ENOENT: it was built before
 * generations had keys. */
int generation_keys(int generation, struct reason *why);
/* Its number; -1 when there is none. */
long generation_number(const char *statedir);

/* ---- for the builder ---- */
/* Waits for the lock, makes NNNN.new; the directory's descriptor and its number. */
struct generation_writer {
	int all, own; /* STATEDIR/generations (locked) and the new directory */
	long number;
	long in_use;  /* the caller's to set: it is never forgotten; 0: none */
	bool pointed; /* it was made current, though what followed may have failed */
};
int generation_begin(struct generation_writer *w, const char *statedir, struct reason *why);
/* A new file in it, read and write. */
int generation_create(struct generation_writer *w, const char *name, unsigned mode,
                      struct reason *why);
/* A new directory in it, which nobody else may look into. */
int generation_create_directory(struct generation_writer *w, const char *name, struct reason *why);
/* Syncs, publishes and forgets all but `keep`: first edits that another edit replaced within an
 * hour, then the oldest; the current one, the one before it and the one in use stay. */
int generation_publish(struct generation_writer *w, int keep, struct reason *why);
/* Notes that it is an edit's. */
int generation_mark_edit(struct generation_writer *w, struct reason *why);
/* All there are, the oldest first. */
struct generation_row {
	long number;
	int64_t born_s;
	bool current, by_edit;
};
int generation_list(const char *statedir,
                    void (*row)(void *context, const struct generation_row *row), void *context,
                    struct reason *why);
/* Removes what was begun. */
void generation_abandon(struct generation_writer *w);
/* Can this one (its directory) be used? */
typedef int generation_judge(void *context, int generation, struct reason *why);
/* Makes an earlier one current, if it can be used: number 0 is the one before the current, or where
 * there is no current one the newest. Returns its number or -1. */
long generation_rollback(const char *statedir, long number, generation_judge *judge, void *context,
                         struct reason *why);

#endif
