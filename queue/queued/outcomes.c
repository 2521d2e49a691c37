/* SPDX-License-Identifier: ISC */
#include "queue/queued/outcomes.h"

#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "queue/queued/reports.h"

static void put_off(struct journal *j, struct message *m, struct recipient *r, const char *status,
                    const char *host, const char *text)
{
	recipient_say(r, clock_wall_s(), status, host, text);
	recipient_set(m, r, RECIPIENT_DEFERRED);
	log_info("id=%s event=defer to=<%s> status=%s host=%s text=\"%s\"", message_name(m),
	         log_quote(view_of(recipient_address(m, r))), log_quote(view_of(status)),
	         host[0] ? log_quote(view_of(host)) : "-", log_text(view_of(text)));
	journal_note_recipient(j, m, r, QUEUE_RETRY);
}

void outcomes_defer(struct journal *j, struct message *m, struct recipient *r, const char *status,
                    const char *host, const char *text)
{
	r->own_faults = 0;
	put_off(j, m, r, status, host, text);
}

void outcomes_own_fault(struct journal *j, struct message *m, struct recipient *r, const char *by,
                        const struct job_result *result)
{
	if (r->own_faults >= OWN_RETRY_MAX) {
		put_off(j, m, r, result->status, "", result->text);
		return;
	}
	r->own_faults++;
	recipient_say(r, clock_wall_s(), result->status, "", result->text);
	recipient_set(m, r, RECIPIENT_AGAIN);
	log_info("id=%s event=repeat to=<%s> by=%s status=%s faults=%u text=\"%s\"",
	         message_name(m), log_quote(view_of(recipient_address(m, r))), by,
	         log_quote(view_of(result->status)), (unsigned)r->own_faults,
	         log_text(view_of(result->text)));
}

/* RFC 3461 section 5.2. Our own reports carry NEVER for the hosts they pass; that one of them is
 * lost the postmaster is still told, as of an alias that leads nowhere, whatever a stranger asks.
 */
static void fail_for_good(struct journal *j, struct message *m, struct recipient *r,
                          const char *status, const char *host, const char *text, bool may_tell,
                          bool before_text)
{
	bool wanted = recipient_wants(r, ENVELOPE_NOTIFY_FAILURE) || m->origin == ENVELOPE_BOUNCE,
	     postmasters = reports_is_postmasters(m, r, status, before_text),
	     report = (wanted && may_tell) || postmasters;

	recipient_say(r, clock_wall_s(), status, host, text);
	recipient_set(m, r, report ? RECIPIENT_FAILED : RECIPIENT_GONE);
	log_info("id=%s event=fail to=<%s> status=%s host=%s text=\"%s\" report=%s",
	         message_name(m), log_quote(view_of(recipient_address(m, r))),
	         log_quote(view_of(status)), host[0] ? log_quote(view_of(host)) : "-",
	         log_text(view_of(text)),
	         postmasters ? "postmaster"
	         : report    ? "yes"
	                     : "no");
	if (wanted && !report)
		log_warn(
			"id=%s event=drop from=<%s> to=<%s> status=%s reason=\"no report goes to a sender whom nobody has verified\"",
			message_name(m), log_quote(view_of(message_sender(m))),
			log_quote(view_of(recipient_address(m, r))), log_quote(view_of(status)));
	journal_note_recipient(j, m, r, report ? QUEUE_FAILED : QUEUE_DONE);
}

void outcomes_give_up(struct journal *j, struct message *m, struct recipient *r, const char *status,
                      const char *host, const char *text, bool before_text)
{
	fail_for_good(j, m, r, status, host, text, reports_may_tell(m, r, status), before_text);
}

void outcomes_expire(struct journal *j, struct message *m, struct recipient *r)
{
	char text[JOB_TEXT_MAX], host[JOB_HOST_MAX];
	bool may_tell = reports_may_tell(m, r, saying_status(r->said));

	/* Another host's words stay its own (RFC 3464 section 2.3.6): that they are not why it
	 * failed shows in them, for they are a refusal for now. */
	string_put(host, sizeof host, view_of(saying_host(r->said)));
	if (host[0])
		string_cut(text, sizeof text, view_of(saying_text(r->said)));
	else
		string_print_cut(text, sizeof text, "delivery time expired; last: %s",
		                 saying_text(r->said));
	/* RFC 3463 section 3.5: X.4.7. */
	fail_for_good(j, m, r, "5.4.7", host, text, may_tell, false);
}

void outcomes_done(struct journal *j, struct message *m, struct recipient *r, const char *by,
                   const struct job_result *result)
{
	bool report =
		r->notify & ENVELOPE_NOTIFY_SUCCESS && message_sender(m)[0] && !result->passed_on;

	log_info(
		"id=%s event=deliver to=<%s> by=%s status=%s delay_ms=%lld host=%s text=\"%s\" left=%u",
		message_name(m), log_quote(view_of(recipient_address(m, r))), by,
		log_quote(view_of(result->status)), (long long)(clock_wall_ms() - m->arrived_ms),
		result->remote_host[0] ? log_quote(view_of(result->remote_host)) : "-",
		log_text(view_of(result->text)), message_left(m) - 1);
	r->relayed = agent_carries(r->target->agent, AGENT_CARRIES_HOPS);
	if (report)
		recipient_say(r, clock_wall_s(), result->status, result->remote_host, result->text);
	recipient_set(m, r, report ? RECIPIENT_SUCCESS : RECIPIENT_GONE);
	if (message_stays(m))
		journal_note_recipient(j, m, r, report ? QUEUE_SUCCESS : QUEUE_DONE);
}
