/* SPDX-License-Identifier: ISC */
/*
 * Which generation is in use.
 *
 * A reload opens the current one, looks whether it is whole, binds its listeners, and for which
 * programs it is another one than that in use (inputs.h); has these tried with it (trial.h), and
 * only then replaces them, or gives them the other maps (readers.h). The others it leaves alone.
 * What fails on the way is the reason why it was refused: nothing has changed then. When a program
 * that was tried well dies again and again soon after, the generation before is taken once more.
 * The house so never stands on two generations, and never without a program that ran before.
 */
#ifndef MASTER_RELOAD_H
#define MASTER_RELOAD_H

#include <stdbool.h>

#include "lib/base/reason.h"
#include "master/instance.h"

/* At the start: generation, settings, keys. */
int reload_first(struct reason *why);
/* When the listeners are open. `done` is called from the loop, for each round: 0, or -1 with the
 * reason. */
void reload_start(void (*done)(unsigned round, int result, const struct reason *why));
/* The round that takes what is current now: the next one, when one is under way. */
unsigned reload_ask(void);
void reload_abort(void); /* the house stops */
/* A program opens its maps anew, long after they were verified: they are given to it with the next
 * generation, whatever that has. */
void reload_forget_maps(enum house_program program);
/* Was there such a file (maptable.h) when the generation in use was verified? */
bool reload_has_file(int file);
/* A resident died. Is it for the generation that was taken last? */
void reload_judge_death(const struct instance *i, int status);

#endif
