/* SPDX-License-Identifier: ISC */
/* Where a message may go: next hops that an operator has named, or what dnsd knows of a domain. */
#ifndef DELIVER_REMOTE_DESTINATION_H
#define DELIVER_REMOTE_DESTINATION_H

#include "deliver/remote/candidates.h"
#include "lib/conf/settings.h"

/* Asks dnsd, which may take a minute for each hop. What cannot be found is in `all` as trouble. */
void destination_find(const struct resolve_route *route, unsigned attempt,
                      const struct settings *settings, struct candidates *all);
/* The mail would come back to this host; ours: a domain of ours, for the operator to mend, 4.3.5.
 * X.3.5 is a system incorrectly configured; X.4.6 is for what a message says of itself, which a
 * sender can forge, and nobody is told of (queued's reports.h). */
#define DESTINATION_LOOP "5.3.5"
void destination_loops_back(struct candidates *all, bool ours);

#endif
