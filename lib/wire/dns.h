/* SPDX-License-Identifier: ISC */
/*
 * remote, smtpd <-> dnsd: protocol "dns".  Whole questions, whole answers:
 * nobody but dnsd sees a DNS packet.
 */
#ifndef LIB_WIRE_DNS_H
#define LIB_WIRE_DNS_H

#include "lib/base/reason.h"
#include "lib/wire/address.h"

enum dns_type {
	DNS_ROUTE = 16, /* string domain: where does its mail go (MX, else A/AAAA: RFC 5321
	                   section 5.1) -> DNS_HOSTS */
	DNS_ADDRESS,    /* string host -> DNS_HOSTS with that one host */
	DNS_NAME,       /* string address -> DNS_HOSTS with the names that also point back to it */
	DNS_HOSTS,
	DNS_EXCHANGERS /* dnsd, to its workers: string domain -> DNS_HOSTS, the names in its MX
	                  records without their addresses */
};

enum dns_result {
	DNS_FOUND,
	DNS_NULL_MX,   /* RFC 7505: the domain takes no mail */
	DNS_NO_DOMAIN, /* NXDOMAIN, said by the domain's own servers */
	DNS_NO_HOST,   /* the domain is there, but nothing to deliver to */
	DNS_LATER,     /* timeout, SERVFAIL, bogus: never a reason to bounce */
	DNS_OWN_FAULT  /* nobody was asked, or we did not hear the answer: a fault of the house */
};

enum {
	DNS_NAME_MAX = 256,
	DNS_HOSTS_MAX = 64, /* of a domain with more exchangers the best ones */
	DNS_ADDRESSES_MAX = 16,
	/* dnsd answers a DNS_ROUTE or DNS_ADDRESS within this, with what is known by then. */
	DNS_IN_TIME_MS = 20000
};

struct dns_host {
	uint16_t preference;
	bool secure; /* the whole chain was validated */
	bool later;  /* it may have addresses that could not be found out now */
	char name[DNS_NAME_MAX];
	struct net_address addresses[DNS_ADDRESSES_MAX];
	unsigned address_count;
};

/* Hosts by preference, equal preferences shuffled by dnsd; one may be without an address, not
 * all. */
struct dns_answer {
	enum dns_result result;
	char text[256]; /* why, when not DNS_FOUND: for log and report */
	uint32_t ttl_s; /* how long the answer may be kept */
	struct dns_host hosts[DNS_HOSTS_MAX];
	unsigned host_count;
};

/* dns.server: an address that dnsd's resolver takes, with or without a port; -1 with the reason. */
int dns_server_parse(struct view text, struct net_address *out, struct reason *why);

void dns_question_put(struct wire_out *out, enum dns_type type, const char *name);
bool dns_question_get(struct wire_in *in, enum dns_type *type, char name[DNS_NAME_MAX]);
void dns_answer_put(struct wire_out *out, const struct dns_answer *a);
bool dns_answer_get(struct wire_in *in, struct dns_answer *a);

/* The asker's side. *line is -1 or the line of the last question; it is dialled over "dnsd.dns" at
 * need, and once more when dnsd was replaced. 0, or -1 without an answer within timeout_ms; the log
 * knows why. */
int dns_ask(int *line, enum dns_type type, const char *name, struct dns_answer *answer,
            int timeout_ms);

#endif
