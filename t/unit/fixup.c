/* SPDX-License-Identifier: ISC */
/* The header of a message while it streams by. */
#include "lib/mail/fixup.h"

#include <stdlib.h>

#include "t/tap.h"

static int collect(void *context, struct view bytes)
{
	return text_add(context, bytes) ? 0 : -1;
}

static unsigned received;
static struct text delivered; /* the values shown, with a bar before each */

static void note_delivered(void *context, struct view value)
{
	(void)context;
	text_add_byte(&delivered, '|');
	text_add(&delivered, value);
}

/* The whole through the machine in pieces of `step` bytes. */
static bool run(const char *in, bool mend, size_t step, struct text *out)
{
	struct fixup h = { .mend = mend,
		           .domain = "a.test",
		           .from = "me@a.test",
		           .date = "DATE",
		           .message_id = "<ID>",
		           .write = collect,
		           .delivered_to = note_delivered,
		           .context = out };
	struct view all = view_of(in);
	bool good = true;

	text_clear(out);
	text_clear(&delivered);
	while (all.len && good) {
		struct view piece = view_take(all, step);
		char *exact = malloc(piece.len);

		memcpy(exact, piece.data, piece.len);
		good = fixup_add(&h, (struct view){ exact, piece.len }) == 0;
		free(exact);
		all = view_skip(all, piece.len);
	}
	good = good && fixup_end(&h) == 0;
	received = h.received;
	fixup_free(&h);
	return good;
}

/* Lines longer than anything is held for: whole, whatever the pieces they come in. */
static void long_lines(void)
{
	enum { LONG = 3 * FIXUP_LINE_MAX + 17 };
	static const struct {
		bool mend;
		const char *before, *after; /* of the long line, before and behind its long part */
		const char *missing;        /* what is put before it */
		bool kept;
	} cases[] = {
		{ false, "X: y\r\nSubject: ", "\r\n\r\nbody\r\n", "", true },
		{ true, "Date: d\r\nMessage-ID: <m>\r\nFrom: a@b\r\nSubject: x\r\n folded ",
		  "\r\n\r\nbody\r\n", "", true },
		{ true, "Date: d\r\nMessage-ID: <m>\r\nFrom: a@b\r\nBcc: ", "\r\n\r\nbody\r\n", "",
		  false },
		{ true, "Date: d\r\nMessage-ID: <m>\r\nFrom: ", "\r\n\r\nbody\r\n", "", true },
		{ true, "no header ", "\r\nmore\r\n",
		  "Date: DATE\r\nMessage-ID: <ID>\r\nFrom: me@a.test\r\n\r\n", true },
	};
	static const size_t steps[] = {
		1, 4096, FIXUP_LINE_MAX - 1, FIXUP_LINE_MAX, FIXUP_LINE_MAX + 1, 10 * FIXUP_LINE_MAX
	};
	struct text in, want, out;

	text_init(&in, 1 << 24);
	text_init(&want, 1 << 24);
	text_init(&out, 1 << 24);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		text_clear(&in);
		text_clear(&want);
		text_add_string(&in, cases[i].before);
		for (size_t n = 0; n < LONG; n++)
			text_add_byte(&in, (char)('a' + n % 26));
		text_add_string(&in, cases[i].after);
		text_add_string(&want, cases[i].missing);
		if (cases[i].kept)
			text_add(&want, text_view(&in));
		else
			text_add_string(&want,
			                "Date: d\r\nMessage-ID: <m>\r\nFrom: a@b\r\n\r\nbody\r\n");
		for (size_t k = 0; k < sizeof steps / sizeof steps[0]; k++)
			ok(run(in.raw, cases[i].mend, steps[k], &out) &&
			           view_equal(text_view(&out), text_view(&want)),
			   "a long line behind \"%.20s\", in pieces of %zu", cases[i].before,
			   steps[k]);
	}
	text_free(&in);
	text_free(&want);
	text_free(&out);
}

static void streams(void)
{
	static const struct {
		bool mend;
		const char *in, *want;
		unsigned received;
	} cases[] = {
		/* Mail from elsewhere passes as it is, whatever it is. */
		{ false, "a: b\r\n\r\nbody\r\n", "a: b\r\n\r\nbody\r\n", 0 },
		{ false, "Received: x\r\n by y\r\nreceived : z\r\nBcc: q\r\n\r\nReceived: no\r\n",
		  "Received: x\r\n by y\r\nreceived : z\r\nBcc: q\r\n\r\nReceived: no\r\n", 2 },
		{ false, "no header at all\r\n", "no header at all\r\n", 0 },
		{ false, "", "", 0 },
		{ false, "\r\n", "\r\n", 0 },
		{ false, " begins folded\r\nReceived: x\r\n", " begins folded\r\nReceived: x\r\n",
		  1 },
		{ false, "x: y\r\ngarbage\r\nReceived: x\r\n\r\n",
		  "x: y\r\ngarbage\r\nReceived: x\r\n\r\n", 1 },
		/* Submission. */
		{ true, "From: x@y.test\r\nDate: d\r\nMessage-Id: <m>\r\n\r\nbody\r\n",
		  "From: x@y.test\r\nDate: d\r\nMessage-Id: <m>\r\n\r\nbody\r\n", 0 },
		{ true, "Subject: s\r\n\r\nbody\r\n",
		  "Subject: s\r\nDate: DATE\r\nMessage-ID: <ID>\r\nFrom: me@a.test\r\n\r\nbody\r\n",
		  0 },
		{ true, "Subject: s\r\n",
		  "Subject: s\r\nDate: DATE\r\nMessage-ID: <ID>\r\nFrom: me@a.test\r\n", 0 },
		{ true, "just text\r\nmore: text\r\n",
		  "Date: DATE\r\nMessage-ID: <ID>\r\nFrom: me@a.test\r\n\r\njust text\r\nmore: text\r\n",
		  0 },
		{ true, "", "Date: DATE\r\nMessage-ID: <ID>\r\nFrom: me@a.test\r\n", 0 },
		{ true, "\r\nbody\r\n",
		  "Date: DATE\r\nMessage-ID: <ID>\r\nFrom: me@a.test\r\n\r\nbody\r\n", 0 },
		{ true,
		  "From: me\r\nDate: d\r\nMessage-ID: m\r\nBcc: a,\r\n b\r\nTo: c\r\nBCC:\r\nReturn-Path: <x>\r\nX: y\r\n\r\nBcc: body\r\n",
		  "From: me@a.test\r\nDate: d\r\nMessage-ID: m\r\nTo: c\r\nX: y\r\n\r\nBcc: body\r\n",
		  0 },
		{ true, "Date: d\r\nMessage-ID: m\r\nFrom: \"Me, I\"\r\n <me>, you (you)\r\n\r\n",
		  "Date: d\r\nMessage-ID: m\r\nFrom: \"Me, I\"\r\n <me@a.test>, you@a.test (you)\r\n\r\n",
		  0 },
		{ true, "Date: d\r\nMessage-ID: m\r\nFrom: me\r\n",
		  "Date: d\r\nMessage-ID: m\r\nFrom: me@a.test\r\n", 0 },
		{ true, "From: me\r\nFrom: you\r\nDate: d\r\nMessage-ID: m\r\n\r\n",
		  "From: me@a.test\r\nFrom: you@a.test\r\nDate: d\r\nMessage-ID: m\r\n\r\n", 0 },
		{ true, "Bcc: x\r\n", "Date: DATE\r\nMessage-ID: <ID>\r\nFrom: me@a.test\r\n", 0 },
		{ true, "Bcc: x\r\n\r\nbody\r\n",
		  "Date: DATE\r\nMessage-ID: <ID>\r\nFrom: me@a.test\r\n\r\nbody\r\n", 0 },
	};
	struct text out;

	text_init(&out, 1 << 16);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		bool alike = true;

		for (size_t step = 1; step <= strlen(cases[i].in); step++)
			alike = run(cases[i].in, cases[i].mend, step, &out) &&
			        view_equal(text_view(&out), view_of(cases[i].want)) && alike;
		ok(alike, "row %zu: the same in pieces of any size", i);
		run(cases[i].in, cases[i].mend, 1 << 20, &out);
		is_string(out.raw, cases[i].want, "row %zu", i);
		ok(received == cases[i].received, "row %zu: %u Received", i, received);
	}
	text_free(&out);
}

static void froms(void)
{
	static const struct {
		const char *in, *want; /* NULL: left as it is */
	} cases[] = {
		{ " joe", " joe@d" },
		{ " joe@x.test", " joe@x.test" },
		{ " joe (Joe)", " joe@d (Joe)" },
		{ " (Joe) joe", " (Joe) joe@d" },
		{ " Joe <joe>", " Joe <joe@d>" },
		{ " Joe Doe <joe@x.test>", " Joe Doe <joe@x.test>" },
		{ " <joe>, ann , Bob <b@x>", " <joe@d>, ann@d , Bob <b@x>" },
		{ " \"a, b\" <joe>", " \"a, b\" <joe@d>" },
		{ " \"a \\\" <x\" <joe>", " \"a \\\" <x\" <joe@d>" },
		{ " (a, (b) <x) joe", " (a, (b) <x) joe@d" },
		{ " \"joe doe\"", " \"joe doe\"@d" },
		{ " \"joe doe\"@x", " \"joe doe\"@x" },
		{ " Joe Doe", " Joe Doe" },
		{ " <>", " <>" },
		{ "", "" },
		{ " ,", " ," },
		{ " list: a, b;", NULL },
		{ " \"open", NULL },
		{ " <open", NULL },
		{ " (open", NULL },
	};
	struct text out;

	text_init(&out, 4096);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		bool mended = fixup_from(view_of(cases[i].in), VIEW("d"), &out);

		if (cases[i].want == NULL)
			ok(!mended, "From:%s is left as it is", cases[i].in);
		else
			is_string(mended ? out.raw : "?", cases[i].want, "From:%s", cases[i].in);
	}
	text_free(&out);
}

static void long_from(void)
{
	struct text in, out;

	text_init(&in, 1 << 20);
	text_init(&out, 1 << 20);
	text_add_string(&in, "Date: d\r\nMessage-ID: m\r\nFrom: a");
	for (int i = 0; i < 4000; i++)
		text_add_string(&in, ",\r\n a");
	text_add_string(&in, "\r\nX: y\r\n\r\n");
	ok(run(in.raw, true, 100, &out) && view_equal(text_view(&in), text_view(&out)),
	   "a From of %zu bytes is passed on as it is", in.len);
	text_free(&in);
	text_free(&out);
}

/* Where the message says that it has been: the header's, whatever the pieces it comes in. */
static void delivered_fields(void)
{
	static const char in[] = "Delivered-To: a@b.test\r\ndelivered-to:\tC@d.test \r\n"
				 "X: y\r\n Delivered-To: folded@b.test\r\nDelivered-To:\r\n"
				 "Delivered-Too: no\r\n\r\nDelivered-To: body@b.test\r\n";
	struct text out;

	text_init(&out, 4096);
	for (size_t step = 1; step < sizeof in; step++) {
		for (int mend = 0; mend < 2; mend++) {
			run(in, mend, step, &out);
			if (!view_equal(text_view(&delivered), VIEW("|a@b.test|C@d.test|")))
				ok(false, "in pieces of %zu: %.*s", step,
				   VIEW_ARG(text_view(&delivered)));
		}
	}
	is_string(delivered.raw, "|a@b.test|C@d.test|",
	          "Delivered-To is shown, in the header alone");
	text_free(&out);
}

int main(void)
{
	text_init(&delivered, 4096);
	streams();
	delivered_fields();
	long_lines();
	froms();
	long_from();
	text_free(&delivered);
	return tap_done();
}
