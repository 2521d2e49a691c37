/* SPDX-License-Identifier: ISC */
/*
 * Programs that have a successor and finish what they have, as porter its last clients.
 *
 * They are not many: beyond PREDECESSORS_MAX the one with the fewest clients is asked to end (the
 * oldest where the system, to a master that is not root, does not tell how many descriptors they
 * have), which so many replacements in the time of one client's connection cost. The program that
 * serves now never is.
 */
#ifndef MASTER_PREDECESSORS_H
#define MASTER_PREDECESSORS_H

#include "lib/wire/wire.h"
#include "master/instance.h"

enum { PREDECESSORS_MAX = 64 };

/* The one that runs as i, which runs as nobody behind that, on wires that the next one shares; but
 * for that to master where somebody else could be meant, or hears from it. */
void predecessors_add(struct instance *i);
bool predecessors_is_one(const struct instance *i); /* of whom wire_said is told */
unsigned predecessors_signal(int number);           /* how many there are */
bool predecessors_ended(pid_t pid);                 /* false: it was not one */
/* To the parents of session programs among them: how many could not be told. */
unsigned predecessors_tell_sessions(const struct wire_out *out);
/* 1: whoever has this wire could not be told; one that has just ended has no sessions, although
 * master has not buried it yet. */
unsigned predecessors_untold(int wire, const struct wire_out *out);

#endif
