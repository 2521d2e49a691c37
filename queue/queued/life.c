/* SPDX-License-Identifier: ISC */
/*
 * What a message needs next. Every event of a message (an answer of resolved, a result, the end of
 * a job, a timer, an operator's word) changes its recipients' states and ends in settle(), which
 * does what follows: write the log, report failures, plan the next attempt, or remove the file.
 */
#include <stdlib.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "queue/queued/queued.h"

static void settle(struct queued *q, struct message *m);

static const char *id_of(const struct message *m)
{
	static char id[QUEUE_ID_CHARS + 1];

	queue_id_text(m->id, id);
	return id;
}

/* ---- the log in the file ---- */

static void note(struct queued *q, struct message *m, const struct queue_log *l)
{
	queue_log_encode(&q->log, &q->disk.key, m->id, l);
}

static void note_outcome(struct queued *q, struct message *m, uint32_t index,
                         enum queue_event event, const struct outcome *o)
{
	struct queue_log l = { .event = event,
		               .index = index,
		               .time_s = o ? o->time_s : clock_wall_s() };

	l.number = event == QUEUE_SUCCESS && m->recipients[index].relayed;
	string_copy(l.status, sizeof l.status, view_of(outcome_status(o)));
	string_copy(l.host, sizeof l.host, view_take(view_of(outcome_host(o)), sizeof l.host - 1));
	string_copy(l.text, sizeof l.text, view_take(view_of(outcome_text(o)), sizeof l.text - 1));
	note(q, m, &l);
}

/* A record that cannot be written costs a repeated attempt after a restart, nothing more. */
static void write_notes(struct queued *q, struct message *m)
{
	if (q->log.len && disk_append(&q->disk, m->id, &m->log_end, text_view(&q->log)) < 0)
		log_warn("id=%s event=log-failed reason=\"%m\"", id_of(m));
	text_clear(&q->log);
}

/* ---- outcomes ---- */

static void defer(struct queued *q, struct message *m, struct recipient *r, const char *status,
                  const char *host, const char *text)
{
	outcome_set(&r->outcome, clock_wall_s(), status, host, text);
	recipient_set(m, r, RECIPIENT_DEFERRED);
	log_info("id=%s event=defer to=<%s> status=%s host=%s text=\"%s\"", id_of(m),
	         log_quote(view_of(recipient_address(m, r))), log_quote(view_of(status)),
	         host[0] ? log_quote(view_of(host)) : "-", log_text(view_of(text)));
	note_outcome(q, m, (uint32_t)(r - m->recipients), QUEUE_RETRY, r->outcome);
}

static bool wants(uint8_t notify, uint8_t what)
{
	return notify == 0 ? what != SPOOL_NOTIFY_SUCCESS : (notify & what) != 0;
}

/* RFC 3461 section 5.2: a report is owed unless NOTIFY says otherwise. Our own reports carry NEVER
 * for the hosts they pass; that one of them is lost the postmaster is still told. */
static void give_up(struct queued *q, struct message *m, struct recipient *r, const char *status,
                    const char *host, const char *text)
{
	bool report = wants(r->notify, SPOOL_NOTIFY_FAILURE) || m->origin == SPOOL_BOUNCE;

	outcome_set(&r->outcome, clock_wall_s(), status, host, text);
	recipient_set(m, r, report ? RECIPIENT_FAILED : RECIPIENT_GONE);
	log_info("id=%s event=fail to=<%s> status=%s host=%s text=\"%s\" report=%s", id_of(m),
	         log_quote(view_of(recipient_address(m, r))), log_quote(view_of(status)),
	         host[0] ? log_quote(view_of(host)) : "-", log_text(view_of(text)),
	         report ? "yes" : "no");
	note_outcome(q, m, (uint32_t)(r - m->recipients), report ? QUEUE_FAILED : QUEUE_DONE,
	             r->outcome);
}

static void done(struct queued *q, struct message *m, struct recipient *r, const char *by,
                 const struct job_result *result)
{
	bool report =
		r->notify & SPOOL_NOTIFY_SUCCESS && message_sender(m)[0] && !result->passed_on;

	log_info(
		"id=%s event=deliver to=<%s> by=%s status=%s delay_ms=%lld host=%s text=\"%s\" left=%u",
		id_of(m), log_quote(view_of(recipient_address(m, r))), by,
		log_quote(view_of(result->status)),
		(long long)(clock_wall_us() / 1000 - m->arrived_ms),
		result->remote_host[0] ? log_quote(view_of(result->remote_host)) : "-",
		log_text(view_of(result->text)), message_left(m) - 1);
	r->relayed = !r->target->local;
	if (report)
		outcome_set(&r->outcome, clock_wall_s(), result->status, result->remote_host,
		            result->text);
	recipient_set(m, r, report ? RECIPIENT_SUCCESS : RECIPIENT_GONE);
	if (message_left(m))
		note_outcome(q, m, (uint32_t)(r - m->recipients),
		             report ? QUEUE_SUCCESS : QUEUE_DONE, r->outcome);
}

/* ---- admission: questions ---- */

static void line_add(struct line_of_messages *line, struct message *m)
{
	m->line_next = NULL;
	if (line->last)
		line->last->line_next = m;
	else
		line->first = m;
	line->last = m;
}

static void stand_in_line(struct queued *q, struct message *m, bool old)
{
	m->in_line = true;
	m->cursor = 0;
	line_add(old ? &q->old : &q->fresh, m);
}

/* Asks about one message as far as there is room; true when all of it is asked. */
static bool ask_all(struct queued *q, struct message *m)
{
	for (; m->cursor < m->recipient_count; m->cursor++) {
		struct recipient *r = &m->recipients[m->cursor];

		if (r->state != RECIPIENT_NEW)
			continue;
		if (!resolving_has_room(q->resolving))
			return false;
		recipient_set(m, r, RECIPIENT_ASKED);
		resolving_ask(q->resolving, m, m->cursor);
	}
	return true;
}

/* Fresh mail has three turns in four. */
static struct line_of_messages *whose_turn(struct queued *q)
{
	if (q->old.first == NULL)
		return &q->fresh;
	if (q->fresh.first == NULL)
		return &q->old;
	return q->line_turn % SCHEDULE_OLD_TURN == 0 ? &q->old : &q->fresh;
}

void life_admit(void *context)
{
	struct queued *q = context;
	struct line_of_messages *line;
	struct message *m;

	while ((m = (line = whose_turn(q))->first) != NULL && resolving_has_room(q->resolving)) {
		if (!m->admitted && q->active >= QUEUED_ACTIVE_MAX)
			return;
		if (!m->admitted)
			q->active++;
		m->admitted = true;
		if (!m->removed && !m->held && !ask_all(q, m))
			return;
		line->first = m->line_next;
		if (line->first == NULL)
			line->last = NULL;
		m->in_line = false;
		q->line_turn++;
		settle(q, m);
	}
}

void life_begin(void *context, struct message *m)
{
	struct queued *q = context;

	records_add(&q->records, m);
	stand_in_line(q, m, false);
	life_admit(q);
}

/* ---- answers ---- */

/* Same address, or the same but for the case of the domain: resolved writes addresses in one
 * form. */
static bool has_address(const struct message *m, uint32_t index, const char *address)
{
	return strcmp(recipient_address(m, &m->recipients[index]), address) == 0;
}

/* The recipient itself goes where `f` says. */
static void take_found(struct queued *q, struct message *m, uint32_t index, struct found *f)
{
	struct recipient *r = &m->recipients[index];

	r->final = true;
	if (f->target) {
		target_drop(&r->target);
		r->target = f->target;
		f->target = NULL;
		recipient_set(m, r, RECIPIENT_READY);
	} else if (f->status[0] == '4') {
		defer(q, m, r, f->status, "", f->text);
	} else {
		give_up(q, m, r, f->status, "", f->text);
	}
}

/* Which of the found addresses the message has already: sorted, since lists are long. */
struct known {
	const char *address;
};

static int compare_known(const void *a, const void *b)
{
	return strcmp(((const struct known *)a)->address, ((const struct known *)b)->address);
}

/* RFC 3461 section 5.2.7.1 (d): reports about those that follow name the address that was an alias.
 */
static void name_original(struct message *m, struct recipient *r)
{
	char original[SPOOL_ORCPT_MAX];

	if (r->orcpt)
		return;
	snprintf(original, sizeof original, "rfc822;%s", recipient_address(m, r));
	r->orcpt = message_add_string(m, view_of(original));
}

/*
 * The recipient was an alias: others take its place. The records are written before anything is
 * delivered: after a crash nobody of the expansion is forgotten, and nobody is asked about twice.
 */
static void expand(struct queued *q, struct message *m, uint32_t index, struct found *found,
                   unsigned count)
{
	static struct queue_log l;
	uint32_t before = m->recipient_count;
	struct recipient *parent = &m->recipients[index];
	struct known *known = memory_get((before + 1) * sizeof *known);

	/* It may move the strings that `known` points into. */
	name_original(m, parent);
	for (uint32_t i = 0; i < before; i++) {
		/* The alias's own address may be among its targets; it is then a new, final
		 * recipient. */
		known[i].address = i == index ? "" : recipient_address(m, &m->recipients[i]);
	}
	qsort(known, before, sizeof *known, compare_known);
	l = (struct queue_log){ .event = QUEUE_NEW, .index = index };
	message_recipient(m, parent, &l.recipient);
	unsigned keep = 0;

	for (unsigned i = 0; i < count; i++) {
		struct known wanted = { found[i].address };

		if (m->recipient_count + (keep + 1) > UINT32_MAX / 2 ||
		    bsearch(&wanted, known, before, sizeof *known, compare_known))
			continue;
		string_copy(l.recipient.address, sizeof l.recipient.address,
		            view_of(found[i].address));
		note(q, m, &l);
		struct found swap = found[keep];

		found[keep] = found[i];
		found[i] = swap;
		keep++;
	}
	free(known);
	l = (struct queue_log){ .event = QUEUE_EXPANDED, .index = index };
	note(q, m, &l);
	recipient_set(m, parent, RECIPIENT_GONE);
	parent->final = true;
	for (unsigned i = 0; i < keep; i++)
		message_add_alike(m, index, view_of(found[i].address));
	log_info("id=%s event=expand to=<%s> into=%u", id_of(m),
	         log_quote(view_of(recipient_address(m, &m->recipients[index]))), keep);
	write_notes(q, m);
	for (unsigned i = 0; i < keep; i++)
		take_found(q, m, before + i, &found[i]);
}

void life_answered(void *context, struct message *m, uint32_t index, struct found *found,
                   unsigned count)
{
	struct queued *q = context;
	struct recipient *r = &m->recipients[index];

	if (r->state != RECIPIENT_ASKED) {
		found_free(found, count);
		return;
	}
	unsigned same = 0;

	while (same < count && !has_address(m, index, found[same].address))
		same++;
	/* Once final, a recipient stays itself as long as it is still among its own targets: the
	 * others of that expansion were made recipients the first time. */
	if (count == 1 && (!found[0].expanded || same == 0))
		take_found(q, m, index, &found[0]);
	else if (r->final && same < count)
		take_found(q, m, index, &found[same]);
	else if (count)
		expand(q, m, index, found, count);
	else
		defer(q, m, r, "4.3.0", "", "the address leads nowhere");
	found_free(found, count);
	settle(q, m);
}

/* ---- deliveries ---- */

static int compare_destination(const void *a, const void *b)
{
	const struct recipient *one = *(struct recipient *const *)a,
			       *other = *(struct recipient *const *)b;
	uintptr_t x = (uintptr_t)one->target->destination,
		  y = (uintptr_t)other->target->destination;

	/* Within one, in the order of the envelope. */
	return x != y ? (x > y) - (x < y) : (one > other) - (one < other);
}

/* Recipients with one destination go together, JOB_RECIPIENTS_MAX in one job. */
static void make_deliveries(struct queued *q, struct message *m)
{
	uint32_t count = m->counts[RECIPIENT_READY];
	struct recipient **list;

	if (count == 0)
		return;
	list = delivery_candidates(m, RECIPIENT_READY);
	for (uint32_t i = 0; m->held && i < count; i++)
		recipient_set(m, list[i], RECIPIENT_DEFERRED);
	if (m->held)
		count = 0;
	for (uint32_t i = 0; i < count; i++)
		agents_aim(q->agents, list[i]->target);
	if (count > 1)
		qsort(list, count, sizeof *list, compare_destination);
	for (uint32_t i = 0, n; i < count; i += n) {
		struct schedule_destination *to = list[i]->target->destination;

		n = 1;
		while (i + n < count && n < JOB_RECIPIENTS_MAX &&
		       list[i + n]->target->destination == to)
			n++;
		if (agents_is_down(q->agents, list[i]->target)) {
			for (uint32_t k = 0; k < n; k++)
				defer(q, m, list[i + k], "4.4.1", "",
				      "the destination did not answer a moment ago");
			continue;
		}
		for (uint32_t k = 0; k < n; k++)
			recipient_set(m, list[i + k], RECIPIENT_QUEUED);
		agents_deliver(q->agents, delivery_new(m, JOB_REPORT_NONE, list + i, n));
	}
	free(list);
}

/* ---- reports ---- */

static void report_some(struct queued *q, struct message *m, enum job_report report,
                        struct recipient **list, uint32_t count)
{
	for (uint32_t i = 0, n; i < count; i += n) {
		n = count - i < JOB_RECIPIENTS_MAX ? count - i : JOB_RECIPIENTS_MAX;
		for (uint32_t k = 0; k < n; k++)
			list[i + k]->listed = true;
		agents_report(q->agents, delivery_new(m, report, list + i, n));
	}
}

/* Recipients in `state` that fit `relayed` (-1: whatever) and are not yet in a report. */
static void report_state(struct queued *q, struct message *m, enum recipient_state state,
                         enum job_report report, int relayed)
{
	struct recipient **list;
	uint32_t count = 0;

	if (m->counts[state] == 0)
		return;
	list = delivery_candidates(m, state);
	for (uint32_t i = 0; i < m->counts[state]; i++)
		if (!list[i]->listed && (relayed < 0 || list[i]->relayed == relayed))
			list[count++] = list[i];
	report_some(q, m, report, list, count);
	free(list);
}

/* Is this a report to the postmaster that itself failed?  Then there is nobody left to tell. */
static bool is_double_bounce(const struct queued *q, const struct message *m)
{
	struct view first = view_of(recipient_address(m, &m->recipients[0])),
		    postmaster = view_of(q->settings.postmaster);

	if (message_sender(m)[0] != '\0' || m->origin != SPOOL_BOUNCE)
		return false;
	if (view_find(postmaster, '@') == postmaster.len)
		first = view_take(first, view_find(first, '@'));
	return view_equal_nocase(first, postmaster);
}

static void drop_failures(struct queued *q, struct message *m)
{
	for (uint32_t i = 0; i < m->recipient_count; i++) {
		struct recipient *r = &m->recipients[i];

		if (r->state != RECIPIENT_FAILED)
			continue;
		log_warn(
			"id=%s event=drop to=<%s> reason=\"a report to the postmaster cannot be delivered\"",
			id_of(m), log_quote(view_of(recipient_address(m, r))));
		note_outcome(q, m, i, QUEUE_DONE, r->outcome);
		recipient_set(m, r, RECIPIENT_GONE);
	}
}

static void report(struct queued *q, struct message *m)
{
	if (m->counts[RECIPIENT_FAILED] && is_double_bounce(q, m))
		drop_failures(q, m);
	report_state(q, m, RECIPIENT_FAILED, JOB_REPORT_FAILED, -1);
	report_state(q, m, RECIPIENT_SUCCESS, JOB_REPORT_DELIVERED, 0);
	report_state(q, m, RECIPIENT_SUCCESS, JOB_REPORT_RELAYED, 1);
}

/* RFC 3461 section 5.2.5: who did not ask is told as well, unless the message has no sender. */
static void report_delay(struct queued *q, struct message *m)
{
	struct recipient **list = delivery_candidates(m, RECIPIENT_DEFERRED);
	uint32_t count = 0;

	m->noticed = true;
	for (uint32_t i = 0; i < m->counts[RECIPIENT_DEFERRED]; i++)
		if (wants(list[i]->notify, SPOOL_NOTIFY_DELAY))
			list[count++] = list[i];
	if (message_sender(m)[0])
		report_some(q, m, JOB_REPORT_DELAYED, list, count);
	free(list);
}

/* ---- attempts ---- */

static int64_t wall_ms(void)
{
	return clock_wall_us() / 1000;
}

/* The loop's timer follows the earliest message. Also after a leap of the wall clock it looks once
 * a minute. */
static void arm(struct queued *q)
{
	enum { LOOK_MS = 60000 };
	const struct message *m = records_earliest(&q->records);
	int64_t left;

	if (m == NULL) {
		loop_timer_clear(q->loop, &q->attempts);
		return;
	}
	left = m->next_ms - wall_ms();
	loop_timer_set(q->loop, &q->attempts,
	               clock_ms() + (left < 0         ? 0
	                             : left > LOOK_MS ? LOOK_MS
	                                              : left + 1));
}

static void expire(struct queued *q, struct message *m)
{
	char text[JOB_TEXT_MAX];

	for (uint32_t i = 0; i < m->recipient_count; i++) {
		struct recipient *r = &m->recipients[i];
		char host[JOB_HOST_MAX];

		if (r->state != RECIPIENT_DEFERRED)
			continue;
		snprintf(text, sizeof text, "delivery time expired; last: %.400s",
		         outcome_text(r->outcome));
		string_copy(host, sizeof host,
		            view_take(view_of(outcome_host(r->outcome)), sizeof host - 1));
		/* RFC 3463 section 3.5: X.4.7. */
		give_up(q, m, r, "5.4.7", host, text);
	}
}

static struct schedule_limits retry_limits(const struct queued *q)
{
	return (struct schedule_limits){ .retry_first_ms = q->settings.queue_retry_first_ms,
		                         .retry_max_ms = q->settings.queue_retry_max_ms };
}

enum { AGENT_DIED_RETRY_MS = 1000 };

/* There are deferred recipients, or reports that could not be made. */
static void plan_attempt(struct queued *q, struct message *m)
{
	struct schedule_limits limits = retry_limits(q);
	int64_t now = wall_ms(), ends = m->arrived_ms + q->settings.queue_lifetime_ms;

	/* An agent that died is our own trouble: the delays begin small, and still grow for a
	 * message that kills agents. */
	if (m->agent_died && limits.retry_first_ms > AGENT_DIED_RETRY_MS)
		limits.retry_first_ms = AGENT_DIED_RETRY_MS;
	m->agent_died = false;
	if (m->attempts < UINT16_MAX)
		m->attempts++;
	int64_t next = now + schedule_retry_ms(&limits, m->attempts, randombytes_random());

	/* The last attempt is at the end of its life, not long before it. */
	if (now < ends && next > ends)
		next = ends;
	struct queue_log l = { .event = QUEUE_ATTEMPT,
		               .number = m->attempts,
		               .time_s = next / 1000 };

	note(q, m, &l);
	records_set_next(&q->records, m, next);
	arm(q);
}

void life_attempt_now(struct queued *q, struct message *m)
{
	records_set_next(&q->records, m, 0);
	m->report_later = false;
	for (uint32_t i = 0; i < m->recipient_count; i++)
		if (m->recipients[i].state == RECIPIENT_DEFERRED)
			recipient_set(m, &m->recipients[i], RECIPIENT_NEW);
	m->cursor = 0;
	if (!m->in_line && !m->held && !m->removed)
		stand_in_line(q, m, true);
}

/* What waited goes on waiting, what had its time (or is new) goes on now. */
void life_found(void *context, struct message *m, int64_t next_ms)
{
	struct queued *q = context;
	int64_t now = wall_ms(), latest = now + q->settings.queue_retry_max_ms;

	records_add(&q->records, m);
	if (m->held ||
	    (m->counts[RECIPIENT_NEW] == 0 && m->counts[RECIPIENT_DEFERRED] && next_ms > now))
		records_set_next(&q->records, m, m->held ? 0 : next_ms < latest ? next_ms : latest);
	else
		life_attempt_now(q, m);
}

void life_found_all(struct queued *q)
{
	arm(q);
}

static void attempts_due(struct timer *t)
{
	struct queued *q = loop_owner(t, struct queued, attempts);
	int64_t now = wall_ms();
	struct message *m;

	while ((m = records_earliest(&q->records)) != NULL && m->next_ms <= now)
		life_attempt_now(q, m);
	arm(q);
	life_admit(q);
}

/* ---- the end, and what comes before it ---- */

static void end(struct queued *q, struct message *m)
{
	if (disk_remove(&q->disk, m->id) < 0)
		log_warn("id=%s event=remove-failed reason=\"%m\"", id_of(m));
	text_clear(&q->log);
	if (m->admitted)
		q->active--;
	records_remove(&q->records, m);
	message_free(&m);
}

static bool is_expired(const struct queued *q, const struct message *m)
{
	return wall_ms() >= m->arrived_ms + q->settings.queue_lifetime_ms;
}

static bool is_notice_due(const struct queued *q, const struct message *m)
{
	return !m->noticed && q->settings.queue_delay_notice_ms &&
	       wall_ms() >= m->arrived_ms + q->settings.queue_delay_notice_ms;
}

/* Nothing of it is on its way: reports are made of all that happened in this attempt, together. */
static void settle_quiet(struct queued *q, struct message *m)
{
	if (m->counts[RECIPIENT_DEFERRED] && is_expired(q, m))
		expire(q, m);
	if (!m->report_later)
		report(q, m);
	if (m->counts[RECIPIENT_DEFERRED] && m->deliveries == NULL && is_notice_due(q, m))
		report_delay(q, m);
}

static void settle(struct queued *q, struct message *m)
{
	bool on_its_way = m->in_line || m->counts[RECIPIENT_ASKED] || m->counts[RECIPIENT_NEW];

	if (m->removed) {
		text_clear(&q->log);
		if (!m->in_line && m->deliveries == NULL)
			end(q, m);
		return;
	}
	if (!on_its_way)
		make_deliveries(q, m);
	if (!on_its_way && m->deliveries == NULL && !m->held)
		settle_quiet(q, m);
	if (message_left(m) == 0 && m->deliveries == NULL && !m->in_line) {
		end(q, m);
		return;
	}
	if (!m->held && m->next_ms == 0 && !m->in_line &&
	    (m->counts[RECIPIENT_DEFERRED] || (m->report_later && m->deliveries == NULL)))
		plan_attempt(q, m);
	write_notes(q, m);
	if (!m->in_line && m->counts[RECIPIENT_ASKED] == 0 && m->deliveries == NULL &&
	    m->admitted) {
		m->admitted = false;
		q->active--;
	}
}

/* ---- results ---- */

static void reported(struct queued *q, struct delivery *d, struct recipient *r,
                     const struct job_result *result)
{
	struct message *m = d->message;
	uint32_t index = (uint32_t)(r - m->recipients);

	r->listed = false;
	if (result->outcome == JOB_RETRY) {
		if (d->report == JOB_REPORT_DELAYED)
			m->noticed = false;
		else
			m->report_later = true;
		return;
	}
	if (result->outcome == JOB_FAILED)
		log_warn("id=%s event=drop to=<%s> reason=\"no report can be made: %s\"", id_of(m),
		         log_quote(view_of(recipient_address(m, r))),
		         log_text(view_of(result->text)));
	if (d->report == JOB_REPORT_DELAYED) {
		struct queue_log l = { .event = QUEUE_NOTICE, .time_s = clock_wall_s() };

		if (index == d->who[0].index)
			note(q, m, &l);
		return;
	}
	recipient_set(m, r, RECIPIENT_GONE);
	if (message_left(m))
		note_outcome(q, m, index, QUEUE_DONE, r->outcome);
}

void life_result(void *context, struct delivery *d, struct recipient *r,
                 const struct job_result *result)
{
	struct queued *q = context;
	struct message *m = d->message;

	if (d->report != JOB_REPORT_NONE)
		reported(q, d, r, result);
	else if (result->outcome == JOB_DONE)
		done(q, m, r, agents_name(d), result);
	else if (result->outcome == JOB_FAILED)
		give_up(q, m, r, result->status, result->remote_host, result->text);
	else
		defer(q, m, r, result->status, result->remote_host, result->text);
	/* Written with the end of the job, when the file is not removed then. */
	text_add(&d->notes, text_view(&q->log));
	text_clear(&q->log);
}

void life_delivered(void *context, struct delivery *d)
{
	struct queued *q = context;
	struct message *m = d->message;

	text_add(&q->log, text_view(&d->notes));
	delivery_free(d);
	settle(q, m);
	life_admit(q);
}

/* Back from a schedule without an attempt. */
static void give_back(struct queued *q, struct delivery *d, const char *text)
{
	struct message *m = d->message;

	for (unsigned i = 0; i < d->count; i++) {
		struct recipient *r = &m->recipients[d->who[i].index];

		r->listed = false;
		if (d->report != JOB_REPORT_NONE)
			m->report_later = true;
		else if (text)
			defer(q, m, r, "4.4.1", "", text);
		else
			recipient_set(m, r, RECIPIENT_DEFERRED);
	}
	delivery_free(d);
}

void life_turned_away(void *context, struct delivery *d)
{
	struct queued *q = context;
	struct message *m = d->message;

	give_back(q, d, "the destination does not answer");
	settle(q, m);
}

/* ---- operators ---- */

static void take_back_waiting(struct queued *q, struct message *m)
{
	struct delivery *next;

	for (struct delivery *d = m->deliveries; d; d = next) {
		next = d->of_next;
		if (d->running)
			continue;
		agents_take_back(q->agents, d);
		give_back(q, d, NULL);
	}
}

void life_forgive(void *context)
{
	struct queued *q = context;

	agents_forgive(q->agents);
}

void life_retry(void *context, struct message *m)
{
	life_attempt_now(context, m);
}

void life_hold(void *context, struct message *m, bool hold)
{
	struct queued *q = context;
	struct queue_log l = { .event = hold ? QUEUE_HOLD : QUEUE_RELEASE,
		               .time_s = clock_wall_s() };

	if (m->held == hold || m->removed)
		return;
	m->held = hold;
	note(q, m, &l);
	write_notes(q, m);
	log_info("id=%s event=%s", id_of(m), hold ? "hold" : "release");
	if (hold) {
		take_back_waiting(q, m);
		records_set_next(&q->records, m, 0);
		settle(q, m);
	} else {
		life_attempt_now(q, m);
	}
}

void life_remove(void *context, struct message *m)
{
	struct queued *q = context;

	if (m->removed)
		return;
	log_info("id=%s event=remove left=%u", id_of(m), message_left(m));
	m->removed = true;
	take_back_waiting(q, m);
	resolving_forget(q->resolving, m);
	records_set_next(&q->records, m, 0);
	settle(q, m);
}

void life_start(struct queued *q)
{
	text_init(&q->log, QUEUE_ENVELOPE_MAX);
	q->attempts.due = attempts_due;
}
