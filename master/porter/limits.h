/* SPDX-License-Identifier: ISC */
/*
 * How many clients porter lets in: in all, from one address (IPv6: /64), from one network (IPv4
 * /24, IPv6 /48: net_address_owners), and how many new ones from one address in a second.
 *
 * Pure: no descriptors, no clock of its own.  Memory is one small entry for each address
 * and network that has clients or had one in the last second.
 */
#ifndef MASTER_PORTER_LIMITS_H
#define MASTER_PORTER_LIMITS_H

#include "lib/net/address.h"

struct limits_most {
	unsigned clients, per_address, per_network, per_second; /* 0: no limit */
};

/* LIMIT_CLIENTS: the others are not reached. */
enum limit { LIMIT_NONE, LIMIT_CLIENTS, LIMIT_ADDRESS, LIMIT_NETWORK, LIMIT_RATE };
const char *limit_name(enum limit limit); /* the setting, for the log */

struct limits;

struct limits *limits_new(const struct limits_most *most);
void limits_free(struct limits **limits);

/* LIMIT_NONE: the client counts until limits_leave.  Otherwise nothing is counted but the attempt
 * itself, so that a client that hammers stays refused. */
enum limit limits_enter(struct limits *limits, const struct net_address *client, int64_t now_ms);
/* The same for one that was refused a moment ago, and for which another has made room since: it is
 * no other attempt. */
enum limit limits_enter_place(struct limits *limits, const struct net_address *client);
void limits_leave(struct limits *limits, const struct net_address *client);

/* Entries in memory, for tests. */
unsigned limits_entries(const struct limits *limits);

#endif
