/* SPDX-License-Identifier: ISC */
#include "queue/queued/outcomes.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"

void outcomes_defer(struct journal *j, struct message *m, struct recipient *r, const char *status,
                    const char *host, const char *text)
{
	outcome_set(&r->outcome, clock_wall_s(), status, host, text);
	recipient_set(m, r, RECIPIENT_DEFERRED);
	log_info("id=%s event=defer to=<%s> status=%s host=%s text=\"%s\"", message_name(m),
	         log_quote(view_of(recipient_address(m, r))), log_quote(view_of(status)),
	         host[0] ? log_quote(view_of(host)) : "-", log_text(view_of(text)));
	journal_note_recipient(j, m, r, QUEUE_RETRY);
}

/* RFC 3461 section 5.2. Our own reports carry NEVER for the hosts they pass; that one of them is
 * lost the postmaster is still told. */
void outcomes_give_up(struct journal *j, struct message *m, struct recipient *r, const char *status,
                      const char *host, const char *text)
{
	bool report = recipient_wants(r, ENVELOPE_NOTIFY_FAILURE) || m->origin == ENVELOPE_BOUNCE;

	outcome_set(&r->outcome, clock_wall_s(), status, host, text);
	recipient_set(m, r, report ? RECIPIENT_FAILED : RECIPIENT_GONE);
	log_info("id=%s event=fail to=<%s> status=%s host=%s text=\"%s\" report=%s",
	         message_name(m), log_quote(view_of(recipient_address(m, r))),
	         log_quote(view_of(status)), host[0] ? log_quote(view_of(host)) : "-",
	         log_text(view_of(text)), report ? "yes" : "no");
	journal_note_recipient(j, m, r, report ? QUEUE_FAILED : QUEUE_DONE);
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
		outcome_set(&r->outcome, clock_wall_s(), result->status, result->remote_host,
		            result->text);
	recipient_set(m, r, report ? RECIPIENT_SUCCESS : RECIPIENT_GONE);
	/* The last one needs no record: the file goes. */
	if (message_left(m))
		journal_note_recipient(j, m, r, report ? QUEUE_SUCCESS : QUEUE_DONE);
}
