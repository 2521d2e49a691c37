/* SPDX-License-Identifier: ISC */
/*
 * routes.map: where mail goes that is not for a mailbox here.
 *
 *	boss@dept.example.test  smtp 192.0.2.7
 *	dept.example.test       smtp mail1.dept.example.test:25 mail2.dept.example.test
 *	.example.test           lmtp 127.0.0.1:24
 *	example.org             smtp mx                  (by its own MX records; the default)
 *	example.net             smtp mx=relay.example    (by those of another)
 *	old.test                error 5.1.2 this domain is no more
 *	box@list.test           local
 *	*                       smtp smarthost.example:587
 *
 * Next hops are tried in order.
 */
#ifndef LIB_CONF_ROUTES_H
#define LIB_CONF_ROUTES_H

#include "lib/base/arena.h"
#include "lib/conf/agenttable.h"
#include "lib/conf/map.h"
#include "lib/conf/value.h"

enum { ROUTE_HOPS_MAX = 16 };

struct route {
	enum route_transport transport; /* agents.def */
	struct view text;               /* of an error */
	struct value_reader rest;
};

struct route_hop {
	struct view
		host;  /* name or address without brackets; empty with mx: the recipient's domain */
	uint16_t port; /* 0: the default (remote.port; LMTP: 24) */
	bool mx;       /* resolve host by its MX records */
};

bool route_next(struct route *r, struct route_hop *hop);
enum agent route_agent(const struct route *r); /* who gets it; AGENT_NONE: it is refused */

int route_compile(struct view text, struct text *out, struct reason *why);
bool route_decode(struct view value, struct route *out);

#endif
