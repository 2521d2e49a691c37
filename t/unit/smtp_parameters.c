/* SPDX-License-Identifier: ISC */
/* The parameters of MAIL and RCPT. */
#include "lib/mail/esmtp.h"

#include <stdio.h>
#include <string.h>

#include "t/tap.h"

static const char *const results[] = { "ok", "syntax", "unknown" };

static void mail(void)
{
	static const struct {
		const char *in, *want; /* result size body ret envid */
	} cases[] = {
		{ "", "ok 0 7 - " },
		{ " ", "ok 0 7 - " },
		{ " SIZE=1000", "ok 1000 7 - " },
		{ " size=1000  Body=8bitmime", "ok 1000 8 - " },
		{ " BODY=7BIT RET=FULL ENVID=a+2Bb", "ok 0 7 F a+2Bb" },
		{ " RET=hdrs", "ok 0 7 H " },
		{ " AUTH=<>", "ok 0 7 - " },
		{ " AUTH=a+3Dx@b.test", "ok 0 7 - " },
		{ " SIZE=18446744073709551615", "ok 18446744073709551615 7 - " },
		{ " SIZE=99999999999999999999", "ok 18446744073709551615 7 - " },
		{ " SIZE=999999999999999999999", "syntax SIZE" },
		{ " SIZE=", "syntax SIZE" },
		{ " SIZE", "syntax SIZE" },
		{ " SIZE=-1", "syntax SIZE" },
		{ " SIZE=1 SIZE=1", "syntax SIZE" },
		{ " BODY=BINARYMIME", "syntax BODY" },
		{ " BODY=", "syntax BODY" },
		{ " RET=", "syntax RET" },
		{ " RET=SOME", "syntax RET" },
		{ " ENVID=", "ok 0 7 - " },
		{ " ENVID=a+2", "ok 0 7 - a+2B2" },
		{ " ENVID=a=b", "ok 0 7 - a+3Db" },
		{ " ENVID=a+2b", "ok 0 7 - a+2B" },
		{ " ENVID=+41+", "ok 0 7 - +41+2B" },
		{ " ENVID=\303\251", "ok 0 7 - " },
		{ " ENVID=a ENVID=b", "syntax ENVID" },
		{ " AUTH=a+3dx@b.test", "ok 0 7 - " },
		{ " AUTH=", "syntax AUTH" },
		{ " ENVID=1234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123x",
		  "ok 0 7 - " },
		{ " SMTPUTF8", "unknown SMTPUTF8" },
		{ " NOTIFY=NEVER", "unknown NOTIFY" },
		{ " =", "unknown " },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct esmtp_mail p;
		struct view culprit = { "", 0 };
		char got[640];
		enum esmtp_result r = esmtp_mail_parse(view_of(cases[i].in), &p, &culprit);

		if (r == ESMTP_OK)
			snprintf(got, sizeof got, "ok %llu %c %c %s",
			         (unsigned long long)p.size_bytes, p.envelope.eight_bit ? '8' : '7',
			         p.envelope.ret ? p.envelope.ret : '-', p.envelope.envid);
		else
			snprintf(got, sizeof got, "%s %.*s", results[r], VIEW_ARG(culprit));
		is_string(got, cases[i].want, "MAIL%s", cases[i].in);
	}
}

static void recipient(void)
{
	static const struct {
		const char *in, *want; /* result notify orcpt */
	} cases[] = {
		{ "", "ok 0 " },
		{ " NOTIFY=NEVER", "ok 1 " },
		{ " NOTIFY=success,Failure,DELAY", "ok 14 " },
		{ " ORCPT=rfc822;a+2Bb@c.test NOTIFY=DELAY", "ok 8 rfc822;a+2Bb@c.test" },
		{ " NOTIFY=NEVER,DELAY", "syntax NOTIFY" },
		{ " NOTIFY=", "syntax NOTIFY" },
		{ " NOTIFY=DELAY,", "ok 8 " },
		{ " NOTIFY=,", "syntax NOTIFY" },
		{ " NOTIFY=OFTEN", "syntax NOTIFY" },
		{ " ORCPT=rfc822;a+2bb@c.test", "ok 0 rfc822;a+2Bb@c.test" },
		{ " ORCPT=rfc822;a+b@x", "ok 0 rfc822;a+2Bb@x" },
		{ " ORCPT=rfc822;a+@x", "ok 0 rfc822;a+2B@x" },
		{ " ORCPT=rfc822;a++2B+", "ok 0 rfc822;a+2B+2B+2B" },
		{ " ORCPT=rfc822;+41=x@c.test", "ok 0 rfc822;+41+3Dx@c.test" },
		{ " ORCPT=rfc822;\303\251@c.test NOTIFY=NEVER", "ok 1 " },
		{ " ORCPT=rfc+x;a", "ok 0 " },
		{ " ORCPT=", "ok 0 " },
		{ " ORCPT", "ok 0 " },
		{ " ORCPT=rfc822", "ok 0 " },
		{ " ORCPT=;x", "ok 0 " },
		{ " ORCPT=rfc822;", "ok 0 " },
		{ " ORCPT=rfc822;a ORCPT=rfc822;b", "syntax ORCPT" },
		{ " SIZE=1", "unknown SIZE" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct envelope_recipient p;
		struct view culprit = { "", 0 };
		char got[640];
		enum esmtp_result r = esmtp_recipient_parse(view_of(cases[i].in), &p, &culprit);

		if (r == ESMTP_OK)
			snprintf(got, sizeof got, "ok %u %s", p.notify, p.orcpt);
		else
			snprintf(got, sizeof got, "%s %.*s", results[r], VIEW_ARG(culprit));
		is_string(got, cases[i].want, "RCPT%s", cases[i].in);
	}
}

/* The last character that fits, and one too many, of which one more byte is made. */
static void longest(void)
{
	struct text in;
	struct envelope_recipient r;
	struct view culprit;

	text_init(&in, 2000);
	text_add_string(&in, " ORCPT=rfc822;");
	while (in.len < strlen(" ORCPT=") + ENVELOPE_ORCPT_MAX - 4)
		text_add_byte(&in, 'a');
	text_add_byte(&in, '+');
	ok(esmtp_recipient_parse(text_view(&in), &r, &culprit) == ESMTP_OK &&
	           strlen(r.orcpt) == ENVELOPE_ORCPT_MAX - 1,
	   "the longest ORCPT is whole");
	text_cut_back(&in, in.len - 1);
	text_add_string(&in, "a+");
	ok(esmtp_recipient_parse(text_view(&in), &r, &culprit) == ESMTP_OK && r.orcpt[0] == '\0',
	   "a longer one is left out");
	text_free(&in);
}

/* What remote writes smtpd reads, and gets the same. */
static void both_ways(void)
{
	static const struct envelope envelopes[] = {
		{ .eight_bit = true },
		{ .ret = 'F', .envid = "QQ+2B7" },
		{ .ret = 'H', .eight_bit = true, .envid = "+3D" },
	};
	static const char *const addresses[] = { "a@b.test", "a+b=c@d.test", "\"x y\"@b.test",
		                                 "\"+=\\\"\"@b.test", "=@b.test" };
	unsigned all = ~0u;
	struct text out, orcpt;
	struct view culprit;
	unsigned wrong = 0;

	text_init(&out, 4096);
	text_init(&orcpt, ENVELOPE_ORCPT_MAX - 1);
	for (unsigned i = 0; i < sizeof envelopes / sizeof envelopes[0]; i++) {
		const struct envelope *e = &envelopes[i];
		struct esmtp_mail back;

		text_clear(&out);
		esmtp_mail_write(&out, e, 1000 + i, all);
		wrong += esmtp_mail_parse(text_view(&out), &back, &culprit) != ESMTP_OK ||
		         back.size_bytes != 1000 + i || memcmp(&back.envelope, e, sizeof *e) != 0;
	}
	ok(wrong == 0, "what is said of an envelope comes back");
	for (unsigned i = 0; i < 16; i++) {
		struct envelope_recipient r = { .notify = (uint8_t)(i > 1 && i % 2 ? 1 : i) }, back;

		text_clear(&orcpt);
		text_add_string(&orcpt, "rfc822;");
		esmtp_xtext(&orcpt, view_of(addresses[i % 5]));
		string_put(r.orcpt, sizeof r.orcpt, text_view(&orcpt));
		text_clear(&out);
		esmtp_recipient_write(&out, &r, all);
		wrong += esmtp_recipient_parse(text_view(&out), &back, &culprit) != ESMTP_OK ||
		         memcmp(&back, &r, sizeof r) != 0;
	}
	ok(wrong == 0, "so does what is said of a recipient, whatever its address has");
	struct envelope_recipient odd = { .orcpt = "rfc822;a+b@c.test" };

	text_clear(&out);
	esmtp_mail_write(&out, &envelopes[2], 7, 1u << ESMTP_EIGHT_BIT);
	esmtp_recipient_write(&out, &odd, all);
	is_string(out.raw, " BODY=8BITMIME",
	          "to whom an extension is not offered, and what is no value, is not said");
	text_free(&orcpt);
	text_free(&out);
}

int main(void)
{
	mail();
	recipient();
	longest();
	both_ways();
	return tap_done();
}
