/* SPDX-License-Identifier: ISC */
/* The delivery agents and the transports of routes.map, from one list (agents.def). */
#ifndef LIB_CONF_AGENTTABLE_H
#define LIB_CONF_AGENTTABLE_H

#include <stdbool.h>

enum agent {
	AGENT_NONE, /* nobody: the address fails */
#define AGENT(ID, name, REACHED, CARRIES, start, max, all) AGENT_##ID,
#define TRANSPORT(ID, word, AGENT, REST)
#include "lib/conf/agents.def"
#undef AGENT
#undef TRANSPORT
	AGENTS
};

enum route_transport {
#define AGENT(ID, name, REACHED, CARRIES, start, max, all)
#define TRANSPORT(ID, word, AGENT, REST) ROUTE_##ID,
#include "lib/conf/agents.def"
#undef AGENT
#undef TRANSPORT
	ROUTE_TRANSPORTS
};

enum agent_reached { AGENT_BY_WIRE, AGENT_BY_OWNER };
enum agent_carries {
	AGENT_CARRIES_NOTHING,
	AGENT_CARRIES_MAILBOX,
	AGENT_CARRIES_HOPS,
	AGENT_CARRIES_REPORTS
};
enum route_rest { ROUTE_REST_NOTHING, ROUTE_REST_HOPS, ROUTE_REST_TEXT };

struct agent_row {
	const char *name; /* in the log, too; "" of AGENT_NONE */
	enum agent_reached reached;
	enum agent_carries carries;
};

struct transport_row {
	const char *word;
	enum agent agent;
	enum route_rest rest;
};

extern const struct agent_row agent_rows[AGENTS];
extern const struct transport_row transport_rows[ROUTE_TRANSPORTS];

static inline bool agent_carries(enum agent agent, enum agent_carries what)
{
	return agent_rows[agent].carries == what;
}

#endif
