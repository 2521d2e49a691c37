/* SPDX-License-Identifier: ISC */
/* Programs under mailbox owners' uids. */
#ifndef MASTER_OWNERS_H
#define MASTER_OWNERS_H

#include "lib/wire/owner.h"
#include "master/instance.h"

/* How many there may be at once: each costs master descriptors, of which it may have so many. The
 * residents have theirs already. */
void owners_start(unsigned long descriptors);
/* OWNER_WORK from a resident; refused work is logged and its descriptors closed. */
void owners_work(struct instance *from, struct wire_in *in);
/* A new generation, which is another one for that program: those that run finish and end; new work
 * starts successors. */
void owners_retire(enum house_program program);

#endif
