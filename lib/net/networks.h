/* SPDX-License-Identifier: ISC */
/* A list of networks, as a setting has it: porter.proxy-from. */
#ifndef LIB_NET_NETWORKS_H
#define LIB_NET_NETWORKS_H

#include "lib/base/reason.h"
#include "lib/net/address.h"

enum { NETWORKS_MAX = 32 };

struct networks {
	struct net_network all[NETWORKS_MAX];
	unsigned count;
};

/* "192.0.2.7, 2001:db8::/64"; -1 with the reason. */
int networks_parse(struct view list, struct networks *out, struct reason *why);
bool networks_hold(const struct networks *networks, const struct net_address *a);

#endif
