/* SPDX-License-Identifier: ISC */
#include "queue/queued/reports.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"

static bool has_sender(const struct message *m)
{
	return message_sender(m)[0] != '\0';
}

/* Is the sender nobody but who the network says?  The null sender's reports are the postmaster's:
 * each, but for what an alias brings about, which they hear of once as of a named sender's. */
static bool is_strangers(const struct message *m, const struct recipient *r)
{
	return m->origin == ENVELOPE_NETWORK && (has_sender(m) || r->expanded);
}

/* A report or the like from the network, for a target of an alias: whatever becomes of it, the
 * postmaster hears of the target once. */
static bool is_nullsenders(const struct message *m, const struct recipient *r)
{
	return is_strangers(m, r) && !has_sender(m);
}

/*
 * A failure of systems or networks, which no sender brings about and which happens to honest mail
 * for an address that we have taken (RFC 3463): a system (X.3), a network (X.4), a protocol (X.5),
 * a domain that is not found (X.1.2) though it is one of ours or an alias leads there. Not a size
 * (X.3.4) or a loop by what the message says of itself (X.4.6: Received, Delivered-To), which a
 * sender can make; a loop of our maps or of the DNS is X.3.5. And nothing that somebody has judged:
 * an address, a mailbox, a text. None: it was never tried.
 */
static bool is_trouble(struct view detail)
{
	if (view_equal(detail, VIEW(".3.4")) || view_equal(detail, VIEW(".4.6")))
		return false;
	return detail.len == 0 || view_starts(detail, VIEW(".3.")) ||
	       view_starts(detail, VIEW(".4.")) || view_starts(detail, VIEW(".5.")) ||
	       view_equal(detail, VIEW(".1.2"));
}

/* "Later", for as long as a message lives: nobody has refused it. Not what the sender brings about:
 * an address of theirs (X.1.7, X.1.8), a mailbox that is full, a size, a loop, a form of the
 * message (X.6), a signature or policy of theirs (RFC 7372, RFC 7505, and the registry of RFC
 * 5248). X.7.25 and X.7.28 are about us: our address has no name, or sends too much. */
static bool is_endless(struct view status, struct view detail)
{
	static const char *const senders[] = {
		".1.7",  ".1.8",  ".2.2",  ".3.4",  ".4.6",  ".7.20", ".7.21",
		".7.22", ".7.23", ".7.24", ".7.26", ".7.27", ".7.29",
	};
	bool theirs = view_starts(detail, VIEW(".6."));

	for (size_t i = 0; i < sizeof senders / sizeof senders[0]; i++)
		theirs = theirs || view_equal(detail, view_of(senders[i]));
	return view_starts(status, VIEW("4")) && !theirs;
}

/* An alias leads round in a circle, by our maps or by the DNS of its target, which is the target's
 * owner to change: the postmaster corrects it, and a forged sender is not told with each message.
 */
static bool is_our_loop(const struct recipient *r, struct view detail)
{
	return r->expanded && view_equal(detail, VIEW(".3.5"));
}

bool reports_may_tell(const struct message *m, const struct recipient *r, const char *status)
{
	struct view code = view_of(status), detail = view_skip(code, view_find(code, '.'));

	return !is_strangers(m, r) || (is_trouble(detail) && !is_our_loop(r, detail)) ||
	       is_endless(code, detail);
}

/* The address is wrong (RFC 3463: X.1.n, but 7 and 8, which are the sender's). What a host has
 * against the message, or against its sender, is a stranger's to bring about. */
static bool is_nowhere(struct view status)
{
	return view_starts(status, VIEW("5.1.")) && !view_equal(status, VIEW("5.1.7")) &&
	       !view_equal(status, VIEW("5.1.8"));
}

/* A size is the message's. */
static bool is_too_large(const char *status)
{
	return strcmp(status, "5.2.3") == 0 || strcmp(status, "5.3.4") == 0;
}

bool reports_is_postmasters(const struct message *m, const struct recipient *r, const char *status,
                            bool before_text)
{
	struct view code = view_of(status), detail = view_skip(code, view_find(code, '.'));

	if (is_nullsenders(m, r))
		return true;
	return r->expanded && !reports_may_tell(m, r, status) &&
	       (is_nowhere(code) || is_our_loop(r, detail) ||
	        (before_text && !is_too_large(status)));
}

void reports_start(struct reports *rs)
{
	refusals_begin(&rs->told);
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

static enum job_report report_on(const struct message *m, const struct recipient *r)
{
	if (r->state == RECIPIENT_SUCCESS)
		return r->relayed ? JOB_REPORT_RELAYED : JOB_REPORT_DELIVERED;
	/* Owed to somebody, and not to the sender (outcomes.c): also of what a file tells of. */
	return reports_may_tell(m, r, saying_status(r->said)) && !is_nullsenders(m, r)
	               ? JOB_REPORT_FAILED
	               : JOB_REPORT_ALIAS;
}

/* Recipients in `state` that are owed this report and are not yet in one. */
static void make_of_state(struct message *m, enum recipient_state state, enum job_report report)
{
	struct recipient **list;
	uint32_t count = 0;

	if (message_count(m, state) == 0)
		return;
	list = delivery_candidates(m, state);
	for (uint32_t i = 0; i < message_count(m, state); i++)
		if (!list[i]->listed && report_on(m, list[i]) == report)
			list[count++] = list[i];
	make_some(m, report, list, count);
	free(list);
}

/* Is this a report to the postmaster that itself failed?  Then there is nobody left to tell. */
static bool is_double_bounce(const struct reports *rs, const struct message *m)
{
	struct view first = view_of(recipient_address(m, &m->recipients[0])),
		    postmaster = view_of(rs->settings->postmaster);

	if (has_sender(m) || m->origin != ENVELOPE_BOUNCE)
		return false;
	if (view_find(postmaster, '@') == postmaster.len)
		first = view_take(first, view_find(first, '@'));
	return view_equal_nocase(first, postmaster);
}

static void drop_failure(struct reports *rs, struct message *m, struct recipient *r,
                         const char *reason)
{
	log_warn("id=%s event=drop to=<%s> reason=\"%s\"", message_name(m),
	         log_quote(view_of(recipient_address(m, r))), log_text(view_of(reason)));
	journal_note_recipient(rs->journal, m, r, QUEUE_DONE);
	recipient_set(m, r, RECIPIENT_GONE);
}

static void drop_failures(struct reports *rs, struct message *m)
{
	for (uint32_t i = 0; i < m->recipient_count; i++)
		if (m->recipients[i].state == RECIPIENT_FAILED)
			drop_failure(rs, m, &m->recipients[i],
			             "a report to the postmaster cannot be delivered");
}

/* Of each target, and of each way in which it fails: what one message brings about (its size) must
 * not keep the postmaster from hearing that nobody is there. Valid until the next one is made. */
static struct view told_key(const struct message *m, const struct recipient *r)
{
	static char key[STATUS_MAX + ADDRESS_MAX];

	string_print_cut(key, sizeof key, "%s %s", saying_status(r->said), recipient_address(m, r));
	return view_of(key);
}

/* Before reports are made: whoever knows already is not told again. What is made now counts as
 * told, so that of a hundred messages one says it; where it cannot be made that is taken back. */
static void tell_postmaster_once(struct reports *rs, struct message *m)
{
	for (uint32_t i = 0; i < m->recipient_count; i++) {
		struct recipient *r = &m->recipients[i];
		struct view key = told_key(m, r);

		if (r->state != RECIPIENT_FAILED || r->listed ||
		    report_on(m, r) != JOB_REPORT_ALIAS)
			continue;
		if (refusals_find(&rs->told, RESOLVE_ADDRESS_UNKNOWN, key, clock_ms()))
			drop_failure(
				rs, m, r,
				"the postmaster was told before that this target takes no mail");
		else
			refusals_add(&rs->told, RESOLVE_ADDRESS_UNKNOWN, key, 0, clock_ms(),
			             REFUSAL_UNKNOWN_MS);
	}
}

void reports_given_back(struct reports *rs, const struct delivery *d, const struct recipient *r)
{
	if (d->report == JOB_REPORT_ALIAS)
		refusals_add(&rs->told, RESOLVE_ADDRESS_UNKNOWN, told_key(d->message, r), 0,
		             clock_ms(), 0);
}

void reports_make(struct reports *rs, struct message *m)
{
	if (message_count(m, RECIPIENT_FAILED) && is_double_bounce(rs, m))
		drop_failures(rs, m);
	if (message_count(m, RECIPIENT_FAILED))
		tell_postmaster_once(rs, m);
	make_of_state(m, RECIPIENT_FAILED, JOB_REPORT_FAILED);
	make_of_state(m, RECIPIENT_FAILED, JOB_REPORT_ALIAS);
	make_of_state(m, RECIPIENT_SUCCESS, JOB_REPORT_DELIVERED);
	make_of_state(m, RECIPIENT_SUCCESS, JOB_REPORT_RELAYED);
}

static bool is_notice_due(const struct reports *rs, const struct message *m)
{
	return message_count(m, RECIPIENT_DEFERRED) && !m->noticed &&
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
	for (uint32_t i = 0; i < message_count(m, RECIPIENT_DEFERRED); i++)
		if (recipient_wants(list[i], ENVELOPE_NOTIFY_DELAY))
			list[count++] = list[i];
	if (has_sender(m) && m->origin != ENVELOPE_NETWORK)
		make_some(m, JOB_REPORT_DELAYED, list, count);
	free(list);
}

static void wait_for(struct message *m, enum report_wait wait)
{
	if (m->report_wait < wait)
		m->report_wait = wait;
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
	if (result->outcome != JOB_DONE)
		reports_given_back(rs, d, r);
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
