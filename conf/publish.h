/* SPDX-License-Identifier: ISC */
/* A model without errors becomes a generation. */
#ifndef CONF_PUBLISH_H
#define CONF_PUBLISH_H

#include <stdbool.h>

#include "lib/base/reason.h"

struct mine;
struct model;
struct partial;

/* Writes a generation and makes it current; its number, -1, or -2: it is current, though what
 * followed failed.  by_edit: not by a build of its own,
 * and sooner forgotten (generation.h). */
long publish_generation(struct model *m, bool by_edit, struct reason *why);

/* The generation that x was opened with, its entries in place; settings, certificates and keys are
 * taken as they are. -1 too when another one is current by now. */
long publish_mine(struct mine *x, struct reason *why);

/* The generation that p was opened with, its entries in place; the texts are written. */
long publish_partial(struct partial *p, struct reason *why);

#endif
