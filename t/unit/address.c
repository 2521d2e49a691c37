/* SPDX-License-Identifier: ISC */
#include "lib/net/address.h"

#include "t/tap.h"

static const struct {
	const char *in, *text, *literal; /* text NULL: refused */
} addresses[] = {
	{ "192.0.2.1", "192.0.2.1", "[192.0.2.1]" },
	{ "[192.0.2.1]", "192.0.2.1", "[192.0.2.1]" },
	{ "2001:DB8::1", "2001:db8::1", "[IPv6:2001:db8::1]" },
	{ "[2001:db8:0:0::1]", "2001:db8::1", "[IPv6:2001:db8::1]" },
	{ "[IPv6:2001:db8::1]", "2001:db8::1", "[IPv6:2001:db8::1]" },
	{ "::ffff:192.0.2.7", "192.0.2.7", "[192.0.2.7]" },
	{ "::", "::", "[IPv6:::]" },
	{ "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8", "[IPv6:1:2:3:4:5:6:7:8]" },
	{ "", NULL, NULL },
	{ "[]", NULL, NULL },
	{ "[", NULL, NULL },
	{ "192.0.2", NULL, NULL },
	{ "192.0.2.256", NULL, NULL },
	{ "192.0.2.1 ", NULL, NULL },
	{ " 192.0.2.1", NULL, NULL },
	{ "192.0.2.1:25", NULL, NULL },
	{ "1:2:3:4:5:6:7:8:9", NULL, NULL },
	{ "fe80::1%lo", NULL, NULL },
	{ "1111:2222:3333:4444:5555:6666:7777:8888:9999:1111:2222", NULL, NULL },
};

static const struct {
	const char *in, *text;
	unsigned port;
} ports[] = {
	{ "127.0.0.1:25", "127.0.0.1", 25 },
	{ "[::1]:65535", "::1", 65535 },
	{ "[127.0.0.1]:1", "127.0.0.1", 1 },
	{ "127.0.0.1:0", "127.0.0.1", 0 },
	{ "::1:25", NULL, 0 },
	{ "127.0.0.1", NULL, 0 },
	{ "127.0.0.1:", NULL, 0 },
	{ "127.0.0.1:65536", NULL, 0 },
	{ ":25", NULL, 0 },
	{ "127.0.0.1:-1", NULL, 0 },
	{ "", NULL, 0 },
};

static const struct {
	const char *one, *other;
	unsigned shared; /* how many owners, the wide ones first */
} owners[] = {
	{ "192.0.2.1", "192.0.2.1", 3 },
	{ "192.0.2.1", "::ffff:192.0.2.1", 3 },
	{ "192.0.2.1", "192.0.2.2", 2 },
	{ "192.0.2.1", "192.0.3.1", 1 },
	{ "192.0.2.1", "192.1.2.1", 0 },
	{ "2001:db8:1:2::1", "2001:db8:1:2:ffff::", 3 },
	{ "2001:db8:1:2::1", "2001:db8:1:3::1", 2 },
	{ "2001:db8:1:2::1", "2001:db8:2:2::1", 1 },
	{ "2001:db8:1:2::1", "2001:db9:1:2::1", 0 },
	{ "0.0.0.0", "::", 0 },
};

static const struct {
	const char *network, *address;
	int holds; /* -1: the network is refused */
} networks[] = {
	{ "192.0.2.0/24", "192.0.2.255", 1 },
	{ "192.0.2.0/24", "192.0.3.0", 0 },
	{ "192.0.2.128/25", "192.0.2.127", 0 },
	{ "192.0.2.128/25", "192.0.2.129", 1 },
	{ "0.0.0.0/0", "1.2.3.4", 1 },
	{ "0.0.0.0/0", "::1", 0 },
	{ "192.0.2.1", "192.0.2.1", 1 },
	{ "192.0.2.1", "192.0.2.2", 0 },
	{ "2001:db8::/33", "2001:db8:7fff::", 1 },
	{ "2001:db8::/33", "2001:db8:8000::", 0 },
	{ "::/0", "2001::", 1 },
	{ "192.0.2.1/24", "192.0.2.1", -1 },
	{ "192.0.2.0/33", "192.0.2.1", -1 },
	{ "192.0.2.0/", "192.0.2.1", -1 },
	{ "2001:db8::1/64", "::", -1 },
	{ "::/129", "::", -1 },
};

static void check_addresses(void)
{
	for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
		struct net_address a, again;
		struct sockaddr_storage ss;
		char text[NET_ADDRESS_TEXT_MAX], literal[NET_ADDRESS_TEXT_MAX];
		bool good = net_address_parse(view_of(addresses[i].in), &a);

		if (!ok(good == (addresses[i].text != NULL), "parse '%s'", addresses[i].in) ||
		    !good)
			continue;
		is_string(net_address_text(&a, text), addresses[i].text, "text of %s",
		          addresses[i].in);
		is_string(net_address_literal(&a, literal), addresses[i].literal, "literal of %s",
		          addresses[i].in);
		a.port = 2525;
		net_address_to_sockaddr(&a, &ss);
		ok(net_address_from_sockaddr((struct sockaddr *)&ss, &again) &&
		           net_address_equal(&a, &again) && again.port == 2525,
		   "through a sockaddr: %s", addresses[i].in);
		ok(net_address_parse(view_of(literal), &again) && net_address_equal(&a, &again),
		   "back from %s", literal);
	}
}

static void check_owners(const char *one, const char *other, unsigned want)
{
	struct net_address a, b;
	struct share_path of_a, of_b;
	unsigned shared = 0;

	net_address_parse(view_of(one), &a);
	net_address_parse(view_of(other), &b);
	a.port = 1; /* which matters to nobody */
	net_address_owners(&a, &of_a);
	net_address_owners(&b, &of_b);
	while (shared < NET_OWNERS &&
	       memcmp(&of_a.keys[shared], &of_b.keys[shared], sizeof of_a.keys[0]) == 0)
		shared++;
	ok(of_a.levels == NET_OWNERS && shared == want, "%s and %s share %u owners", one, other,
	   want);
}

int main(void)
{
	struct net_address a = { 0 };
	struct sockaddr_storage other = { .ss_family = AF_UNIX };
	char text[NET_ADDRESS_TEXT_MAX];

	check_addresses();
	ok(!net_address_parse((struct view){ "192.0.2.1\0x", 11 }, &a),
	   "a NUL does not end an address");
	ok(!net_address_from_sockaddr((struct sockaddr *)&other, &a) && a.family == 0,
	   "a local socket has none");
	is_string(net_address_text(&a, text), "none", "text of no address");
	for (size_t i = 0; i < sizeof ports / sizeof ports[0]; i++) {
		bool good = net_address_parse_port(view_of(ports[i].in), &a);

		ok(good == (ports[i].text != NULL) &&
		           (!good || (strcmp(net_address_text(&a, text), ports[i].text) == 0 &&
		                      a.port == ports[i].port)),
		   "host and port '%s'", ports[i].in);
	}
	for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++) {
		struct net_network n;
		bool good = net_network_parse(view_of(networks[i].network), &n);

		if (!ok(good == (networks[i].holds >= 0), "network %s", networks[i].network) ||
		    !good)
			continue;
		ok(net_address_parse(view_of(networks[i].address), &a) &&
		           net_network_holds(&n, &a) == (networks[i].holds == 1),
		   "%s in %s: %d", networks[i].address, networks[i].network, networks[i].holds);
	}
	for (size_t i = 0; i < sizeof owners / sizeof owners[0]; i++)
		check_owners(owners[i].one, owners[i].other, owners[i].shared);
	return tap_done();
}
