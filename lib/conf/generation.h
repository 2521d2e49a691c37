/* SPDX-License-Identifier: ISC */
/*
 * Generations of the compiled configuration.
 *
 *	STATEDIR/generations/NNNN/   settings.cdb, tls.cdb and NAME.cdb of every map;
 *	                             never changed after their birth
 *	STATEDIR/generations/NNNN/keys/  copies of the private keys of the certificates in tls.cdb,
 *for keyd: a file that is replaced elsewhere is no part of a generation
 *	STATEDIR/generations/current a symbolic link to one of them, replaced by rename
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
};
int generation_begin(struct generation_writer *w, const char *statedir, struct reason *why);
/* A new file in it, read and write. */
int generation_create(struct generation_writer *w, const char *name, unsigned mode,
                      struct reason *why);
/* A new directory in it, which nobody else may look into. */
int generation_create_directory(struct generation_writer *w, const char *name, struct reason *why);
/* Syncs, publishes and forgets all but the last `keep`. */
int generation_publish(struct generation_writer *w, int keep, struct reason *why);
/* Removes what was begun. */
void generation_abandon(struct generation_writer *w);
/* Makes an earlier one current: number 0 is the one before the current. Returns its number or
 * -1. */
long generation_rollback(const char *statedir, long number, struct reason *why);

#endif
