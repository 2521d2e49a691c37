/* SPDX-License-Identifier: ISC */
#include "master/dnsd/route.h"

#include <stdlib.h>
#include <string.h>

static void swap(struct dns_host *a, struct dns_host *b)
{
	struct dns_host kept = *a;

	*a = *b;
	*b = kept;
}

void route_begin(struct dns_answer *route)
{
	for (unsigned i = route->host_count; i > 1; i--)
		swap(&route->hosts[i - 1], &route->hosts[(unsigned)random() % i]);
	for (unsigned i = 1; i < route->host_count; i++)
		for (unsigned j = i;
		     j > 0 && route->hosts[j].preference < route->hosts[j - 1].preference; j--)
			swap(&route->hosts[j], &route->hosts[j - 1]);
	for (unsigned i = 0; i < route->host_count; i++)
		route->hosts[i].later = true;
}

void route_take(struct dns_answer *route, unsigned host, const struct dns_answer *address)
{
	struct dns_host *to = &route->hosts[host];
	const struct dns_host *from = &address->hosts[0];

	if (address->ttl_s < route->ttl_s)
		route->ttl_s = address->ttl_s;
	to->later = address->result == DNS_LATER || address->result == DNS_OWN_FAULT;
	if (address->host_count == 0)
		return;
	to->later = from->later;
	to->secure = from->secure;
	to->address_count = from->address_count;
	memcpy(to->addresses, from->addresses, sizeof to->addresses);
}

static void give(struct dns_answer *answer, enum dns_result result, const char *domain,
                 const char *text)
{
	answer->result = result;
	string_print_cut(answer->text, sizeof answer->text, "%s: %s", domain, text);
}

void route_conclude(struct dns_answer *route, const char *domain, bool own_fault)
{
	bool later = false, reachable = false;

	for (unsigned i = 0; i < route->host_count; i++) {
		later = later || route->hosts[i].later;
		reachable = reachable || route->hosts[i].address_count > 0;
	}
	if (reachable)
		return;
	if (later)
		give(route, own_fault ? DNS_OWN_FAULT : DNS_LATER, domain,
		     "no address of a mail exchanger of the domain can be found now");
	else
		give(route, DNS_NO_HOST, domain, "no mail exchanger of the domain has an address");
}

void route_without_mx(struct dns_answer *address, const char *domain, enum dns_result mx)
{
	/* It is not there when all three types say so. */
	if (address->result == DNS_NO_DOMAIN && mx == DNS_NO_DOMAIN)
		give(address, DNS_NO_DOMAIN, domain, "domain not found");
	else if (address->result == DNS_NO_DOMAIN)
		give(address, DNS_NO_HOST, domain, "host not found");
}
