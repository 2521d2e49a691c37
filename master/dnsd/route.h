/* SPDX-License-Identifier: ISC */
/* Where a domain's mail goes, put together from its exchangers and what is known of each. */
#ifndef MASTER_DNSD_ROUTE_H
#define MASTER_DNSD_ROUTE_H

#include "lib/wire/dns.h"

/* Makes a route of an answer to DNS_EXCHANGERS: by preference, equal ones in a random order, so
 * that load spreads (RFC 5321 section 5.1); of none of them is anything known yet. */
void route_begin(struct dns_answer *route);
/* The answer to DNS_ADDRESS for one of its hosts. */
void route_take(struct dns_answer *route, unsigned host, const struct dns_answer *address);
/* What is to be told of it now, be all of it known or not. own_fault: of a host that is not known
 * nobody could be asked. Hosts without an address stay: that it is among them is how remote sees
 * a loop. */
void route_conclude(struct dns_answer *route, const char *domain, bool own_fault);
/* Of a domain without MX records, which is its own host: from what its name came to as that; mx:
 * what was said of its MX. */
void route_without_mx(struct dns_answer *address, const char *domain, enum dns_result mx);

#endif
