/* SPDX-License-Identifier: ISC */
/* porter's limits, with a clock of our own. */
#include "master/porter/limits.h"

#include "t/tap.h"

static struct net_address address(const char *text)
{
	struct net_address a = { 0 };

	net_address_parse(view_of(text), &a);
	return a;
}

static enum limit enter(struct limits *l, const char *text, int64_t now_ms)
{
	struct net_address a = address(text);

	return limits_enter(l, &a, now_ms);
}

static void leave(struct limits *l, const char *text)
{
	struct net_address a = address(text);

	limits_leave(l, &a);
}

static void test_counts(void)
{
	const struct limits_most most = { .clients = 6, .per_address = 2, .per_network = 3 };
	struct limits *l = limits_new(&most);

	ok(enter(l, "192.0.2.1", 0) == LIMIT_NONE && enter(l, "192.0.2.1", 0) == LIMIT_NONE,
	   "two from an address");
	ok(enter(l, "192.0.2.1", 0) == LIMIT_ADDRESS, "a third is one too many");
	ok(enter(l, "192.0.2.200", 0) == LIMIT_NONE, "a third from the network");
	ok(enter(l, "192.0.2.3", 0) == LIMIT_NETWORK, "a fourth is one too many");
	ok(enter(l, "192.0.3.3", 0) == LIMIT_NONE, "the next /24 is another network");
	leave(l, "192.0.2.1");
	ok(enter(l, "192.0.2.3", 0) == LIMIT_NONE, "who leaves makes room in the network");
	ok(enter(l, "192.0.2.1", 0) == LIMIT_NETWORK, "which is full again");
	ok(enter(l, "2001:db8:0:ff01::1", 0) == LIMIT_NONE &&
	           enter(l, "2001:db8:0:ff02::1", 0) == LIMIT_NONE,
	   "IPv6");
	ok(enter(l, "198.51.100.1", 0) == LIMIT_CLIENTS, "the house is full");
	leave(l, "192.0.3.3");
	ok(enter(l, "2001:db8:0:ff03::1", 0) == LIMIT_NONE, "a third from a /48");
	leave(l, "192.0.2.1");
	ok(enter(l, "2001:db8:0:ffff::1", 0) == LIMIT_NETWORK, "a fourth is one too many");
	ok(enter(l, "2001:db8:1::1", 0) == LIMIT_NONE, "the next /48 is another network");
	limits_free(&l);
	ok(l == NULL, "freed");
}

static void test_places(void)
{
	const struct limits_most most = { .clients = 2, .per_address = 2, .per_second = 3 };
	struct limits *l = limits_new(&most);

	ok(enter(l, "2001:db8:0:1::1", 0) == LIMIT_NONE &&
	           enter(l, "2001:db8:0:1::2", 0) == LIMIT_NONE &&
	           enter(l, "2001:db8:0:1:ffff::3", 0) == LIMIT_ADDRESS,
	   "the addresses of a /64 are one");
	ok(enter(l, "2001:db8:0:2::1", 0) == LIMIT_CLIENTS, "of another one: the house is full");
	leave(l, "2001:db8:0:1::1");
	struct net_address a = address("2001:db8:0:2::1");

	for (unsigned i = 0; i < most.per_second; i++) {
		ok(limits_enter_place(l, &a) == LIMIT_NONE, "room has been made: no other attempt");
		limits_leave(l, &a);
	}
	limits_free(&l);
}

static void test_rate(void)
{
	const struct limits_most most = { .per_second = 3 };
	struct limits *l = limits_new(&most);
	bool all = true;

	for (int i = 0; i < 3; i++) {
		all = all && enter(l, "192.0.2.1", 1000 + i) == LIMIT_NONE;
		leave(l, "192.0.2.1");
	}
	ok(all, "three in a second");
	ok(enter(l, "192.0.2.1", 1500) == LIMIT_RATE, "a fourth is one too many");
	ok(enter(l, "192.0.2.2", 1500) == LIMIT_NONE, "not for another address");
	ok(enter(l, "192.0.2.1", 1999) == LIMIT_RATE, "until the second is over");
	ok(enter(l, "192.0.2.1", 2000) == LIMIT_NONE, "then it may come again");
	limits_free(&l);
}

/* Many addresses come and go: what is left is small. */
static void test_memory(void)
{
	const struct limits_most most = { .per_second = 10 };
	struct limits *l = limits_new(&most);
	unsigned highest = 0;
	char text[32];

	for (int i = 0; i < 200000; i++) {
		snprintf(text, sizeof text, "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
		enter(l, text, i / 10);
		leave(l, text);
		if (limits_entries(l) > highest)
			highest = limits_entries(l);
	}
	ok(highest < 40000, "10,000 addresses a second for 20 seconds leave at most %u entries",
	   highest);
	limits_free(&l);
}

int main(void)
{
	test_counts();
	test_places();
	test_rate();
	test_memory();
	is_string(limit_name(LIMIT_CLIENTS), "porter.clients-max",
	          "limits have their settings' names");
	is_string(limit_name(LIMIT_ADDRESS), "porter.clients-per-address", "per address");
	is_string(limit_name(LIMIT_NETWORK), "porter.clients-per-network", "per network");
	is_string(limit_name(LIMIT_RATE), "porter.rate-per-second", "per second");
	return tap_done();
}
