/* SPDX-License-Identifier: ISC */
/* Commands show what the texts have; this says where it is not so: in the generation that the
 * running server uses or, when it does not run, in the current one. */
#ifndef CONF_INFORCE_H
#define CONF_INFORCE_H

#include "conf/model.h"

/* A line "not in force: ..." on standard output, when the user's entry is another there. */
void inforce_print_user(struct model *m, const char *address);
/* A line on standard error, when any entry of the map is. */
void inforce_warn(const struct model *m, enum map_id id);

/* The running server uses a newer generation than the current one, as after a restore of the state
 * directory: what that means, and what can be done.  -1: it does not; used: the running one. */
int inforce_current_is_older(const struct settings *s, long used, struct reason *why);

#endif
