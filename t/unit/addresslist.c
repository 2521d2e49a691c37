/* SPDX-License-Identifier: ISC */
#include "lib/mail/addresslist.h"

#include <stdlib.h>

#include "lib/mail/imapenvelope.h"
#include "t/tap.h"

/* name|route|mailbox|host; "~" is NULL; groups as {name ... } */
static const struct {
	const char *in, *out;
} lists[] = {
	{ "", "" },
	{ " \r\n\t", "" },
	{ ",, ,", "" },
	{ "joe@a.test", "(~|~|joe|a.test)" },
	{ "joe", "(~|~|joe|)" },
	{ "Joe Doe <joe@a.test>", "(Joe Doe|~|joe|a.test)" },
	{ "\"Doe, Joe\" <joe@a.test>, b@c.test", "(Doe, Joe|~|joe|a.test)(~|~|b|c.test)" },
	{ "\"a \\\"q\\\" b\"\r\n <joe@a.test>", "(a \"q\" b|~|joe|a.test)" },
	{ "John Q. Public <jqp@a.test>", "(John Q. Public|~|jqp|a.test)" },
	{ "joe@a.test (Joe Doe)", "(Joe Doe|~|joe|a.test)" },
	{ "(before) joe (in) @ (x) a . test (Joe (nested) \\) Doe)",
	  "(Joe (nested) ) Doe|~|joe|a.test)" },
	{ "=?utf-8?Q?J=C3=B6?= <j@a.test>", "(=?utf-8?Q?J=C3=B6?=|~|j|a.test)" },
	{ "<@x.test, @y.test:joe@a.test>", "(~|@x.test,@y.test|joe|a.test)" },
	{ "\"joe doe\"@a.test", "(~|~|joe doe|a.test)" },
	{ "j . doe @ a . test", "(~|~|j.doe|a.test)" },
	{ "joe@[192.0.2.1]", "(~|~|joe|[192.0.2.1])" },
	{ "A Group: joe@a.test, B <b@c.test>; d@e.test",
	  "{A Group:(~|~|joe|a.test)(B|~|b|c.test)}(~|~|d|e.test)" },
	{ "undisclosed-recipients:;", "{undisclosed-recipients:}" },
	{ "undisclosed-recipients:", "{undisclosed-recipients:}" },
	{ "a:b:c@d;", "{a:(~|~|c|d)}" },
	{ ":;", "{:}" },
	{ ";a@b;c@d", "(~|~|a|b)(~|~|c|d)" },
	{ "Foo@Bar <x@y.test>", "(Foo@Bar|~|x|y.test)" },
	{ "Foo, Bar <x@y.test>", "(~|~|Foo|)(Bar|~|x|y.test)" },
	{ "<a@b.test, c@d.test", "(~|~|a|b.test)(~|~|c|d.test)" },
	/* No comma: what is read is written there, and marked with '!'. */
	{ "a@b.test c@d.test", "!(~|~|a|b.test)!(~|~|c|d.test)" },
	{ "<a@b.test> <c@d.test>,e@f", "!(~|~|a|b.test)!(~|~|c|d.test)(~|~|e|f)" },
	{ "\"A\" <a@b.test> \"C\" <c@d.test>", "!(A|~|a|b.test)!(C|~|c|d.test)" },
	{ "\"A\" a@b.test", "!(~|~|a|b.test)" },
	{ "\"A.\" a@b.test", "!(~|~|a|b.test)" },
	{ "\"A\"a@b.test", "!(~|~|a|b.test)" },
	{ "John Doe john@b.test", "!(~|~|john|b.test)" },
	{ "John Q. jq@b.test", "!(~|~|jq|b.test)" },
	{ "a@b.test some words", "!(~|~|a|b.test)" },
	{ "a@b.test [mailto:a@b.test]", "!(~|~|a|b.test)" },
	{ "joe doe", "!(~|~|joe doe|)" },
	{ "joe. doe", "(~|~|joe.doe|)" },
	{ "a@b@c", "!(~|~|a|b)" },
	{ "\"a\".\"b\".c@d", "(~|~|a.b.c|d)" },
	{ "a@b.test> , c@d", "(~|~|a|b.test)(~|~|c|d)" },
	{ "Joe <>", "(Joe|~||)" },
	{ "<>", "" },
	{ "<joe>", "(~|~|joe|)" },
	{ "<joe@>", "(~|~|joe|)" },
	{ "@a.test", "(~|~||a.test)" },
	{ "\"open", "(~|~|open|)" },
	{ "(open", "" },
	{ "a@[open", "(~|~|a|[open)" },
	{ "J\xf6rg <j@a.test>", "(J\xf6rg|~|j|a.test)" },
	{ "'a@b.test' <a@b.test>", "('a@b.test'|~|a|b.test)" },
	{ "a@b.test <a@b.test> (x)", "(a@b.test|~|a|b.test)" },
	{ "[list] Name <a@b>", "([list] Name|~|a|b)" },
	{ "a\\b@c", "(~|~|a\\b|c)" },
};

static void show(struct text *to, struct view v)
{
	text_add(to, v.data ? v : VIEW("~"));
}

static void show_list(struct text *to, const struct listed_address *a)
{
	for (; a; a = a->next) {
		if (a->kind == LISTED_GROUP_END) {
			text_add(to, VIEW("}"));
			continue;
		}
		if (a->loose)
			text_add_byte(to, '!');
		text_add_byte(to, a->kind == LISTED_MAILBOX ? '(' : '{');
		show(to, a->name);
		if (a->kind == LISTED_GROUP_START) {
			text_add_byte(to, ':');
			continue;
		}
		text_add_byte(to, '|'), show(to, a->route);
		text_add_byte(to, '|'), show(to, a->mailbox);
		text_add_byte(to, '|'), show(to, a->host);
		text_add_byte(to, ')');
	}
}

static size_t count(const struct listed_address *a)
{
	size_t n = 0;

	for (; a; a = a->next)
		n++;
	return n;
}

static void check_limits(void)
{
	struct arena arena = { .limit = 4096 };
	struct text big;

	text_init(&big, 10000000);
	for (int i = 0; i < 50000; i++)
		text_add_string(&big, "a@b,");
	ok(count(addresslist_parse(&arena, text_view(&big), ADDRESSLIST_COUNT_MAX)) > 10,
	   "a small arena ends the list");
	arena_clear(&arena);
	arena.limit = 0;
	ok(count(addresslist_parse(&arena, text_view(&big), 7)) == 7, "at most so many");
	for (int over = 0; over < 2; over++) {
		struct listed_address *a;

		text_clear(&big);
		text_format(&big, "<@%0*d:a@b>", 999 + over, 0);
		a = addresslist_parse(&arena, text_view(&big), 7);
		ok(a && (a->route.data != NULL) == !over, "a source route %s",
		   over ? "over the limit is dropped" : "of the limit");
	}
	text_clear(&big);
	for (int i = 0; i < 500000; i++)
		text_add_byte(&big, '(');
	ok(addresslist_parse(&arena, text_view(&big), 7) == NULL, "half a million parentheses");
	text_clear(&big);
	for (int i = 0; i < 500000; i++)
		text_add_byte(&big, i % 2 ? '<' : '"');
	addresslist_parse(&arena, text_view(&big), 7);
	ok(true, "quotes and angles");
	arena_clear(&arena);
	text_free(&big);
}

static void check_envelope(void)
{
	struct imapenvelope e;

	imapenvelope_read(
		VIEW("Received: x\r\nDATE: d\r\nFrom: a@b,\r\n c@d \r\nsubject:\r\nSubject: second\r\n"
	             "Message-Id: <m>\r\nX-To: no\r\n\r\nTo: body\r\n"),
		&e);
	ok(view_equal(e.item[IMAPENVELOPE_DATE], VIEW("d")), "date");
	ok(view_equal(e.item[IMAPENVELOPE_FROM], VIEW("a@b,\r\n c@d")), "from, folded");
	ok(e.item[IMAPENVELOPE_SUBJECT].data && e.item[IMAPENVELOPE_SUBJECT].len == 0,
	   "an empty subject is there");
	ok(view_equal(e.item[IMAPENVELOPE_MESSAGE_ID], VIEW("<m>")), "message-id");
	ok(!e.item[IMAPENVELOPE_TO].data && !e.item[IMAPENVELOPE_CC].data, "absent ones are NULL");
	ok(imapenvelope_is_list(IMAPENVELOPE_BCC) && imapenvelope_is_list(IMAPENVELOPE_FROM) &&
	           !imapenvelope_is_list(IMAPENVELOPE_SUBJECT) &&
	           !imapenvelope_is_list(IMAPENVELOPE_IN_REPLY_TO),
	   "which are lists");
}

int main(void)
{
	struct arena arena = { 0 };
	struct text got;

	text_init(&got, 10000);
	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
		text_clear(&got);
		show_list(&got,
		          addresslist_parse(&arena, view_of(lists[i].in), ADDRESSLIST_COUNT_MAX));
		is_string(got.raw, lists[i].out, "list '%s'", lists[i].in);
		/* No prefix of it may hang or read past the end (the sanitizer watches an exact
		 * copy). */
		for (size_t k = 0; k < strlen(lists[i].in); k++) {
			char *copy = memory_get(k);

			memcpy(copy, lists[i].in, k);
			addresslist_parse(&arena, (struct view){ copy, k }, ADDRESSLIST_COUNT_MAX);
			free(copy);
		}
		arena_clear(&arena);
	}
	check_limits();
	check_envelope();
	text_free(&got);
	return tap_done();
}
