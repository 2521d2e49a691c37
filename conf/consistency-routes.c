/* SPDX-License-Identifier: ISC */
/* Routes that lead back here, or may for want of one. */
#include "conf/consistency.h"
#include "conf/model.h"
#include "lib/conf/domains.h"
#include "lib/conf/routes.h"
#include "lib/conf/services.h"

/* By name, or by an address that is this machine's for sure. */
static bool names_us(const struct settings *s, struct view host, uint16_t port)
{
	struct view rest = view_of(s->listen_smtp);
	struct net_address hop, address;
	bool is_address = net_address_parse(host, &hop);
	bool is_name = view_equal_nocase(host, view_of(s->host_name)) ||
	               view_equal_nocase(host, VIEW("localhost"));
	bool is_loopback = is_address && ((hop.family == 4 && hop.bytes[0] == 127) ||
	                                  (hop.family == 6 && view_equal(host, VIEW("::1"))));

	while (listen_next(&rest, &address, NULL) > 0) {
		if (address.port != port)
			continue;
		hop.port = port;
		if (is_name ||
		    (is_address && address.family && net_address_equal(&address, &hop)) ||
		    (is_loopback && address.family == 0))
			return true;
	}
	return false;
}

static void check_route(struct model *m, const struct map_entry *e)
{
	struct route r;
	struct route_hop hop;

	if (!route_decode(e->compiled, &r) || r.transport != ROUTE_SMTP)
		return;
	while (route_next(&r, &hop)) {
		uint16_t port = hop.port ? hop.port : (uint16_t)m->settings.remote_port;

		if (!hop.mx && names_us(&m->settings, hop.host, port))
			problem_warning(
				&m->problems, m->maps[MAP_ROUTES].source.path, e->line,
				"%.*s is routed to this host itself: its mail goes round until it "
				"is returned",
				VIEW_ARG(e->key));
	}
}

static enum map_result find_route(void *context, struct view key, struct view *value)
{
	return model_find(context, MAP_ROUTES, key, value) ? MAP_FOUND : MAP_MISSING;
}

/* A route that was forgotten. Who is first among the exchangers is not asked: a build does not wait
 * for DNS. */
static void check_relayed(struct model *m, const struct map_entry *e)
{
	struct domain d;
	struct view route;

	if (!domain_decode(e->compiled, &d) || d.class != DOMAIN_RELAY ||
	    map_widen(find_route, m, e->key, &route) == MAP_FOUND)
		return;
	problem_warning(&m->problems, m->maps[MAP_DOMAINS].source.path, e->line,
	                "%.*s has no route in routes.map: its mail goes by its MX in DNS, and in a "
	                "loop if that is this server; name its server there, or \"smtp mx\" if "
	                "its MX leads to another host",
	                VIEW_ARG(e->key));
}

void consistency_of_routes(struct model *m)
{
	const struct model_map *map = &m->maps[MAP_ROUTES], *domains = &m->maps[MAP_DOMAINS];

	for (size_t i = 0; i < map->count; i++)
		check_route(m, map->entries[i]);
	if (m->problems.errors) /* a line that is wrong is missing */
		return;
	for (size_t i = 0; i < domains->count; i++)
		check_relayed(m, domains->entries[i]);
}
