/* SPDX-License-Identifier: ISC */
/* A model without errors becomes a generation. */
#ifndef CONF_PUBLISH_H
#define CONF_PUBLISH_H

#include "lib/base/reason.h"

struct model;

/* Writes a generation and makes it current; its number or -1. */
long publish_generation(const struct model *m, struct reason *why);

#endif
