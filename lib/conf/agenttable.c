/* SPDX-License-Identifier: ISC */
#include "lib/conf/agenttable.h"

const struct agent_row agent_rows[AGENTS] = {
	[AGENT_NONE] = { .name = "" },
#define AGENT(ID, word, REACHED, CARRIES, start, max, all) \
	[AGENT_##ID] = { .name = #word,                    \
		         .reached = AGENT_BY_##REACHED,    \
		         .carries = AGENT_CARRIES_##CARRIES },
#define TRANSPORT(ID, word, AGENT, REST)
#include "lib/conf/agents.def"
#undef AGENT
#undef TRANSPORT
};

const struct transport_row transport_rows[ROUTE_TRANSPORTS] = {
#define AGENT(ID, name, REACHED, CARRIES, start, max, all)
#define TRANSPORT(ID, text, WHO, REST) \
	[ROUTE_##ID] = { .word = #text, .agent = AGENT_##WHO, .rest = ROUTE_REST_##REST },
#include "lib/conf/agents.def"
#undef AGENT
#undef TRANSPORT
};
