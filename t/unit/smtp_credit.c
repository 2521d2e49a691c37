/* SPDX-License-Identifier: ISC */
#include "smtpd/credit.h"

#include "t/tap.h"

enum { WHILE_MS = 10000, NOW_MS = 5000000 };

static void transactions(void)
{
	struct credit c = { 0 };

	ok(!credit_lasts(&c, NOW_MS), "a session begins without any");
	credit_mail(&c, NOW_MS, WHILE_MS);
	ok(credit_lasts(&c, NOW_MS + WHILE_MS - 1) && !credit_lasts(&c, NOW_MS + WHILE_MS),
	   "the first MAIL counts for a while");
	credit_mail(&c, NOW_MS + WHILE_MS, WHILE_MS);
	ok(!credit_lasts(&c, NOW_MS + WHILE_MS), "another one without a message does not");
	credit_message(&c, NOW_MS + 20000, WHILE_MS);
	ok(credit_lasts(&c, NOW_MS + 20000 + WHILE_MS - 1), "a message does");
	credit_mail(&c, NOW_MS + 100000, WHILE_MS);
	ok(credit_lasts(&c, NOW_MS + 100000 + WHILE_MS - 1), "and so does the first MAIL after it");
}

static void recipients(void)
{
	struct credit c = { 0 };
	int64_t now_ms = NOW_MS;

	credit_mail(&c, now_ms, WHILE_MS);
	for (int i = 0; i < 1000; i++)
		credit_recipient(&c, now_ms, WHILE_MS);
	ok(!credit_lasts(&c, now_ms + WHILE_MS), "many recipients at once last for no longer");
	for (int i = 0; i < 100; i++)
		credit_recipient(&c, now_ms += CREDIT_RECIPIENT_MS, WHILE_MS);
	ok(credit_lasts(&c, now_ms), "one behind the other they do");
	now_ms += WHILE_MS;
	credit_recipient(&c, now_ms, WHILE_MS);
	ok(!credit_lasts(&c, now_ms), "none revives what is over");
	credit_mail(&c, now_ms, WHILE_MS);
	credit_recipient(&c, now_ms, WHILE_MS);
	ok(!credit_lasts(&c, now_ms), "nor does one of a MAIL that has earned nothing");
}

static void waits(void)
{
	struct credit c = { 0 };

	credit_mail(&c, NOW_MS, WHILE_MS);
	credit_wait(&c, 9000);
	ok(credit_lasts(&c, NOW_MS + WHILE_MS + 8999), "what it is made to wait is not counted");
	credit_recipient(&c, NOW_MS + 9000, WHILE_MS);
	ok(credit_lasts(&c, NOW_MS + WHILE_MS + 8999), "and no recipient takes it back");
}

int main(void)
{
	transactions();
	recipients();
	waits();
	return tap_done();
}
