/* SPDX-License-Identifier: ISC */
/* Answers of other hosts: codes, enhanced status, many lines, lies; what EHLO offers. */
#include "deliver/remote/refusal.h"

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

/* Answers to RCPT, and the status that they have then; NULL: nothing is learnt of the address. */
static const struct {
	const char *lines, *status;
} refusals[] = {
	{ "550 5.1.1 no such user", "5.1.1" },
	{ "550-5.1.1 The account does not exist\n550 5.1.1 x", "5.1.1" },
	{ "550 5.1.6 moved", "5.1.6" },
	{ "556 5.1.10 null MX", "5.1.10" },
	{ "501 5.1.3 bad address syntax", "5.1.3" },
	{ "550 5.1.2 no such domain here", "5.1.1" },
	{ "550 5.4.1 Recipient address rejected: Access denied. [x.outlook.com]", "5.1.1" },
	{ "550 5.4.4 unable to route", "5.1.1" },
	{ "550 5.2.1 account disabled", "5.2.1" },
	{ "550 Unrouteable address", "5.1.1" },
	{ "550 User unknown", "5.1.1" },
	{ "550 <x@y.test>... User unknown", "5.1.1" },
	{ "550 no such user.", "5.1.1" },
	{ "550 x@y.test: Recipient unknown", "5.1.1" },
	{ "550 5.1.0 <x@y.test>: no such mailbox", "5.1.1" },
	{ "554 No such user (x)", "5.1.1" },
	{ "551 user not local", "5.1.1" },
	{ "550 5.2.1 The email account that you tried to reach is disabled. Learn more at "
	  "https://support.google.test/mail/?p=DisabledUser - gsmtp",
	  "5.2.1" },
	{ "550-5.1.1 The email account that you tried to reach does not exist. Please try\n"
	  "550-5.1.1 double-checking the recipient's email address for typos or\n"
	  "550 5.1.1 unnecessary spaces. For more information, go to "
	  "https://support.google.test/mail/?p=NoSuchUser - gsmtp",
	  "5.1.1" },
	{ "550 5.4.1 All recipient addresses rejected : Access denied", "5.1.1" },
	{ "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
	  "5.1.10" },
	{ "550 5.1.1 <x@y.test>: Recipient address rejected: User unknown in relay recipient table",
	  "5.1.1" },
	{ "550 5.1.1 <x@y.test> User doesn't exist: x@y.test", "5.1.1" },
	{ "550-Mailbox unknown.  Either there is no mailbox associated with this\n"
	  "550-name or you do not have authorization to see it.\n"
	  "550 5.1.1 User unknown",
	  "5.1.1" },
	{ "550 Invalid Recipient - https://community.mimecast.test/docs/DOC-1369#550", "5.1.1" },
	{ "550 5.1.1 User Unknown", "5.1.1" },
	{ "554 delivery error: dd No such user - x@y.test", "5.1.1" },
	{ "550 Message was not accepted -- invalid mailbox.  Local mailbox x@y.test is unavailable: "
	  "user not found",
	  "5.1.1" },
	{ "553 sorry, no mailbox here by that name (#5.1.1)", "5.1.1" },
	{ "553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)", NULL },
	{ "553 sorry, no such user may relay (#5.7.1)", NULL },
	{ "550 relay not permitted", NULL },
	{ "550 5.7.1 Unable to relay", NULL },
	{ "550 5.7.1 User unknown", NULL },
	{ "554 5.7.1 Service unavailable; Client host blocked", NULL },
	{ "550 5.7.23 SPF", NULL },
	{ "550 5.1.7 bad sender", NULL },
	{ "550 5.1.8 unknown user", NULL },
	{ "550 5.1.0 sender rejected", NULL },
	{ "552 5.2.2 mailbox full", NULL },
	{ "552 mailbox unavailable", NULL },
	{ "550 5.3.4 too large", NULL },
	{ "450 4.1.1 unknown user", NULL },
	{ "450 unknown user", NULL },
	{ "550", NULL },
	{ "550 no", NULL },
	{ "550 5.0.0 no", NULL },
	{ "550 Administrative prohibition", NULL },
	{ "550 sender not welcome", NULL },
	{ "550 no such user, or your SPF record", NULL },
	{ "550-Verification failed for <a@b.test>\n550-Unrouteable address\n550 Sender verify failed",
	  NULL },
	{ "550 rejected because 192.0.2.1 is in a black list: no such user", NULL },
	{ "550 unknown user@far.test", NULL },
	{ "550 a.user unknown", NULL },
	{ "550 super-user unknown.host.test", NULL },
	{ "550 Requested action not taken: mailbox unavailable. Reject due to policy restrictions",
	  NULL },
	{ "501 bad address syntax", NULL },
	{ "503 unknown user", NULL },
	/* A rate, a quota, a probe of another host, a probe of the sender: with any status. */
	{ "550-5.2.1 The user you are trying to contact is receiving mail at a rate that\n"
	  "550-5.2.1 prevents additional messages from being delivered. For more\n"
	  "550 5.2.1 information, please visit "
	  "https://support.google.test/mail/?p=ReceivingRatePerm - gsmtp",
	  NULL },
	{ "554 5.2.1 Too many failures for the recipient", NULL },
	{ "550 5.2.1 mailbox unavailable", NULL },
	{ "552 5.1.1 Boite du destinataire pleine. Recipient overquota. OFR_417 [417]", NULL },
	{ "552 5.1.1 <x@y.test> Mailbox delivery failure policy error", NULL },
	{ "550 5.1.1 x@y.test mailbox full", NULL },
	{ "550-Requested action not taken: mailbox unavailable\n550 Failure sending mail. Try again "
	  "later.",
	  NULL },
	{ "550-Requested action not taken: mailbox unavailable\n550 invalid DNS MX or A/AAAA "
	  "resource record.",
	  NULL },
	{ "550 Mailbox unavailable or access denied", NULL },
	{ "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).", NULL },
	{ "551 5.3.0 Unknown error", NULL },
	{ "551 please try <x@z.test>", NULL },
	{ "541 5.4.1 Mail rejected by destination domain", NULL },
	{ "550 5.4.1 Mail rejected by destination domain", NULL },
	{ "550 5.1.1 <x@y.test>: Recipient address rejected: undeliverable address: host mx.y.test "
	  "said: 552 5.2.2 Mailbox full (in reply to RCPT TO command)",
	  NULL },
	{ "550 5.1.1 <x@y.test>: Recipient address rejected: unverified address: connect to "
	  "y.test: Connection refused",
	  NULL },
	{ "550 5.1.1 <a@b.test>: Sender address rejected: User unknown", NULL },
};

static void test_refusals(void)
{
	struct reply r;
	char line[REPLY_LINE_MAX];

	for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
		take(&r, refusals[i].lines);
		bool unknown = refusal_means_unknown(&r);

		if (ok(unknown == (refusals[i].status != NULL), "%s: %s", refusals[i].lines,
		       refusals[i].status ? "unknown" : "not said of the address") &&
		    unknown) {
			refusal_be_precise(&r);
			is_string(r.status, refusals[i].status, "its status");
		}
	}
	memset(line, 'x', sizeof line);
	memcpy(line, "550 no such user ", 17);
	reply_clear(&r);
	ok(reply_line(&r, (struct view){ line, sizeof line }) && !refusal_means_unknown(&r),
	   "of words that are cut the rest may be about something else");
	ok(refusal_is_hosts_own("a@b.test") && refusal_is_hosts_own("") &&
	           refusal_is_hosts_own("SRS0=a+b_c=d/e'f@b.test") &&
	           !refusal_is_hosts_own("\"no such user\"@b.test") &&
	           !refusal_is_hosts_own("no%20such%20user@b.test") &&
	           !refusal_is_hosts_own("/#5.1.1/@b.test"),
	   "a sender can choose the words that a host quotes");
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
	test_refusals();
	test_bounds();
	test_extensions();
	return tap_done();
}
