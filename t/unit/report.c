/* SPDX-License-Identifier: ISC */
/* Reports: the fields that RFC 3464 asks for, and hostile words of other systems. */
#include "deliver/bounce/report.h"

#include "t/tap.h"

static struct job job = { .id = "1abcdefghijkl",
	                  .envelope = { .sender = "anna@example.test", .envid = "QQ+2B7" },
	                  .arrived_s = 1700000000,
	                  .gives_up_s = 1700432000,
	                  .report = JOB_REPORT_FAILED };
static struct job_recipient recipients[3] = {
	{ .to = { .address = "bob@far.test", .orcpt = "rfc822;b+2Bob@far.test" },
	  .status = "5.1.1",
	  .text = "550 5.1.1 no such user",
	  .remote_host = "mx.far.test",
	  .last_attempt_s = 1700000100 },
	{ .to = { .address = "eve@far.test" },
	  .status = "5.0.0",
	  .text = "evil\r\n--B--\r\nStatus: 2.0.0\x80" },
	{ .to = { .address = "carl@far.test" },
	  .status = "5.4.7",
	  .text = "450 4.2.1 try later",
	  .remote_host = "mx.far.test" },
};

static bool has(const struct text *t, const char *part)
{
	return strstr(t->raw, part) != NULL;
}

int main(void)
{
	struct report r = { .job = &job,
		            .recipients = recipients,
		            .count = 3,
		            .host = "mail.example.test",
		            .to = job.envelope.sender,
		            .boundary = "B",
		            .now_s = 1700000200,
		            .whole = true };
	struct text t;

	text_init(&t, REPORT_TEXT_MAX);
	ok(report_head(&r, &t), "a report");
	ok(has(&t, "To: <anna@example.test>\r\n") && has(&t, "report-type=delivery-status"),
	   "to the sender, as a report");
	ok(has(&t, "Auto-Submitted: auto-replied\r\n"), "marked as automatic (RFC 3834)");
	ok(has(&t, "Reporting-MTA: dns; mail.example.test\r\n"), "who reports");
	ok(has(&t, "Original-Envelope-Id: QQ+7\r\n"), "the envelope id, decoded");
	ok(has(&t, "Original-Recipient: rfc822;b+ob@far.test\r\n"),
	   "the original recipient, decoded");
	ok(has(&t, "Final-Recipient: rfc822; bob@far.test\r\nAction: failed\r\nStatus: 5.1.1\r\n"),
	   "the final recipient");
	ok(has(&t,
	       "Remote-MTA: dns; mx.far.test\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user\r\n"),
	   "what the other side said");
	ok(has(&t, "mx.far.test said: 550 5.1.1 no such user (5.1.1)"), "the same in words");
	ok(has(&t, "Diagnostic-Code: smtp; 450 4.2.1 try later\r\n") &&
	           has(&t, "Status: 5.4.7\r\n") &&
	           has(&t, "delivery time expired; the last reply:\r\n"
	                   "    mx.far.test said: 450 4.2.1 try later (5.4.7)\r\n"),
	   "what expired: the host's words are its own, the reason stands beside them");
	ok(!has(&t, "\r\nStatus: 2.0.0") && !has(&t, "\x80"),
	   "the words of others cannot forge a field");
	ok(has(&t, "Content-Type: message/rfc822\r\n"), "the message whole");
	r.whole = false;
	job.report = JOB_REPORT_DELAYED;
	ok(report_head(&r, &t) && has(&t, "text/rfc822-headers") && has(&t, "Will-Retry-Until: ") &&
	           has(&t, "Action: delayed"),
	   "a delay notice");
	report_tail(&r, &t);
	is_string(t.raw, "\r\n--B--\r\n", "its end");
	text_free(&t);
	return tap_done();
}
