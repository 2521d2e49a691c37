/* SPDX-License-Identifier: ISC */
/* Where a message may go: next hops that an operator has named, or what dnsd knows of a domain. */
#ifndef DELIVER_REMOTE_DESTINATION_H
#define DELIVER_REMOTE_DESTINATION_H

#include "deliver/remote/candidates.h"
#include "lib/conf/settings.h"

/* Asks dnsd, which may take a minute for each hop. What cannot be found is in `all` as trouble. */
void destination_find(const struct resolve_route *route, unsigned attempt,
                      const struct settings *settings, struct candidates *all);
/* The mail would come back to this host; ours: a domain of ours, for the operator to mend. */
void destination_loops_back(struct candidates *all, bool ours);

#endif
