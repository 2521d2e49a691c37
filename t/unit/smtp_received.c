/* SPDX-License-Identifier: ISC */
/* The Received line that smtpd puts before a message. */
#include "smtpd/received.h"

#include "t/tap.h"

static void received_lines(void)
{
	struct connection_tls clear = { 0 }, tls = {
		.on = true, .version = "TLSv1.3", .cipher = "AES", .bits = 256
	};
	struct received r = { .helo = "me.test",
		              .client_name = "",
		              .host = "mx.test",
		              .tls = &clear,
		              .id = "ID",
		              .recipient = "b@a.test" };
	struct text out;

	net_address_parse(VIEW("2001:db8::1"), &r.client);
	text_init(&out, 4096);
	received_write(&r, &out);
	ok(view_starts(
		   text_view(&out),
		   VIEW("Received: from me.test ([IPv6:2001:db8::1])\r\n\tby mx.test with SMTP id ID\r\n\tfor <b@a.test>;\r\n\tThu, 1 Jan 1970 ")) ||
	           view_starts(
			   text_view(&out),
			   VIEW("Received: from me.test ([IPv6:2001:db8::1])\r\n\tby mx.test with SMTP id ID\r\n\tfor <b@a.test>;\r\n\tThu, 01 Jan 1970 ")) ||
	           view_starts(
			   text_view(&out),
			   VIEW("Received: from me.test ([IPv6:2001:db8::1])\r\n\tby mx.test with SMTP id ID\r\n\tfor <b@a.test>;\r\n\tWed, 31 Dec 1969 ")),
	   "a plain Received line");
	r.extended = true;
	is_string(received_with(&r), "ESMTP", "RFC 3848: ESMTP");
	r.authenticated = true;
	is_string(received_with(&r), "ESMTPA", "ESMTPA");
	r.tls = &tls;
	is_string(received_with(&r), "ESMTPSA", "ESMTPSA");
	r.authenticated = false;
	is_string(received_with(&r), "ESMTPS", "ESMTPS");
	r.client_name = "c.test";
	text_clear(&out);
	received_write(&r, &out);
	ok(view_starts(text_view(&out),
	               VIEW("Received: from me.test (c.test [IPv6:2001:db8::1])\r\n")),
	   "with the client's name");
	r.client_name = "";
	r.helo = "evil) by x; \"(\\\x01\xff";
	r.recipient = "";
	text_clear(&out);
	received_write(&r, &out);
	ok(view_starts(
		   text_view(&out),
		   VIEW("Received: from evil??by?x??????? ([IPv6:2001:db8::1])\r\n\tby mx.test with ESMTPS id ID\r\n\t(TLSv1.3 AES 256 bits);\r\n\t")),
	   "what a client calls itself cannot break the line: %s", out.raw);
	text_free(&out);
}

int main(void)
{
	received_lines();
	return tap_done();
}
