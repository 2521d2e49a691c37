/* SPDX-License-Identifier: ISC */
/* Answers of other hosts: codes, enhanced status, many lines, lies; what EHLO offers. */
#include "deliver/remote/reply.h"

#include "t/tap.h"

static const struct {
	const char *lines; /* joined with \n */
	bool good;
	int code;
	const char *status, *text;
} cases[] = {
	{ "250 ok", true, 250, "2.0.0", "250 ok" },
	{ "250", true, 250, "2.0.0", "250" },
	{ "550 5.1.1 no such user", true, 550, "5.1.1", "550 5.1.1 no such user" },
	{ "550-5.7.1 first\n550 5.7.1 second", true, 550, "5.7.1", "550-5.7.1 first 5.7.1 second" },
	{ "550 2.1.1 a lie about the class", true, 550, "5.0.0",
	  "550 2.1.1 a lie about the class" },
	{ "450 4.2 not a status", true, 450, "4.0.0", "450 4.2 not a status" },
	{ "550 5.1.1000 too long", true, 550, "5.0.0", "550 5.1.1000 too long" },
	{ "550 5.1.1no blank", true, 550, "5.0.0", "550 5.1.1no blank" },
	{ "250 eight\xff"
	  "bit\x01",
	  true, 250, "2.0.0", "250 eight?bit?" },
	{ "25", false, 0, "", "" },
	{ "", false, 0, "", "" },
	{ "abc hello", false, 0, "", "" },
	{ "150 too low", false, 0, "", "" },
	{ "600 too high", false, 0, "", "" },
	{ "250ok", false, 0, "", "" },
	{ "250-one\n251 two", false, 0, "", "" },
};

static bool take(struct reply *r, const char *lines)
{
	struct view rest = view_of(lines), line;

	reply_clear(r);
	if (rest.len == 0)
		return reply_line(r, rest);
	while (view_cut(&rest, '\n', &line))
		if (!reply_line(r, line))
			return false;
	return true;
}

static void test_table(void)
{
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct reply r;
		bool good = take(&r, cases[i].lines);

		if (!ok(good == cases[i].good, "%zu: %s", i, cases[i].good ? "taken" : "refused") ||
		    !good)
			continue;
		ok(r.code == cases[i].code && !r.more, "its code");
		is_string(r.status, cases[i].status, "its status");
		is_string(r.text, cases[i].text, "its text");
	}
}

static const struct {
	const char *lines;
	bool good, more;
	int code;
	const char *status, *text;
} text_cases[] = {
	{ "250 2.0.0 ok", true, false, 250, "2.0.0", "250 2.0.0 ok" },
	{ "250", true, false, 250, "2.0.0", "250" },
	{ "\n\n250 ok", true, false, 250, "2.0.0", "250 ok" },
	{ " 250 ok", true, false, 250, "2.0.0", "250 ok" },
	{ "250\tok", true, false, 250, "2.0.0", "250?ok" },
	{ "250-stored\n251 as 1", true, false, 250, "2.0.0", "250-stored as 1" },
	{ "250-stored\nas 1\n250 end", true, false, 250, "2.0.0", "250-stored as 1 end" },
	{ "250-stored\nas 1", true, true, 250, "2.0.0", "250-stored as 1" },
	{ "550-5.7.1 no\n554 spam", true, false, 550, "5.7.1", "550-5.7.1 no spam" },
	{ "250-stored\n550 not", false, false, 0, "", "" },
	{ "stored\n250 ok", false, false, 0, "", "" },
	{ "2500 ok", false, false, 0, "", "" },
	{ "150 ok", false, false, 0, "", "" },
};

static void test_text(void)
{
	for (size_t i = 0; i < sizeof text_cases / sizeof text_cases[0]; i++) {
		struct view rest = view_of(text_cases[i].lines), line;
		struct reply r;
		bool good = true;

		reply_clear(&r);
		while (good && view_cut(&rest, '\n', &line))
			good = reply_text_line(&r, line);
		if (!ok(good == text_cases[i].good, "text %zu: %s", i,
		        text_cases[i].good ? "believed" : "not believed") ||
		    !good)
			continue;
		ok(r.code == text_cases[i].code && r.more == text_cases[i].more, "its code");
		is_string(r.status, text_cases[i].status, "its status");
		is_string(r.text, text_cases[i].text, "its text");
	}
	struct reply r;
	bool good = true;

	reply_clear(&r);
	for (int n = 0; n < 3 * REPLY_LINES_MAX; n++)
		good = good && reply_text_line(&r, VIEW("250-again and again"));
	ok(good && reply_text_line(&r, VIEW("250 done")) && r.code == 250 && !r.more,
	   "of the answer to a text the lines are not counted");
	reply_clear(&r);
	ok(reply_text_line(&r, (struct view){ "250 o\0k", 7 }) && r.code == 250,
	   "NUL is a byte of its words");
}

static void test_bounds(void)
{
	struct reply r;
	char line[REPLY_LINE_MAX];
	int n;

	reply_clear(&r);
	for (n = 0; n < REPLY_LINES_MAX + 5 &&
	            reply_line(&r, VIEW("250-again and again and again and again"));
	     n++)
		;
	ok(n == REPLY_LINES_MAX, "an answer has at most %d lines", REPLY_LINES_MAX);
	ok(strlen(r.text) == REPLY_TEXT_MAX - 1, "and its text is cut");
	memset(line, 'x', sizeof line);
	memcpy(line, "250 ", 4);
	reply_clear(&r);
	ok(reply_line(&r, (struct view){ line, sizeof line }) &&
	           strlen(r.text) == REPLY_TEXT_MAX - 1,
	   "a long line is cut");
}

static void test_extensions(void)
{
	struct extensions e = { 0 };

	extensions_line(&e, VIEW("PIPELINING"));
	extensions_line(&e, VIEW("size 1000"));
	extensions_line(&e, VIEW("8BITMIME"));
	extensions_line(&e, VIEW("XDSN"));
	ok(extensions_have(&e, ESMTP_PIPELINING) && extensions_have(&e, ESMTP_SIZE) &&
	           e.size_bytes == 1000 && extensions_have(&e, ESMTP_EIGHT_BIT) &&
	           !extensions_have(&e, ESMTP_DSN) && !extensions_have(&e, ESMTP_STARTTLS),
	   "what is offered, in any case");
	extensions_line(&e, VIEW("SIZE none"));
	ok(extensions_have(&e, ESMTP_SIZE) && e.size_bytes == 0,
	   "a limit that is no number is none");
}

int main(void)
{
	test_table();
	test_text();
	test_bounds();
	test_extensions();
	return tap_done();
}
