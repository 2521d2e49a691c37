/* SPDX-License-Identifier: ISC */
#include "lib/conf/services.h"

const struct service services[SERVICES] = {
#define SERVICE(name, protocol, tls, port) { #name, "listen." #name, tls, port },
#include "lib/conf/services.def"
#undef SERVICE
};

const char *service_addresses(const struct settings *s, unsigned service)
{
	const char *const addresses[SERVICES] = {
#define SERVICE(name, protocol, tls, port) s->listen_##name,
#include "lib/conf/services.def"
#undef SERVICE
	};

	return addresses[service];
}

int listen_next(struct view *rest, struct net_address *address, struct reason *why)
{
	struct view entry;
	uint64_t port;

	if (!view_cut(rest, ',', &entry))
		return 0;
	entry = view_trim(entry);
	if (view_starts(entry, VIEW("*:")) && view_number(view_skip(entry, 2), 65535, &port) &&
	    port != 0) {
		*address = (struct net_address){ .port = (uint16_t)port };
		return 1;
	}
	if (net_address_parse_port(entry, address) && address->port != 0)
		return 1;
	return fail(
		why,
		"\"%.*s\" is not an address with a port such as *:25, 192.0.2.1:25 or [2001:db8::1]:25",
		VIEW_ARG(entry));
}

int services_check(const struct settings *s, struct reason *why)
{
	struct net_address address;
	unsigned count = 0;

	for (unsigned i = 0; i < SERVICES; i++) {
		struct view rest = view_of(service_addresses(s, i));

		while (listen_next(&rest, &address, NULL) > 0)
			count++;
	}
	return count <= LISTENERS_MAX
	               ? 0
	               : fail(why, "%u addresses to listen on, more than %d", count, LISTENERS_MAX);
}
