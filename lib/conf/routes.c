/* SPDX-License-Identifier: ISC */
#include "lib/conf/routes.h"

#include "lib/conf/mapbuild.h"
#include "lib/conf/maptext.h"
#include "lib/net/address.h"

/* "smtp, lmtp, local or error" */
static void list_transports(char *out, size_t size)
{
	struct text words;

	text_init(&words, size - 1);
	for (unsigned i = 0; i < ROUTE_TRANSPORTS; i++)
		text_format(&words, "%s%s",
		            i == 0                     ? ""
		            : i + 1 < ROUTE_TRANSPORTS ? ", "
		                                       : " or ",
		            transport_rows[i].word);
	string_put(out, size, text_view(&words));
	text_free(&words);
}

static int parse_transport(struct view word, enum route_transport *out, struct reason *why)
{
	char words[128];

	for (unsigned i = 0; i < ROUTE_TRANSPORTS; i++) {
		if (view_equal(word, view_of(transport_rows[i].word))) {
			*out = (enum route_transport)i;
			return 0;
		}
	}
	list_transports(words, sizeof words);
	return fail(why, "\"%.*s\" is not a transport; write %s", VIEW_ARG(word), words);
}

static void put_hop(struct text *out, struct view host, uint16_t port, bool mx)
{
	value_put_u8(out, mx);
	value_put_u16(out, port);
	value_put_bytes(out, host);
}

static int compile_mx(struct view domain, struct text *out, struct reason *why)
{
	struct text name;

	text_init(&name, MAP_KEY_MAX);
	int result = domain.len ? maptext_domain(domain, &name, why) : 0;

	if (result == 0)
		put_hop(out, text_view(&name), 0, true);
	text_free(&name);
	return result;
}

/* Cuts ":port" off; a bare IPv6 address has colons of its own and no port. */
static int take_port(struct view *host, uint16_t *port, struct reason *why)
{
	struct net_address address;
	uint64_t number = 0;
	size_t colon = host->len;

	*port = 0;
	if (net_address_parse(*host, &address))
		return 0;
	while (colon > 0 && host->data[colon - 1] != ':')
		colon--;
	if (colon == 0)
		return 0;
	if (!view_number(view_skip(*host, colon), 65535, &number) || number == 0)
		return fail(why, "\"%.*s\": the port is not a number from 1 to 65535",
		            VIEW_ARG(*host));
	*port = (uint16_t)number;
	*host = view_take(*host, colon - 1);
	return 0;
}

static bool is_mx(struct view word)
{
	return view_equal(word, VIEW("mx")) || view_starts(word, VIEW("mx="));
}

static int compile_hop(struct view word, struct text *out, struct reason *why)
{
	struct net_address address;
	char literal[NET_ADDRESS_TEXT_MAX];
	struct text name;
	uint16_t port;
	int result = 0;

	if (view_equal(word, VIEW("mx")))
		return compile_mx(VIEW(""), out, why);
	if (view_starts(word, VIEW("mx=")))
		return compile_mx(view_skip(word, 3), out, why);
	if (take_port(&word, &port, why) != 0)
		return -1;
	text_init(&name, MAP_KEY_MAX);
	if (net_address_parse(word, &address))
		text_add_string(&name, net_address_text(&address, literal));
	else
		result = maptext_domain(word, &name, why);
	if (result == 0)
		put_hop(out, text_view(&name), port, false);
	text_free(&name);
	return result;
}

static int compile_hops(struct view rest, enum route_transport transport, struct text *out,
                        struct reason *why)
{
	struct arena arena = { 0 };
	struct view word;
	bool by_mx = false;
	int hops = 0, more, result = 0;

	while (result == 0 && (more = maptext_word(&rest, &arena, &word, why)) != 0) {
		result = more < 0 ? -1 : compile_hop(word, out, why);
		by_mx = by_mx || is_mx(word);
		if (result == 0 && ++hops > ROUTE_HOPS_MAX)
			result = fail(why, "more than %d next hops", ROUTE_HOPS_MAX);
		if (result == 0 && by_mx && hops > 1)
			result = fail(why, "mx and mx=DOMAIN stand alone: remove them or the other "
			                   "next hops");
	}
	arena_clear(&arena);
	if (result != 0)
		return -1;
	if (transport_rows[transport].rest == ROUTE_REST_NOTHING && hops > 0)
		return fail(why, "%s has no next hop", transport_rows[transport].word);
	if (transport_rows[transport].rest == ROUTE_REST_HOPS && hops == 0)
		return fail(why, "a next hop is missing; write HOST, HOST:PORT, mx or mx=DOMAIN");
	return 0;
}

int route_compile(struct view text, struct text *out, struct reason *why)
{
	struct view rest = view_trim(text), word = { "", 0 };
	enum route_transport transport = ROUTE_SMTP;

	view_cut(&rest, ' ', &word);
	word = view_trim(view_take(word, view_find(word, '\t')));
	rest = view_trim(view_skip(view_trim(text), word.len));
	if (parse_transport(word, &transport, why) != 0)
		return -1;
	value_put_u8(out, (uint8_t)transport);
	bool is_text = transport_rows[transport].rest == ROUTE_REST_TEXT;

	value_put_bytes(out, is_text ? rest : VIEW(""));
	return is_text ? 0 : compile_hops(rest, transport, out, why);
}

static struct route_hop get_hop(struct value_reader *r)
{
	struct route_hop hop;

	hop.mx = value_get_u8(r) != 0;
	hop.port = value_get_u16(r);
	hop.host = value_get_bytes(r);
	return hop;
}

bool route_decode(struct view value, struct route *out)
{
	struct value_reader *r = &out->rest;

	out->rest = (struct value_reader){ .rest = value };
	unsigned transport = value_get_u8(r);

	out->transport = (enum route_transport)transport;
	out->text = value_get_bytes(r);
	struct value_reader check = *r;

	while (!check.bad && check.rest.len)
		get_hop(&check);
	return !check.bad && transport < ROUTE_TRANSPORTS;
}

bool route_next(struct route *r, struct route_hop *hop)
{
	if (r->rest.rest.len == 0)
		return false;
	*hop = get_hop(&r->rest);
	return !r->rest.bad;
}

enum agent route_agent(const struct route *r)
{
	return transport_rows[r->transport].agent;
}

/* ---- for the build ---- */

int routes_compile(const struct mapbuild *b, struct view key, struct view value, struct text *out,
                   struct reason *why)
{
	(void)b, (void)key;
	return route_compile(value, out, why);
}

static void show_hop(const struct route_hop *hop, struct text *out)
{
	bool brackets = hop->port && view_find(hop->host, ':') < hop->host.len;

	text_add_string(out, hop->mx && hop->host.len ? " mx=" : hop->mx ? " mx" : " ");
	text_format(out, brackets ? "[%.*s]" : "%.*s", VIEW_ARG(hop->host));
	if (hop->port)
		text_format(out, ":%u", (unsigned)hop->port);
}

bool routes_show(struct view key, struct view value, struct text *key_out, struct text *out)
{
	struct route r;
	struct route_hop hop;

	if (!route_decode(value, &r))
		return false;
	text_add_string(out, transport_rows[r.transport].word);
	if (r.text.len)
		text_format(out, " %.*s", VIEW_ARG(r.text));
	while (route_next(&r, &hop))
		show_hop(&hop, out);
	text_add(key_out, key);
	return true;
}
