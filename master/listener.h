/* SPDX-License-Identifier: ISC */
/* The sockets that master binds for others. */
#ifndef MASTER_LISTENER_H
#define MASTER_LISTENER_H

#include "lib/conf/services.h"
#include "lib/conf/settings.h"
#include "lib/net/address.h"

enum { LISTENER_NAME_MAX = 32 };

struct listener {
	char name[LISTENER_NAME_MAX]; /* "listen.smtp.0" */
	struct net_address address;
	int fd;
};

struct listeners {
	struct listener rows[LISTENERS_MAX];
	unsigned count;
};

/* All Internet listeners of the settings. A socket that `old` (may be NULL) holds for the same
 * address is shared; `old` stays whole, and is the caller's to close. */
int listeners_open(const struct settings *s, const struct listeners *old, struct listeners *out,
                   struct reason *why);
/* Everybody who holds them too: a client is refused from now on, one that waits to be accepted is
 * reset. */
void listeners_shut(const struct listeners *l);
void listeners_close(struct listeners *l);

#endif
