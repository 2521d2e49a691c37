/* SPDX-License-Identifier: ISC */
/* The kinds of listeners, and the value of a listen setting: "*:25", "127.0.0.1:2525, [::1]:2525";
 * empty is no listener. */
#ifndef LIB_CONF_SERVICES_H
#define LIB_CONF_SERVICES_H

#include "lib/base/reason.h"
#include "lib/conf/settings.h"
#include "lib/net/address.h"

enum service_name {
#define SERVICE(name, protocol, tls, port) SERVICE_##name,
#include "lib/conf/services.def"
#undef SERVICE
	SERVICES /* their number */
};

struct service {
	const char *name; /* "smtp" */
	const char *key;  /* "listen.smtp" */
	bool tls;         /* from the first byte */
	uint16_t port;    /* the assigned one */
};

extern const struct service services[SERVICES];

/* Of all services together: each is a descriptor that porter is given. */
enum { LISTENERS_MAX = 48 };

/* What the settings say of services[service]. */
const char *service_addresses(const struct settings *s, unsigned service);

/*
 * Takes the first entry off *rest: 1 with an address, 0 at the end, -1 with the reason.
 * "*" gives family 0: every address of the machine, both families (one IPv6 socket with
 * IPV6_V6ONLY off, or 0.0.0.0 where the machine has no IPv6).
 */
int listen_next(struct view *rest, struct net_address *address, struct reason *why);
/* Can one machine not listen on both?  By address and port; "*" and 0.0.0.0 or [::] hold others. */
bool listen_overlap(const struct net_address *a, const struct net_address *b);

/* What a start would refuse: more than LISTENERS_MAX addresses, or two that overlap. found is told
 * of each, with the service whose setting is to be changed (SERVICES: several). */
typedef void services_found(void *context, unsigned service, const char *what);
void services_check(const struct settings *s, services_found *found, void *context);

#endif
