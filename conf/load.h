/* SPDX-License-Identifier: ISC */
/* The whole configuration, read and checked. */
#ifndef CONF_LOAD_H
#define CONF_LOAD_H

#include "conf/model.h"

/* Reads and checks everything; what is wrong is in m->problems.  A model without errors can be
 * published (publish.h).  overrides: see model.h. */
void load_configuration(struct model *m, const char *confdir, const struct override *overrides);
/* The same for who only looks (check): of a house that is another's, what may not be read is no
 * problem (m->problems.onlooker). Without posthouse.conf (m->conf.unreadable,
 * m->conf.missing) nothing more is read.
 */
void load_to_look(struct model *m, const char *confdir);
/* Root looks at an ordinary user's house as that user, for good: to root everything in it would be
 * of a wrong owner. It is theirs when posthouse.conf is and directory.state, or before the first
 * build the configuration directory. -1: it cannot be become; 0 too where there is nothing to do.
 */
int house_look_as_owner(const struct model *m, struct reason *why);
/* Is who runs this an onlooker: neither root nor the one whose house it is, such as a member of
 * control.group? Then what the system does not let them see is no fault of the house. m: with its
 * settings. The one judgement of check, status and queue check. */
bool house_is_anothers(const struct model *m);

#endif
