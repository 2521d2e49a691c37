/* SPDX-License-Identifier: ISC */
#include "deliver/remote/destination.h"

#include "lib/wire/dns.h"

enum { DNS_ANSWER_MS = 60000 };

static int dnsd = -1;

/* false: `all` knows why. A hop is an operator's word: when it cannot be found, they will want to
 * mend it, not to lose mail. */
static bool ask(enum dns_type type, const char *name, struct dns_answer *answer,
                struct candidates *all)
{
	if (dns_ask(&dnsd, type, name, answer, DNS_ANSWER_MS) != 0)
		*answer = (struct dns_answer){ .result = DNS_OWN_FAULT,
			                       .text = "dnsd does not respond" };
	if (type == DNS_ADDRESS &&
	    (answer->result == DNS_NULL_MX || answer->result == DNS_NO_DOMAIN ||
	     answer->result == DNS_NO_HOST)) {
		candidates_trouble(all, 0, "4.4.4", answer->text);
		return false;
	}
	switch (answer->result) {
	case DNS_FOUND: return true;
	case DNS_NULL_MX:
		candidates_trouble(all, 556, "5.1.10", answer->text); /* RFC 7505 section 4.2 */
		return false;
	case DNS_NO_DOMAIN: candidates_trouble(all, 550, "5.1.2", answer->text); return false;
	case DNS_NO_HOST: candidates_trouble(all, 550, "5.4.4", answer->text); return false;
	case DNS_OWN_FAULT: candidates_own_fault(all, answer->text); return false;
	default: candidates_trouble(all, 0, "4.4.3", answer->text); return false;
	}
}

/* If we are among the exchangers, only better ones than us may get it (RFC 5321 section 5.1). */
static unsigned hosts_before_us(const struct dns_answer *answer, const char *host_name)
{
	for (unsigned i = 0; i < answer->host_count; i++)
		if (view_equal_nocase(view_of(answer->hosts[i].name), view_of(host_name))) {
			while (i > 0 &&
			       answer->hosts[i - 1].preference == answer->hosts[i].preference)
				i--;
			return i;
		}
	return answer->host_count;
}

/* A domain is not found. One of ours is for the operator to mend, or for the moment: no reason to
 * lose mail. */
static void add_none(struct candidates *all, bool ours, const struct dns_answer *answer)
{
	if (ours && (answer->result == DNS_NO_DOMAIN || answer->result == DNS_NO_HOST))
		candidates_trouble(all, 0, "4.4.4", answer->text);
}

static void add_host(struct candidates *all, const struct dns_host *host, uint16_t port)
{
	char text[DNS_NAME_MAX + 64];

	candidates_add(all, host, host->preference, port);
	if (!host->later || host->address_count > 0)
		return;
	candidates_missing(all, host->preference);
	string_print_cut(text, sizeof text, "%s: the name servers do not respond", host->name);
	candidates_trouble(all, 0, "4.4.3", text);
}

void destination_loops_back(struct candidates *all, bool ours)
{
	candidates_trouble(all, ours ? 0 : 550, ours ? "4.3.5" : DESTINATION_LOOP,
	                   "mail for the domain loops back to this host");
}

static void add_exchangers(struct candidates *all, const struct resolve_route *route,
                           const struct settings *settings)
{
	const char *domain = route->domain;
	uint16_t port = (uint16_t)settings->remote_port;
	static struct dns_answer answer;
	struct dns_host literal = { .address_count = 1 };

	if (domain[0] == '[' && net_address_parse(view_of(domain), &literal.addresses[0])) {
		string_put(literal.name, sizeof literal.name, view_of(domain));
		candidates_add(all, &literal, 0, port);
		return;
	}
	if (!ask(DNS_ROUTE, domain, &answer, all)) {
		add_none(all, route->ours, &answer);
		return;
	}
	unsigned usable = hosts_before_us(&answer, settings->host_name);

	if (usable == 0)
		destination_loops_back(all, route->ours);
	for (unsigned i = 0; i < usable; i++)
		add_host(all, &answer.hosts[i], port);
}

static void add_hop(struct candidates *all, const struct resolve_hop *hop, uint16_t preference)
{
	static struct dns_answer answer;
	struct dns_host literal = { .address_count = 1 };

	if (net_address_parse(view_of(hop->host), &literal.addresses[0])) {
		string_put(literal.name, sizeof literal.name, view_of(hop->host));
		candidates_add(all, &literal, preference, hop->port);
	} else if (ask(DNS_ADDRESS, hop->host, &answer, all)) {
		candidates_add(all, &answer.hosts[0], preference, hop->port);
	} else {
		candidates_missing(all, preference);
	}
}

void destination_find(const struct resolve_route *route, unsigned attempt,
                      const struct settings *settings, struct candidates *all)
{
	candidates_clear(all);
	if (route->domain[0])
		add_exchangers(all, route, settings);
	for (unsigned i = 0; i < route->hop_count; i++)
		add_hop(all, &route->hops[i], (uint16_t)i);
	candidates_arrange(all, attempt);
}
