/* SPDX-License-Identifier: ISC */
/* What no single line shows: settings that contradict each other, names that lead nowhere. */
#ifndef CONF_CONSISTENCY_H
#define CONF_CONSISTENCY_H

struct model;

void consistency_of_settings(struct model *m); /* once they have been read */
void consistency_of_domains(struct model *m);  /* what domains say of each other */
void consistency_of_users(struct model *m);    /* homes that meet, owners that nobody may be */
void consistency_of_routes(struct model *m);   /* those that lead back here, or are missing */
void consistency_of_aliases(struct model *m);  /* targets that lead nowhere; the postmaster too */

#endif
