/* SPDX-License-Identifier: ISC */
#include "queue/queued/reports.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"

/* Is the sender nobody but who the network says?  The null sender's reports are the postmaster's.
 */
static bool is_strangers(const struct message *m)
{
	return m->origin == ENVELOPE_NETWORK && message_sender(m)[0] != '\0';
}

/*
 * A failure of systems or networks, which no sender brings about and which happens to honest mail
 * for an address that we have taken (RFC 3463): a system (X.3), a network (X.4), a protocol (X.5),
 * a domain that is not found (X.1.2) though it is one of ours or an alias leads there. Not a size
 * (X.3.4) or a loop (X.4.6), which a sender can make, and nothing that somebody has judged: an
 * address, a mailbox, a text. None: it was never tried.
 */
static bool is_trouble(struct view detail)
{
	if (view_equal(detail, VIEW(".3.4")) || view_equal(detail, VIEW(".4.6")))
		return false;
	return detail.len == 0 || view_starts(detail, VIEW(".3.")) ||
	       view_starts(detail, VIEW(".4.")) || view_starts(detail, VIEW(".5.")) ||
	       view_equal(detail, VIEW(".1.2"));
}

/* "Later", for as long as a message lives, and no reason that is the sender's. */
static bool is_endless(struct view status, struct view detail)
{
	return view_starts(status, VIEW("4")) &&
	       (view_equal(detail, VIEW(".0.0")) || view_equal(detail, VIEW(".2.0")) ||
	        view_equal(detail, VIEW(".2.1")));
}

bool reports_may_tell(const struct message *m, const char *status)
{
	struct view code = view_of(status), detail = view_skip(code, view_find(code, '.'));

	return !is_strangers(m) || is_trouble(detail) || is_endless(code, detail);
}

static void make_some(struct message *m, enum job_report report, struct recipient **list,
                      uint32_t count)
{
	for (uint32_t i = 0, n; i < count; i += n) {
		n = count - i < JOB_RECIPIENTS_MAX ? count - i : JOB_RECIPIENTS_MAX;
		for (uint32_t k = 0; k < n; k++)
			list[i + k]->listed = true;
		delivery_new(m, report, list + i, n);
	}
}

/* Recipients in `state` that fit `relayed` (-1: whatever) and are not yet in a report. */
static void make_of_state(struct message *m, enum recipient_state state, enum job_report report,
                          int relayed)
{
	struct recipient **list;
	uint32_t count = 0;

	if (m->counts[state] == 0)
		return;
	list = delivery_candidates(m, state);
	for (uint32_t i = 0; i < m->counts[state]; i++)
		if (!list[i]->listed && (relayed < 0 || list[i]->relayed == relayed))
			list[count++] = list[i];
	make_some(m, report, list, count);
	free(list);
}

/* Is this a report to the postmaster that itself failed?  Then there is nobody left to tell. */
static bool is_double_bounce(const struct reports *rs, const struct message *m)
{
	struct view first = view_of(recipient_address(m, &m->recipients[0])),
		    postmaster = view_of(rs->settings->postmaster);

	if (message_sender(m)[0] != '\0' || m->origin != ENVELOPE_BOUNCE)
		return false;
	if (view_find(postmaster, '@') == postmaster.len)
		first = view_take(first, view_find(first, '@'));
	return view_equal_nocase(first, postmaster);
}

static void drop_failures(struct reports *rs, struct message *m)
{
	for (uint32_t i = 0; i < m->recipient_count; i++) {
		struct recipient *r = &m->recipients[i];

		if (r->state != RECIPIENT_FAILED)
			continue;
		log_warn(
			"id=%s event=drop to=<%s> reason=\"a report to the postmaster cannot be delivered\"",
			message_name(m), log_quote(view_of(recipient_address(m, r))));
		journal_note_recipient(rs->journal, m, r, QUEUE_DONE);
		recipient_set(m, r, RECIPIENT_GONE);
	}
}

void reports_make(struct reports *rs, struct message *m)
{
	if (m->counts[RECIPIENT_FAILED] && is_double_bounce(rs, m))
		drop_failures(rs, m);
	make_of_state(m, RECIPIENT_FAILED, JOB_REPORT_FAILED, -1);
	make_of_state(m, RECIPIENT_SUCCESS, JOB_REPORT_DELIVERED, 0);
	make_of_state(m, RECIPIENT_SUCCESS, JOB_REPORT_RELAYED, 1);
}

static bool is_notice_due(const struct reports *rs, const struct message *m)
{
	return m->counts[RECIPIENT_DEFERRED] && !m->noticed &&
	       rs->settings->queue_delay_notice_ms &&
	       message_age_ms(m) >= rs->settings->queue_delay_notice_ms;
}

/* RFC 3461 section 5.2.5: who did not ask is told as well, unless the message has no sender, or one
 * that a stranger has named. */
void reports_notice(struct reports *rs, struct message *m)
{
	struct recipient **list;
	uint32_t count = 0;

	if (!is_notice_due(rs, m))
		return;
	m->noticed = true;
	list = delivery_candidates(m, RECIPIENT_DEFERRED);
	for (uint32_t i = 0; i < m->counts[RECIPIENT_DEFERRED]; i++)
		if (recipient_wants(list[i], ENVELOPE_NOTIFY_DELAY))
			list[count++] = list[i];
	if (message_sender(m)[0] && !is_strangers(m))
		make_some(m, JOB_REPORT_DELAYED, list, count);
	free(list);
}

static void wait_for(struct message *m, enum report_wait wait)
{
	if (m->report_wait < wait)
		m->report_wait = (uint8_t)wait;
}

/* However many of its recipients say so, it counts once. */
static void not_now(const struct delivery *d, bool own_fault)
{
	struct message *m = d->message;

	if (d->report == JOB_REPORT_DELAYED)
		m->noticed = false;
	if (!own_fault)
		m->report_faults = 0;
	else if (m->report_wait != REPORT_NOW)
		return;
	bool soon = own_fault && m->report_faults < OWN_RETRY_MAX;

	m->report_faults += soon;
	wait_for(m, soon ? REPORT_SOON : REPORT_LATER);
}

void reports_result(struct reports *rs, struct delivery *d, struct recipient *r,
                    const struct job_result *result)
{
	struct message *m = d->message;

	r->listed = false;
	if (result->outcome == JOB_RETRY || result->outcome == JOB_OWN_FAULT) {
		not_now(d, result->outcome == JOB_OWN_FAULT);
		return;
	}
	m->report_faults = 0;
	if (result->outcome == JOB_FAILED)
		log_warn("id=%s event=drop to=<%s> reason=\"no report can be made: %s\"",
		         message_name(m), log_quote(view_of(recipient_address(m, r))),
		         log_text(view_of(result->text)));
	if (d->report == JOB_REPORT_DELAYED) {
		struct queue_log l = { .event = QUEUE_NOTICE, .time_s = clock_wall_s() };

		if (r == &m->recipients[d->who[0].index])
			journal_note(rs->journal, m, &l);
		return;
	}
	recipient_set(m, r, RECIPIENT_GONE);
	if (message_stays(m))
		journal_note_recipient(rs->journal, m, r, QUEUE_DONE);
}
