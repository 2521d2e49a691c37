/* SPDX-License-Identifier: ISC */
/* The parameters of MAIL and RCPT. */
#include "smtpd/parameters.h"

#include <stdio.h>

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
		{ " ENVID=", "syntax ENVID" },
		{ " ENVID=a+2", "syntax ENVID" },
		{ " ENVID=a=b", "syntax ENVID" },
		{ " ENVID=a+2b", "syntax ENVID" },
		{ " ENVID=1234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123x",
		  "syntax ENVID" },
		{ " SMTPUTF8", "unknown SMTPUTF8" },
		{ " NOTIFY=NEVER", "unknown NOTIFY" },
		{ " =", "unknown " },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct mail_parameters p;
		struct view culprit = { "", 0 };
		char got[640];
		enum parameter_result r = mail_parameters_parse(view_of(cases[i].in), &p, &culprit);

		if (r == PARAMETERS_OK)
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
		{ " ORCPT=rfc822", "syntax ORCPT" },
		{ " ORCPT=;x", "syntax ORCPT" },
		{ " ORCPT=rfc822;", "syntax ORCPT" },
		{ " ORCPT=rfc822;a ORCPT=rfc822;b", "syntax ORCPT" },
		{ " SIZE=1", "unknown SIZE" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct envelope_recipient p;
		struct view culprit = { "", 0 };
		char got[640];
		enum parameter_result r =
			recipient_parameters_parse(view_of(cases[i].in), &p, &culprit);

		if (r == PARAMETERS_OK)
			snprintf(got, sizeof got, "ok %u %s", p.notify, p.orcpt);
		else
			snprintf(got, sizeof got, "%s %.*s", results[r], VIEW_ARG(culprit));
		is_string(got, cases[i].want, "RCPT%s", cases[i].in);
	}
}

int main(void)
{
	mail();
	recipient();
	return tap_done();
}
