/* SPDX-License-Identifier: ISC */
/* The "connection" messages: there and back, cut at every byte, wrong values and wrong
 * descriptors. */
#include "lib/wire/connection.h"

#include <sys/socket.h>
#include <unistd.h>

#include "t/said.h"
#include "t/torn.h"

static struct wire_in in_of(struct view packet)
{
	return (struct wire_in){ .type = (unsigned char)packet.data[0],
		                 .rest = view_skip(packet, 1) };
}

static const struct connection_tls sample_tls = { true, "TLSv1.3", "TLS_AES_256_GCM_SHA384", 256,
	                                          "mx.example.test" };

static void test_announce(void)
{
	struct connection_announce a = { CONNECTION_IMAP,
		                         0,
		                         100,
		                         "* OK hello\r\n",
		                         "* OK hello, secured\r\n",
		                         "* BYE busy\r\n",
		                         "* BYE timeout\r\n",
		                         "* BYE unavailable\r\n",
		                         "* BYE stopping\r\n",
		                         "* BYE early\r\n" },
				   b;
	struct wire_out out = { 0 };
	bool refused = true;

	int made[2];

	wire_pair(made);
	connection_announce_put(&out, &a, made[0]);
	struct view whole = text_view(&out.bytes);
	struct wire_in in = in_of(whole);

	in.fds[in.fd_count++] = dup(made[0]);
	ok(connection_announce_get(&in, &b) && b.service == a.service,
	   "an announcement comes back");
	ok(b.parent == getpid() && b.reuse == a.reuse, "with who made it");
	is_string(b.clear, a.clear, "its greeting");
	is_string(b.secured, a.secured, "its greeting with TLS");
	is_string(b.busy, a.busy, "its refusal");
	is_string(b.timeout, a.timeout, "its word to who says nothing");
	is_string(b.unavailable, a.unavailable, "to whom nobody serves");
	is_string(b.stopping, a.stopping, "at a stop");
	is_string(b.early, a.early, "and to who speaks too early");
	for (size_t n = 1; n < whole.len; n++) {
		in = in_of(view_take(whole, n));
		in.fds[in.fd_count++] = dup(made[0]);
		refused = refused && !connection_announce_get(&in, &b);
		wire_in_close(&in);
	}
	ok(refused, "cut at every byte it is refused");
	out.bytes.raw[1] = CONNECTION_SERVICES;
	in = in_of(whole);
	in.fds[in.fd_count++] = dup(made[0]);
	ok(!connection_announce_get(&in, &b), "a service that there is not is refused");
	wire_out_free(&out);
}

static void test_client(void)
{
	struct connection c = { .id = 77,
		                .service = CONNECTION_POP3,
		                .tls = sample_tls,
		                .tls_offered = true,
		                .fd = 5,
		                .token = 6 },
			  d;
	struct wire_out out = { 0 };
	bool refused = true;

	net_address_parse_port(VIEW("192.0.2.1:4711"), &c.client);
	net_address_parse_port(VIEW("[2001:db8::1]:995"), &c.local);
	connection_put(&out, &c);
	struct view whole = text_view(&out.bytes);
	struct wire_in in = in_of(whole);

	in.fds[0] = 50, in.fds[1] = 51, in.fd_count = 2;
	ok(connection_get(&in, &d) && d.id == 77 && d.service == CONNECTION_POP3 && d.tls_offered,
	   "a client comes back");
	ok(d.fd == 50 && d.token == 51, "with socket and token");
	ok(net_address_equal(&d.client, &c.client) && d.client.port == 4711 && d.local.port == 995,
	   "with addresses");
	is_string(d.tls.cipher, sample_tls.cipher, "with the facts of TLS");
	for (size_t n = 1; n < whole.len; n++) {
		in = in_of(view_take(whole, n));
		in.fds[0] = 50, in.fds[1] = 51, in.fd_count = 2;
		refused = refused && !connection_get(&in, &d) && in.fds_taken == 0;
	}
	ok(refused, "cut at every byte it is refused and no descriptor is taken");
	in = in_of(whole);
	in.fds[0] = 50, in.fd_count = 1;
	ok(!connection_get(&in, &d) && in.fds_taken == 0 && d.fd == -1,
	   "without the promised token it is refused");
	c.token = -1;
	connection_put(&out, &c);
	in = in_of(text_view(&out.bytes));
	in.fds[0] = 50, in.fds[1] = 51, in.fd_count = 2;
	ok(!connection_get(&in, &d), "with one descriptor too many it is refused");
	wire_out_free(&out);
}

/* Plays porter's part with the answer already on the line. */
static void answer(int hub, unsigned char type, int relay)
{
	struct wire_out out = { 0 };

	connection_secured_put(&out, &sample_tls, relay);
	if (relay < 0)
		out.fd_count = 0;
	if (type != CONNECTION_SECURED)
		wire_begin(&out, type);
	wire_send(hub, &out);
	wire_out_free(&out);
}

static bool get_secured(struct wire_in *in)
{
	struct connection_tls tls;
	int fd;

	return connection_secured_get(in, &tls, &fd) && fd == 0 &&
	       strcmp(tls.cipher, sample_tls.cipher) == 0;
}

static void test_secured(void)
{
	struct connection_tls clear = sample_tls;
	struct wire_out out = { 0 };

	connection_secured_put(&out, &sample_tls, 0);
	torn("news of TLS", &out, get_secured);
	clear.on = false;
	connection_secured_put(&out, &clear, 0);
	struct wire_in in = { .type = CONNECTION_SECURED,
		              .rest = view_skip(text_view(&out.bytes), 1),
		              .fd_count = 1 };

	ok(!get_secured(&in) && in.fds_taken == 0, "news of TLS that is off are refused");
	wire_out_free(&out);
}

static void test_starttls(void)
{
	struct connection_tls tls;
	struct wire_in in;
	int line[2], client[2], relay[2];

	if (wire_pair(line) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, client) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, relay) < 0)
		return;
	int fd = client[0];

	answer(line[1], CONNECTION_SECURED, relay[0]);
	ok(connection_starttls(line[0], &fd, &tls) && fd >= 0 && tls.on,
	   "STARTTLS gives the relay's end");
	ok(wire_receive(line[1], &in) == WIRE_OK && in.type == CONNECTION_STARTTLS &&
	           in.fd_count == 1,
	   "and porter was given the socket");
	wire_in_close(&in);
	char byte;

	ok(recv(client[1], &byte, 1, MSG_DONTWAIT) == 0, "nobody else holds the old socket");
	said_begin();
	said_here();
	answer(line[1], CONNECTION_NOT_SECURED, -1);
	ok(!connection_starttls(line[0], &fd, &tls) && fd == -1 && !tls.on,
	   "a failed handshake leaves no descriptor");
	ok(!said("starttls-lost"), "of which porter has told the log");
	said_begin();
	said_here();
	fd = dup(relay[0]);
	answer(line[1], CONNECTION_SECURED, -1);
	ok(!connection_starttls(line[0], &fd, &tls) && fd == -1,
	   "an answer without a descriptor is a failure");
	ok(said("event=starttls-lost reason=\"invalid response\""), "that the log is told of");
	said_begin();
	said_here();
	fd = dup(relay[0]);
	close(line[1]);
	ok(!connection_starttls(line[0], &fd, &tls) && fd == -1, "porter gone is a failure");
	ok(said("event=starttls-lost reason=\"connection closed\""), "and so is that");
}

int main(void)
{
	test_announce();
	test_client();
	test_secured();
	test_starttls();
	is_string(connection_service_name(CONNECTION_SUBMISSION), "submission",
	          "services have names");
	return tap_done();
}
