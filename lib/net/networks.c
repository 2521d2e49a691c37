/* SPDX-License-Identifier: ISC */
#include "lib/net/networks.h"

int networks_parse(struct view list, struct networks *out, struct reason *why)
{
	struct view entry;

	out->count = 0;
	while (view_cut(&list, ',', &entry)) {
		entry = view_trim(entry);
		if (entry.len == 0)
			continue;
		if (out->count == NETWORKS_MAX)
			return fail(why, "more than %d networks", NETWORKS_MAX);
		if (!net_network_parse(entry, &out->all[out->count++]))
			return fail(why,
			            "\"%.*s\" is not an address or a network without host bits "
			            "such as 192.0.2.0/24",
			            VIEW_ARG(entry));
	}
	return 0;
}

bool networks_hold(const struct networks *networks, const struct net_address *a)
{
	for (unsigned i = 0; i < networks->count; i++)
		if (net_network_holds(&networks->all[i], a))
			return true;
	return false;
}
