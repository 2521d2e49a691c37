/* SPDX-License-Identifier: ISC */
#include "lib/mail/mailaddress.h"

#include "lib/base/utf8.h"
#include "t/tap.h"

#define L64 "0123456789012345678901234567890123456789012345678901234567890123"
#define L63 "012345678901234567890123456789012345678901234567890123456789012"

#define L250 L64 L64 L64 "0123456789012345678901234567890123456789012345678901234567"

enum { ALL = MAILADDRESS_NULL | MAILADDRESS_POSTMASTER };

static const struct {
	const char *in;
	unsigned flags;
	enum mailaddress_result result;
	const char *text, *domain, *rest;
} paths[] = {
	{ "<joe@example.test>", 0, MAILADDRESS_OK, "joe@example.test", "example.test", "" },
	{ "<Joe@EXAMPLE.Test> SIZE=1", 0, MAILADDRESS_OK, "Joe@example.test", "example.test",
	  " SIZE=1" },
	{ " \t<joe@a.test>\tX", 0, MAILADDRESS_OK, "joe@a.test", "a.test", "\tX" },
	{ "<>", MAILADDRESS_NULL, MAILADDRESS_OK, "", "", "" },
	{ "<> BODY=8BITMIME", ALL, MAILADDRESS_OK, "", "", " BODY=8BITMIME" },
	{ "<>", 0, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<PostMaster>", ALL, MAILADDRESS_OK, "PostMaster", "", "" },
	{ "<postmaster>", 0, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<root>", ALL, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<root>", MAILADDRESS_NO_DOMAIN, MAILADDRESS_OK, "root", "", "" },
	{ "<postmaster@>", ALL, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<\"joe\"@a.test>", 0, MAILADDRESS_OK, "joe@a.test", "a.test", "" },
	{ "<\"j.o\\e\"@a.test>", 0, MAILADDRESS_OK, "j.oe@a.test", "a.test", "" },
	{ "<\"joe doe\"@a.test>", 0, MAILADDRESS_OK, "\"joe doe\"@a.test", "a.test", "" },
	{ "<\"a\\ b>@\\\"\\\\\"@a.test>", 0, MAILADDRESS_OK, "\"a b>@\\\"\\\\\"@a.test", "a.test",
	  "" },
	{ "<\"\"@a.test>", 0, MAILADDRESS_OK, "\"\"@a.test", "a.test", "" },
	{ "<\".a\"@a.test>", 0, MAILADDRESS_OK, "\".a\"@a.test", "a.test", "" },
	{ "<a!#$%&'*+-/=?^_`{|}~b@a.test>", 0, MAILADDRESS_OK, "a!#$%&'*+-/=?^_`{|}~b@a.test",
	  "a.test", "" },
	{ "<joe@[192.0.2.1]>", 0, MAILADDRESS_OK, "joe@[192.0.2.1]", "[192.0.2.1]", "" },
	{ "<joe@[ipv6:2001:DB8:0::1]>", 0, MAILADDRESS_OK, "joe@[IPv6:2001:db8::1]",
	  "[IPv6:2001:db8::1]", "" },
	{ "<joe@[192.0.2.300]>", 0, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<joe@[192.0.2.1>", 0, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<@x.test,@y.test:joe@a.test>", 0, MAILADDRESS_OK, "joe@a.test", "a.test", "" },
	{ "<@[192.0.2.1]:joe@a.test>", 0, MAILADDRESS_OK, "joe@a.test", "a.test", "" },
	{ "<@x.test joe@a.test>", 0, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<@x.test,:joe@a.test>", 0, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<@:joe@a.test>", 0, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<@x.test:>", ALL, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<@x.test:@y.test:a@b>", ALL, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "joe@a.test", 0, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "joe@a.test X", MAILADDRESS_NO_BRACKETS, MAILADDRESS_OK, "joe@a.test", "a.test", " X" },
	{ "joe@a.test>", MAILADDRESS_NO_BRACKETS, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<joe@a.test", 0, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<joe@a.test>x", 0, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<joe@a.test >", 0, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<joe doe@a.test>", 0, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<.joe@a.test>", 0, MAILADDRESS_OK, ".joe@a.test", "a.test", "" },
	{ "<joe.@a.test>", 0, MAILADDRESS_OK, "joe.@a.test", "a.test", "" },
	{ "<j..oe@a.test>", 0, MAILADDRESS_OK, "j..oe@a.test", "a.test", "" },
	{ "<\"j..oe\"@a.test>", 0, MAILADDRESS_OK, "\"j..oe\"@a.test", "a.test", "" },
	{ "<\".\"@a.test>", 0, MAILADDRESS_OK, "\".\"@a.test", "a.test", "" },
	{ "<@a.test>", 0, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<joe@a..test>", 0, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<joe@a.test.>", 0, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<joe@.test>", 0, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<joe@-a.test>", 0, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<joe@a-.test>", 0, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<joe@a_b.test>", 0, MAILADDRESS_OK, "joe@a_b.test", "a_b.test", "" },
	{ "<joe@a.test@b.test>", 0, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<\"joe@a.test>", 0, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<\"joe\\", 0, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<\"j\toe\"@a.test>", 0, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<\"j\roe\"@a.test>", 0, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<", ALL, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "", ALL, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<j\xc3\xb6@a.test>", 0, MAILADDRESS_NOT_ASCII, NULL, NULL, NULL },
	{ "<joe@\xc3\xb6.test>", 0, MAILADDRESS_NOT_ASCII, NULL, NULL, NULL },
	{ "<\"j\xc3\xb6\"@a.test>", 0, MAILADDRESS_NOT_ASCII, NULL, NULL, NULL },
	{ "<\"j\xc3\xb6\"@\xc3\xb6.test>", MAILADDRESS_UTF8, MAILADDRESS_OK,
	  "j\xc3\xb6@\xc3\xb6.test", "\xc3\xb6.test", "" },
	{ "<j\xc3@a.test>", MAILADDRESS_UTF8, MAILADDRESS_SYNTAX, NULL, NULL, NULL },
	{ "<" L64 "@a.test>", 0, MAILADDRESS_OK, L64 "@a.test", "a.test", "" },
	{ "<user+caf_=" L64 "=host@a.test>", 0, MAILADDRESS_OK, "user+caf_=" L64 "=host@a.test",
	  "a.test", "" },
	{ "<" L250 "@b.t>", 0, MAILADDRESS_OK, L250 "@b.t", "b.t", "" },
	{ "<" L250 "@bb.t>", 0, MAILADDRESS_TOO_LONG, NULL, NULL, NULL },
	{ "<" L250 "@[192.0.2.1]>", 0, MAILADDRESS_TOO_LONG, NULL, NULL, NULL },
	{ "<" L250 "x@b.t>", 0, MAILADDRESS_LOCAL_TOO_LONG, NULL, NULL, NULL },
	{ "<\"" L250 " \"@b.t>", 0, MAILADDRESS_LOCAL_TOO_LONG, NULL, NULL, NULL },
	{ "<a@" L63 ".test>", 0, MAILADDRESS_OK, "a@" L63 ".test", L63 ".test", "" },
	{ "<a@" L64 ".test>", 0, MAILADDRESS_DOMAIN_TOO_LONG, NULL, NULL, NULL },
	{ "<a@" L63 "." L63 "." L63 "." L63 ".test>", 0, MAILADDRESS_DOMAIN_TOO_LONG, NULL, NULL,
	  NULL },
	/* 1 + 1 + 252 = 254, and one more */
	{ "<a@" L63 "." L63 "." L63
	  ".012345678901234567890123456789012345678901234567890123456789>",
	  0, MAILADDRESS_OK,
	  "a@" L63 "." L63 "." L63 ".012345678901234567890123456789012345678901234567890123456789",
	  L63 "." L63 "." L63 ".012345678901234567890123456789012345678901234567890123456789", "" },
	{ "<ab@" L63 "." L63 "." L63
	  ".012345678901234567890123456789012345678901234567890123456789>",
	  0, MAILADDRESS_TOO_LONG, NULL, NULL, NULL },
};

static const struct {
	const char *local, *domain;
	enum mailaddress_result result;
	const char *text;
} joined[] = {
	{ "joe", "A.test", MAILADDRESS_OK, "joe@a.test" },
	{ "joe doe", "a.test", MAILADDRESS_OK, "\"joe doe\"@a.test" },
	{ "a\"b", "a.test", MAILADDRESS_OK, "\"a\\\"b\"@a.test" },
	{ "j..oe.", "a.test", MAILADDRESS_OK, "j..oe.@a.test" },
	{ "", "a.test", MAILADDRESS_SYNTAX, NULL },
	{ "joe", "", MAILADDRESS_SYNTAX, NULL },
	{ "j\noe", "a.test", MAILADDRESS_SYNTAX, NULL },
	{ "j\xc3\xb6", "a.test", MAILADDRESS_NOT_ASCII, NULL },
};

static void check_path(size_t i)
{
	struct mailaddress a, again;
	struct view rest = view_of(paths[i].in);
	enum mailaddress_result result = mailaddress_path(&rest, paths[i].flags, &a);

	if (!ok(result == paths[i].result, "%s", paths[i].in)) {
		printf("# result %d, %s\n", result, mailaddress_explain(result));
		return;
	}
	if (result != MAILADDRESS_OK)
		return;
	is_string(a.text, paths[i].text, "its normal form");
	ok(strlen(a.text) == a.len && a.len <= MAILADDRESS_MAX &&
	           a.ascii == utf8_is_ascii(view_of(a.text)),
	   "its length and kind");
	ok(view_equal(mailaddress_domain(&a), view_of(paths[i].domain)), "its domain");
	ok(view_equal(rest, view_of(paths[i].rest)), "what is left");
	if (a.len > 0)
		ok(mailaddress_parse(mailaddress_view(&a), paths[i].flags, &again) ==
		                   MAILADDRESS_OK &&
		           view_equal(mailaddress_view(&a), mailaddress_view(&again)) &&
		           a.literal == again.literal && a.local_len == again.local_len,
		   "the normal form is its own normal form");
}

int main(void)
{
	struct mailaddress a;

	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
		check_path(i);
	for (size_t i = 0; i < sizeof joined / sizeof joined[0]; i++) {
		enum mailaddress_result result = mailaddress_join(view_of(joined[i].local),
		                                                  view_of(joined[i].domain), 0, &a);

		ok(result == joined[i].result &&
		           (result != MAILADDRESS_OK || strcmp(a.text, joined[i].text) == 0),
		   "join %zu", i);
	}
	struct view nul = VIEW("<j\0oe@a.test>");

	ok(mailaddress_path(&nul, 0, &a) == MAILADDRESS_SYNTAX, "a NUL is refused");
	ok(mailaddress_parse(VIEW("joe@a.test "), 0, &a) == MAILADDRESS_SYNTAX,
	   "a mailbox is the whole view");
	return tap_done();
}
