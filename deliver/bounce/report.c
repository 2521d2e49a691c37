/* SPDX-License-Identifier: ISC */
#include "deliver/bounce/report.h"

#include "lib/mail/date.h"

/* What differs between the kinds of report. */
static const struct {
	const char *subject, *action, *opening;
} kinds[] = {
	[JOB_REPORT_NONE] = { "", "", "" },
	[JOB_REPORT_FAILED] = { "Undelivered mail returned to sender", "failed",
	                        "Your message could not be delivered to the recipients below, and no further\r\n"
	                        "attempt will be made.\r\n" },
	[JOB_REPORT_DELAYED] = { "Your message is delayed", "delayed",
	                         "THIS IS A WARNING ONLY: YOU NEED NOT SEND YOUR MESSAGE AGAIN.\r\n"
	                         "\r\n"
	                         "Your message could not be delivered to the recipients below yet; it will be\r\n"
	                         "tried again" },
	[JOB_REPORT_DELIVERED] = { "Your message was delivered", "delivered",
	                           "Your message was delivered to the recipients below, as you requested.\r\n" },
	[JOB_REPORT_RELAYED] = { "Your message was relayed", "relayed",
	                         "Your message was relayed to a system that may not report its delivery.\r\n" },
	[JOB_REPORT_ALIAS] = { "A target of an alias accepts no mail", "failed",
	                       "Mail for an alias of this system was lost: the targets below do not exist, or\r\n"
	                       "their servers refused it.\r\n"
	                       "Its sender is not told, since nobody has verified who that is. Correct the alias;\r\n"
	                       "until then this is reported every two hours at most.\r\n" },
};

/* Other systems' words, for a human and for header fields: printable ASCII on one line, nothing
 * else. */
static void add_clean(struct text *out, const char *s)
{
	for (; *s; s++)
		text_add_byte(out, *s >= ' ' && *s < 127                    ? *s
		                   : *s == '\t' || *s == '\n' || *s == '\r' ? ' '
		                                                            : '?');
}

/* ENVID and ORCPT come as xtext; the fields of a report hold them decoded (RFC 3461 section
 * 6.3). */
static void add_decoded(struct text *out, const char *xtext)
{
	char one[2] = { 0 };

	for (const char *p = xtext; *p; p++) {
		if (p[0] == '+' && byte_hex_value(p[1]) >= 0 && byte_hex_value(p[2]) >= 0) {
			one[0] = (char)(byte_hex_value(p[1]) * 16 + byte_hex_value(p[2]));
			p += 2;
		} else {
			one[0] = *p;
		}
		if (one[0])
			add_clean(out, one);
	}
}

static void add_date(struct text *out, const char *field, int64_t when_s)
{
	char date[DATE_TEXT_MAX];

	text_format(out, "%s: %s\r\n", field,
	            date_mail((struct date){ .when_s = when_s,
	                                     .zone_minutes = date_local_zone(when_s) },
	                      date));
}

static void add_header(const struct report *r, struct text *out)
{
	text_format(out,
	            "From: Mail Delivery System <MAILER-DAEMON@%s>\r\nTo: <%s>\r\nSubject: %s\r\n",
	            r->host, r->to, kinds[r->job->report].subject);
	add_date(out, "Date", r->now_s);
	text_format(
		out,
		"Message-ID: <%s.%lld.report@%s>\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
		"Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"%s\"\r\n",
		r->job->id, (long long)r->now_s, r->host, r->boundary);
	if (r->eight_bit)
		text_add_string(out, "Content-Transfer-Encoding: 8bit\r\n");
	text_add_string(out,
	                "\r\nThis is a report about a message, in MIME form (RFC 3464).\r\n\r\n");
}

/* Has the queue given up, and the host only ever said "later"? Its words then are no reason of the
 * failure; ours stand beside them. */
static bool expired(const struct report *r, const struct job_recipient *who)
{
	return r->job->report == JOB_REPORT_FAILED && who->remote_host[0] && who->text[0] == '4';
}

static void add_words(const struct report *r, struct text *out)
{
	text_format(
		out,
		"--%s\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Description: Notification\r\n\r\n",
		r->boundary);
	text_format(out, "This is the mail system at host %s.\r\n\r\n%s", r->host,
	            kinds[r->job->report].opening);
	if (r->job->report == JOB_REPORT_DELAYED) {
		char date[DATE_TEXT_MAX];

		text_format(out, " until\r\n%s.\r\n",
		            date_mail((struct date){ r->job->gives_up_s,
		                                     date_local_zone(r->job->gives_up_s) },
		                      date));
	}
	for (unsigned i = 0; i < r->count; i++) {
		const struct job_recipient *who = &r->recipients[i];

		text_add_string(out, "\r\n<");
		add_clean(out, who->to.address);
		text_add_string(out, ">:\r\n    ");
		if (expired(r, who))
			text_add_string(out, "delivery time expired; the last reply:\r\n    ");
		if (who->remote_host[0]) {
			add_clean(out, who->remote_host);
			text_add_string(out, " said: ");
		}
		add_clean(out, who->text[0] ? who->text : kinds[r->job->report].action);
		text_format(out, " (%s)\r\n", who->status);
	}
	text_add_string(out, "\r\n");
}

static void add_recipient(const struct report *r, const struct job_recipient *who, struct text *out)
{
	text_add_string(out, "\r\n");
	if (who->to.orcpt[0]) {
		text_add_string(out, "Original-Recipient: ");
		add_decoded(out, who->to.orcpt);
		text_add_string(out, "\r\n");
	}
	text_add_string(out, "Final-Recipient: rfc822; ");
	add_clean(out, who->to.address);
	text_format(out, "\r\nAction: %s\r\nStatus: %s\r\n", kinds[r->job->report].action,
	            who->status);
	if (who->remote_host[0]) {
		text_add_string(out, "Remote-MTA: dns; ");
		add_clean(out, who->remote_host);
		text_add_string(out, "\r\n");
	}
	if (who->text[0]) {
		/* "smtp" only for what an SMTP server said (RFC 3464 section 2.3.6). */
		text_add_string(out, who->remote_host[0] ? "Diagnostic-Code: smtp; "
		                                         : "Diagnostic-Code: x-posthouse; ");
		add_clean(out, who->text);
		text_add_string(out, "\r\n");
	}
	if (who->last_attempt_s)
		add_date(out, "Last-Attempt-Date", who->last_attempt_s);
	if (r->job->report == JOB_REPORT_DELAYED)
		add_date(out, "Will-Retry-Until", r->job->gives_up_s);
}

static void add_status(const struct report *r, struct text *out)
{
	text_format(
		out,
		"--%s\r\nContent-Type: message/delivery-status\r\nContent-Description: Delivery report\r\n\r\n",
		r->boundary);
	if (r->job->envelope.envid[0]) {
		text_add_string(out, "Original-Envelope-Id: ");
		add_decoded(out, r->job->envelope.envid);
		text_add_string(out, "\r\n");
	}
	text_format(out, "Reporting-MTA: dns; %s\r\nX-Posthouse-Queue-ID: %s\r\n", r->host,
	            r->job->id);
	add_date(out, "Arrival-Date", r->job->arrived_s);
	for (unsigned i = 0; i < r->count; i++)
		add_recipient(r, &r->recipients[i], out);
	text_add_string(out, "\r\n");
}

bool report_head(const struct report *r, struct text *out)
{
	text_clear(out);
	add_header(r, out);
	add_words(r, out);
	add_status(r, out);
	text_format(out, "--%s\r\nContent-Type: %s\r\nContent-Description: %s\r\n%s\r\n",
	            r->boundary, r->whole ? "message/rfc822" : "text/rfc822-headers",
	            r->whole ? "Your message" : "The header of your message",
	            r->eight_bit ? "Content-Transfer-Encoding: 8bit\r\n" : "");
	return !out->full;
}

void report_tail(const struct report *r, struct text *out)
{
	text_clear(out);
	text_format(out, "\r\n--%s--\r\n", r->boundary);
}
