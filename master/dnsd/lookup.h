/* SPDX-License-Identifier: ISC */
/* One DNS question, answered with the C library's resolver, blocking: what dnsd's workers do. */
#ifndef MASTER_DNSD_LOOKUP_H
#define MASTER_DNSD_LOOKUP_H

#include "lib/base/reason.h"
#include "lib/wire/dns.h"

enum { LOOKUP_TTL_MIN_S = 5, LOOKUP_TTL_MAX_S = 3600, LOOKUP_TTL_FAILED_S = 30 };

/* Reads resolv.conf, or takes the one server ADDRESS:PORT when `server` is not empty. */
int lookup_open(const char *server, struct reason *why);
/* Answers DNS_EXCHANGERS, DNS_ADDRESS and DNS_NAME; never fails but by DNS_LATER. */
void lookup(enum dns_type type, const char *name, struct dns_answer *answer);

/* For the test: the records of one type (T_MX ...) in a packet as it came. */
struct lookup_record {
	uint16_t preference;     /* MX */
	char name[DNS_NAME_MAX]; /* MX, PTR; "" is the root */
	struct net_address address;
};
struct lookup_records {
	struct lookup_record rows[DNS_HOSTS_MAX];
	unsigned count;
	uint32_t ttl_s;
};
/* false: the packet is broken. Records past the room are left out, of MX those of the least
 * preference. */
bool lookup_parse(const unsigned char *packet, size_t len, uint16_t type,
                  struct lookup_records *out);

#endif
