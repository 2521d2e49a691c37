/* SPDX-License-Identifier: ISC */
/*
 * Memory that outlives a program which a reload replaces (program_kept): master makes it and holds
 * it, and writes and reads nothing there. It has no name, and is never on a disk but for swap; its
 * size is sealed. After a death there is a new one: who may have been taken over leaves nothing to
 * a successor; and with another binary, which may write it in another way.
 */
#ifndef MASTER_KEPT_H
#define MASTER_KEPT_H

#include "master/instance.h"

/* Zeroed, instead of what there was; nothing for a program whose row in house.c wants none. Several
 * of a program that start together share one: that of `with`; NULL: of its own. */
void kept_renew(struct instance *i, const struct instance *with);

#endif
