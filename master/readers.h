/* SPDX-License-Identifier: ISC */
/*
 * The programs that read maps, and are given other ones while they run (lib/wire/mapwire.h): who
 * has not taken them yet. One that cannot is replaced, one that does not answer in time is killed,
 * and who dies is started again: the successor opens what is current.
 */
#ifndef MASTER_READERS_H
#define MASTER_READERS_H

#include "lib/wire/wire.h"
#include "master/inputs.h"
#include "master/instance.h"

/* A round begins: nobody owes an answer. */
void readers_begin(void);
/* To one that runs: the maps of the generation in use. */
void readers_give(struct instance *i);
/* `done` comes from the loop when nobody owes an answer any more. */
void readers_wait(void (*done)(void));
void readers_heard(struct instance *i, struct wire_in *in); /* MASTER_TAKEN */
void readers_died(const struct instance *i);

#endif
