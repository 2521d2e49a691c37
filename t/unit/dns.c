/* SPDX-License-Identifier: ISC */
/* dnsd: the messages torn at every byte, and packets from name servers, whole, torn and hostile. */
#include "lib/wire/dns.h"

#include <arpa/nameser.h>

#include "master/dnsd/lookup.h"
#include "master/dnsd/route.h"
#include "t/said.h"
#include "t/tap.h"

static struct wire_in in_of(struct view packet)
{
	return (struct wire_in){ .type = (unsigned char)packet.data[0],
		                 .rest = view_skip(packet, 1) };
}

static void test_answer(void)
{
	static struct dns_answer a = { .result = DNS_FOUND,
		                       .text = "x",
		                       .ttl_s = 77,
		                       .host_count = 2 },
				 b;
	struct wire_out out = { 0 };
	bool refused = true;

	a.hosts[0] = (struct dns_host){ .preference = 10,
		                        .name = "mx.example.test",
		                        .address_count = 1 };
	net_address_parse(VIEW("192.0.2.1"), &a.hosts[0].addresses[0]);
	a.hosts[1] = (struct dns_host){ .preference = 20,
		                        .name = "mx6.example.test",
		                        .address_count = 1 };
	net_address_parse(VIEW("2001:db8::1"), &a.hosts[1].addresses[0]);
	a.hosts[1].later = true;
	dns_answer_put(&out, &a);
	struct view whole = text_view(&out.bytes);
	struct wire_in in = in_of(whole);

	ok(dns_answer_get(&in, &b) && b.host_count == 2 && b.ttl_s == 77 &&
	           strcmp(b.hosts[1].name, "mx6.example.test") == 0 && b.hosts[1].later &&
	           !b.hosts[0].later &&
	           net_address_equal(&a.hosts[1].addresses[0], &b.hosts[1].addresses[0]),
	   "an answer comes back");
	for (size_t n = 1; n < whole.len; n++) {
		in = in_of(view_take(whole, n));
		refused = refused && !dns_answer_get(&in, &b);
	}
	ok(refused, "torn at any byte it is refused");
	wire_out_free(&out);
}

static void test_question(void)
{
	struct wire_out out = { 0 };
	char name[DNS_NAME_MAX];
	enum dns_type type;

	dns_question_put(&out, DNS_ROUTE, "example.test");
	struct wire_in in = in_of(text_view(&out.bytes));

	ok(dns_question_get(&in, &type, name) && type == DNS_ROUTE &&
	           strcmp(name, "example.test") == 0,
	   "a question comes back");
	dns_question_put(&out, DNS_ROUTE, "");
	in = in_of(text_view(&out.bytes));
	ok(!dns_question_get(&in, &type, name), "a question about nothing is refused");
	wire_out_free(&out);
}

/* example.test MX: 20 mx2 and 10 mx1 (compressed names), ttl 300 and 60. */
static const unsigned char mx_packet[] = {
	0,    1,   0x81, 0x80, 0,   1,   0,    2,   0, 0,   0,   0, /* header */
	7,    'e', 'x',  'a',  'm', 'p', 'l',  'e', 4, 't', 'e', 's',
	't',  0,   0,    15,   0,   1, /* question at 12 */
	0xc0, 12,  0,    15,   0,   1,   0,    0,   1, 44,  0,   8,
	0,    20,  3,    'm',  'x', '2', 0xc0, 12, /* ttl 300 */
	0xc0, 12,  0,    15,   0,   1,   0,    0,   0, 60,  0,   8,
	0,    10,  3,    'm',  'x', '1', 0xc0, 12, /* ttl 60 */
};

static void test_packet(void)
{
	static struct lookup_records r;
	unsigned char torn[sizeof mx_packet];
	bool safe = true;

	ok(lookup_parse(mx_packet, sizeof mx_packet, ns_t_mx, &r) && r.count == 2 && r.ttl_s == 60,
	   "two records, the shorter lifetime");
	is_string(r.rows[0].name, "mx2.example.test", "a compressed name");
	ok(r.rows[1].preference == 10, "its preference");
	ok(lookup_parse(mx_packet, sizeof mx_packet, ns_t_a, &r) && r.count == 0,
	   "no record of another type");
	for (size_t n = 0; n < sizeof mx_packet; n++)
		safe = safe && !lookup_parse(mx_packet, n, ns_t_mx, &r);
	ok(safe, "torn at any byte it is broken");
	for (size_t n = 0; n < sizeof torn; n++)
		for (int bit = 0; bit < 8; bit++) {
			memcpy(torn, mx_packet, sizeof torn);
			torn[n] ^= (unsigned char)(1 << bit);
			lookup_parse(torn, sizeof torn, ns_t_mx, &r);
			safe = safe && r.count <= 64;
		}
	ok(safe, "every single bit may be wrong");
	memcpy(torn, mx_packet, sizeof torn);
	torn[30] = 0xc0;
	torn[31] = 30;
	ok(!lookup_parse(torn, sizeof torn, ns_t_mx, &r), "a name that points at itself is broken");
}

static void test_route(void)
{
	static struct dns_answer route, fault = { .result = DNS_OWN_FAULT, .ttl_s = 50 },
					none = { .result = DNS_NO_HOST, .ttl_s = 40 },
					found = { .host_count = 1, .ttl_s = 20 };

	found.hosts[0].address_count = 1;
	route = (struct dns_answer){ .host_count = 2, .ttl_s = 60 };
	string_put(route.hosts[0].name, DNS_NAME_MAX, VIEW("worse"));
	string_put(route.hosts[1].name, DNS_NAME_MAX, VIEW("better"));
	route.hosts[0].preference = 300;
	route.hosts[1].preference = 5;
	route_begin(&route);
	is_string(route.hosts[0].name, "better", "a route is in the order of preference");
	route_conclude(&route, "example.test", false);
	ok(route.result == DNS_LATER, "of which nothing is known, it is for later");
	route_take(&route, 0, &none);
	route_take(&route, 1, &fault);
	route_conclude(&route, "example.test", true);
	ok(route.result == DNS_OWN_FAULT && route.hosts[1].later && !route.hosts[0].later,
	   "or a fault of ours, when that is why");
	route = (struct dns_answer){ .host_count = 2, .ttl_s = 60 };
	route_begin(&route);
	route_take(&route, 0, &none);
	route_take(&route, 1, &none);
	route_conclude(&route, "example.test", false);
	ok(route.result == DNS_NO_HOST, "when none has an address, it leads nowhere");
	route = (struct dns_answer){ .host_count = 2, .ttl_s = 60 };
	route_begin(&route);
	route_take(&route, 1, &found);
	route_conclude(&route, "example.test", false);
	ok(route.result == DNS_FOUND && route.ttl_s == 20 && route.hosts[0].later &&
	           route.hosts[1].address_count == 1,
	   "one address is enough, and what is not known is told");
}

static void test_ask(void)
{
	static struct dns_answer a = { .result = DNS_NO_HOST }, b;
	struct wire_out out = { 0 };
	int ends[2], line;

	wire_pair(ends);
	line = ends[0];
	dns_answer_put(&out, &a);
	wire_send(ends[1], &out);
	wire_begin(&out, DNS_NAME);
	wire_send(ends[1], &out);
	wire_out_free(&out);
	ok(dns_ask(&line, DNS_NAME, "192.0.2.1", &b, 60000) == 0 && b.result == DNS_NO_HOST &&
	           line == ends[0],
	   "an answer leaves the line for the next question");
	said_begin();
	said_here();
	ok(dns_ask(&line, DNS_NAME, "192.0.2.1", &b, 60000) == -1 && line == -1,
	   "nonsense is no answer, and ends it");
	ok(said("event=dns-lost name=192.0.2.1 reason=\"invalid response\""), "and the log knows");
	wire_pair(ends);
	line = ends[0];
	said_begin();
	said_here();
	ok(dns_ask(&line, DNS_NAME, "192.0.2.1", &b, 1) == -1 && line == -1, "nor is silence");
	ok(said("event=dns-lost name=192.0.2.1 reason=\"timeout\""), "which has its own word");
}

int main(void)
{
	test_answer();
	test_question();
	test_packet();
	test_route();
	test_ask();
	return tap_done();
}
