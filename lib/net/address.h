/* SPDX-License-Identifier: ISC */
/* Internet addresses of hosts and networks: one form for both families, text in and out. */
#ifndef LIB_NET_ADDRESS_H
#define LIB_NET_ADDRESS_H

#include <sys/socket.h>

#include "lib/base/bytes.h"
#include "lib/base/shares.h"

/* Family 4 or 6 (0: none, e.g. a local submission); IPv4 stands in the first four bytes.
 * An IPv4-mapped IPv6 address is always held as IPv4. */
struct net_address {
	uint8_t family;
	uint8_t bytes[16];
	uint16_t port; /* host order; 0 where it does not matter */
};

enum { NET_ADDRESS_TEXT_MAX = 64 };

/* "192.0.2.1", "2001:db8::1", and with brackets "[2001:db8::1]"; no port. */
bool net_address_parse(struct view text, struct net_address *out);
/* "host:port" or "[v6]:port" of numeric addresses. */
bool net_address_parse_port(struct view text, struct net_address *out);
bool net_address_from_sockaddr(const struct sockaddr *sa, struct net_address *out);
/* Fills ss; returns its length. */
socklen_t net_address_to_sockaddr(const struct net_address *a, struct sockaddr_storage *ss);
/* Writes the address without port and returns out. */
const char *net_address_text(const struct net_address *a, char out[NET_ADDRESS_TEXT_MAX]);
/* The form of RFC 5321 section 4.1.3: [192.0.2.1] or [IPv6:2001:db8::1]. */
const char *net_address_literal(const struct net_address *a, char out[NET_ADDRESS_TEXT_MAX]);
bool net_address_equal(const struct net_address *a,
                       const struct net_address *b); /* port not compared */

/*
 * Whose an address is, from wide to narrow, for all that is shared out by who asks (limits, pools,
 * delays): a wide network, which is what a provider has, a network, which is what one line or a
 * small house has, and a site, which is what one host can change its address in.
 *
 *	IPv4   /16, /24, /32        IPv6   /32, /48, /64
 *
 * What has no family is one owner of its own.
 */
enum net_owner { NET_WIDE, NET_NETWORK, NET_SITE, NET_OWNERS };

void net_address_owners(const struct net_address *a, struct share_path *out);

struct net_network {
	struct net_address base;
	unsigned bits;
};

/* "192.0.2.0/24", "2001:db8::/32"; without a slash the single address. Host bits must be zero. */
bool net_network_parse(struct view text, struct net_network *out);
bool net_network_holds(const struct net_network *n, const struct net_address *a);

#endif
