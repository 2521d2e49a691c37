/* SPDX-License-Identifier: ISC */
/* PROXY headers: a table of cases, each also cut at every byte. */
#include "master/porter/proxy.h"

#include "lib/net/networks.h"
#include "t/tap.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define TCP4      "\xc0\x00\x02\x07\xc6\x33\x64\x01\x12\x67\x00\x19"
#define TCP6 \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\x12\x67\x00\x19"

static const struct {
	const char *name;
	struct view bytes;
	enum proxy_result result;
	const char *client; /* NULL: not proxied */
} cases[] = {
#define CASE(name, bytes, result, client)                         \
	{                                                         \
		name, { bytes, sizeof bytes - 1 }, result, client \
	}
	CASE("v1 IPv4", "PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n", PROXY_DONE, "192.0.2.7"),
	CASE("v1 IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 4711 25\r\n", PROXY_DONE,
	     "2001:db8::1"),
	CASE("v1 mapped", "PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 4711 25\r\n", PROXY_DONE,
	     "192.0.2.7"),
	CASE("v1 unknown", "PROXY UNKNOWN\r\n", PROXY_DONE, NULL),
	CASE("v1 unknown with more", "PROXY UNKNOWN ffff:f...f:ffff x y z\r\n", PROXY_DONE, NULL),
	CASE("v1 without port", "PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n", PROXY_BAD, NULL),
	CASE("v1 with a large port", "PROXY TCP4 192.0.2.7 198.51.100.1 65536 25\r\n", PROXY_BAD,
	     NULL),
	CASE("v1 IPv6 in TCP4", "PROXY TCP4 2001:db8::1 2001:db8::2 4711 25\r\n", PROXY_BAD, NULL),
	CASE("v1 with a bare LF", "PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\n", PROXY_BAD, NULL),
	CASE("v1 with a name", "PROXY TCP4 localhost 198.51.100.1 4711 25\r\n", PROXY_BAD, NULL),
	CASE("v1 other family", "PROXY UDP4 192.0.2.7 198.51.100.1 4711 25\r\n", PROXY_BAD, NULL),
	CASE("v1 too long",
	     "PROXY UNKNOWN 0123456789012345678901234567890123456789012345678901234567890123456789"
	     "01234567890123456789012345678901234567890123456789\r\n",
	     PROXY_BAD, NULL),
	CASE("v2 IPv4", SIGNATURE "\x21\x11\0\x0c" TCP4, PROXY_DONE, "192.0.2.7"),
	CASE("v2 IPv6", SIGNATURE "\x21\x21\0\x24" TCP6, PROXY_DONE, "2001:db8::1"),
	CASE("v2 with TLVs", SIGNATURE "\x21\x11\0\x11" TCP4 "\x04\0\x02hi", PROXY_DONE,
	     "192.0.2.7"),
	CASE("v2 health check", SIGNATURE "\x20\0\0\0", PROXY_DONE, NULL),
	CASE("v2 unknown family", SIGNATURE "\x21\0\0\x03xyz", PROXY_DONE, NULL),
	CASE("v2 too short for its family", SIGNATURE "\x21\x11\0\x0b" TCP4, PROXY_BAD, NULL),
	CASE("v2 other version", SIGNATURE "\x31\x11\0\x0c" TCP4, PROXY_BAD, NULL),
	CASE("v2 other command", SIGNATURE "\x22\x11\0\x0c" TCP4, PROXY_BAD, NULL),
	CASE("v2 over the limit", SIGNATURE "\x21\x11\x40\x0c" TCP4, PROXY_BAD, NULL),
	CASE("an SMTP client", "EHLO x\r\n", PROXY_BAD, NULL),
	CASE("a TLS client", "\x16\x03\x01", PROXY_BAD, NULL),
};

static void test_case(size_t i)
{
	char text[NET_ADDRESS_TEXT_MAX];
	struct proxy p;

	ok(proxy_parse(cases[i].bytes, &p) == cases[i].result, "%s", cases[i].name);
	if (cases[i].result != PROXY_DONE)
		return;
	ok(p.used == cases[i].bytes.len, "%s: all bytes are the header's", cases[i].name);
	ok(p.proxied == (cases[i].client != NULL), "%s: %s", cases[i].name,
	   p.proxied ? "proxied" : "not proxied");
	if (p.proxied) {
		is_string(net_address_text(&p.client, text), cases[i].client, "%s: the client",
		          cases[i].name);
		ok(p.client.port == 4711 && p.local.port == 25, "%s: the ports", cases[i].name);
	}
	size_t more = 0;

	for (size_t n = 0; n < cases[i].bytes.len; n++)
		more += proxy_parse(view_take(cases[i].bytes, n), &p) == PROXY_MORE;
	ok(more == cases[i].bytes.len, "%s: cut anywhere it wants more", cases[i].name);
}

static bool holds(const struct networks *networks, const char *text)
{
	struct net_address a;

	return net_address_parse(view_of(text), &a) && networks_hold(networks, &a);
}

static void test_networks(void)
{
	struct networks networks;
	struct reason why;
	struct text many;

	ok(networks_parse(VIEW("192.0.2.7,, 2001:db8::/64 ,"), &networks, &why) == 0 &&
	           networks.count == 2,
	   "networks of balancers");
	ok(holds(&networks, "192.0.2.7") && holds(&networks, "2001:db8::9"), "hold theirs");
	ok(!holds(&networks, "192.0.2.8") && !holds(&networks, "2001:db8:1::9"), "and no others");
	ok(networks_parse(VIEW(""), &networks, &why) == 0 && !holds(&networks, "192.0.2.7"),
	   "none is none");
	ok(networks_parse(VIEW("192.0.2.7/24"), &networks, &why) < 0, "host bits are refused");
	is_string(
		why.text,
		"\"192.0.2.7/24\" is not an address or a network without host bits such as 192.0.2.0/24",
		"in words");
	text_init(&many, 65536);
	for (int i = 0; i <= NETWORKS_MAX; i++)
		text_add_string(&many, "192.0.2.7,");
	ok(networks_parse(text_view(&many), &networks, &why) < 0, "one too many is refused");
	text_free(&many);
}

int main(void)
{
	struct proxy p;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		test_case(i);
	ok(proxy_parse(VIEW("PROXY UNKNOWN\r\nEHLO x\r\n"), &p) == PROXY_DONE && p.used == 15,
	   "what follows is not the header's");
	test_networks();
	return tap_done();
}
