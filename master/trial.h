/* SPDX-License-Identifier: ISC */
/*
 * Whether programs start with another generation, found out before one of those that run is asked
 * to go.
 *
 * Each program that a reload would replace, or give other maps to, is started once with the new
 * generation's files, keys and listeners, under its account and in its jail, on wires that lead
 * to nobody; where it would say that it is ready it ends (POSTHOUSE_TRIAL, program_is_trial). Its
 * lines are thrown away when it gets so far; else they go to the log, and the last one into the
 * reason. Nothing that runs notices.
 */
#ifndef MASTER_TRIAL_H
#define MASTER_TRIAL_H

#include "lib/base/reason.h"
#include "lib/conf/maptable.h"
#include "master/inputs.h"

/* A generation that may become the one in use; all of it is its own. */
struct candidate {
	int generation; /* its directory */
	long number;
	struct settings settings;
	struct listeners listeners;
	int keys; /* -1: none */
	struct inputs inputs;
	struct maptable_known known;         /* its files, verified */
	enum change changes[HOUSE_PROGRAMS]; /* from what is in use */
};

/* Is this program one of those that are tried? */
bool trial_includes(const struct candidate *c, enum house_program program);
/* One at a time. `over` comes from the loop, when the last has ended: NULL, or why not. The
 * candidate stays until then. -1: it could not begin. */
int trial_begin(const struct candidate *c, void (*over)(const struct reason *why),
                struct reason *why);
/* Those that are still at it are killed; `over` comes all the same. */
void trial_abort(const char *why);

#endif
