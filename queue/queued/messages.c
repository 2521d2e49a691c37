/* SPDX-License-Identifier: ISC */
/*
 * Every event of a message (an answer of resolved, a result, the end of a job, a timer, an
 * operator's word) changes its recipients' states and ends in settle(), which does what follows:
 * make deliveries, report failures, plan the next attempt, write the log, or remove the file.
 */
#include "queue/queued/messages.h"

#include <sodium.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "queue/queued/admission.h"
#include "queue/queued/answers.h"
#include "queue/queued/attempts.h"
#include "queue/queued/lessons.h"
#include "queue/queued/outcomes.h"
#include "queue/queued/repeated.h"
#include "queue/queued/reports.h"

enum { WRITE_AFTER_MS = 1000 };

struct messages {
	struct messages_setup with;
	struct agents *agents;
	struct resolving *resolving;
	struct journal *journal;
	struct admission admission;
	struct attempts attempts;
	struct reports reports;
	struct lessons lessons;
	struct list noted; /* deliveries that run on, with results that are not written */
	struct timer writing;
};

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

/* One that kills its agent again and again must not take others of its message along. */
static bool goes_alone(const struct recipient *r)
{
	enum { FAULTS_WITH_OTHERS = 2 };

	return r->own_faults >= FAULTS_WITH_OTHERS;
}

/* How many of the first of these go together. */
static uint32_t count_together(struct recipient *const *list, uint32_t count)
{
	uint32_t n = 1;

	if (goes_alone(list[0]))
		return 1;
	while (n < count && n < JOB_RECIPIENTS_MAX && !goes_alone(list[n]) &&
	       list[n]->target->destination == list[0]->target->destination)
		n++;
	return n;
}

static void deliver(struct messages *ms, struct message *m, struct recipient *const *list,
                    uint32_t count)
{
	bool down = agents_is_down(ms->agents, list[0]->target);

	for (uint32_t i = 0; i < count; i++) {
		if (down)
			outcomes_defer(ms->journal, m, list[i], "4.4.1", "",
			               "the destination did not respond recently");
		else
			recipient_set(m, list[i], RECIPIENT_QUEUED);
	}
	if (!down)
		agents_deliver(ms->agents, delivery_new(m, JOB_REPORT_NONE, list, count));
}

/* Recipients with one destination go together, JOB_RECIPIENTS_MAX in one job. */
static void make_deliveries(struct messages *ms, struct message *m)
{
	uint32_t count = message_count(m, RECIPIENT_READY);
	struct recipient **list;

	if (count == 0)
		return;
	list = delivery_candidates(m, RECIPIENT_READY);
	for (uint32_t i = 0; i < count; i++) {
		if (m->held)
			recipient_set(m, list[i], RECIPIENT_DEFERRED);
		else
			agents_aim(ms->agents, list[i]->target);
	}
	if (m->held)
		count = 0;
	if (count > 1)
		count = repeated_drop(ms->journal, m, list, count);
	if (count > 1)
		qsort(list, count, sizeof *list, compare_destination);
	for (uint32_t i = 0, n; i < count; i += n) {
		n = count_together(list + i, count - i);
		deliver(ms, m, list + i, n);
	}
	free(list);
}

/* Back from the agents' side without an attempt; status NULL: by an operator's word. */
static void give_back(struct messages *ms, struct delivery *d, const char *status, const char *text)
{
	struct message *m = d->message;

	for (unsigned i = 0; i < d->count; i++) {
		struct recipient *r = &m->recipients[d->who[i].index];

		r->listed = false;
		reports_given_back(&ms->reports, d, r);
		if (d->report != JOB_REPORT_NONE)
			m->report_wait = REPORT_LATER;
		else if (status)
			outcomes_defer(ms->journal, m, r, status, "", text);
		else
			recipient_set(m, r, RECIPIENT_DEFERRED);
	}
	delivery_free(d);
}

/* ---- what follows ---- */

/* With what it says of recipients that are done, where that can be written. */
static void set_aside(struct messages *ms, struct message *m)
{
	char to[QUEUEDIR_NAME_MAX];

	journal_leave(ms->journal, m);
	if (disk_set_aside(ms->with.disk, m->id, QUEUEDIR_DAMAGED, to) < 0)
		log_warn("id=%s event=set-aside-failed reason=\"%m\"", message_name(m));
	else
		log_warn("id=%s event=set-aside left=%u kept=%s", message_name(m), message_left(m),
		         to);
}

static void end(struct messages *ms, struct message *m)
{
	journal_forget(ms->journal);
	if (m->damaged == MESSAGE_FILE_MISSING)
		journal_leave(ms->journal, m);
	else if (m->damaged)
		set_aside(ms, m);
	else
		journal_remove(ms->journal, m);
	if (message_count(m, RECIPIENT_ASKED))
		resolving_forget(ms->resolving, m);
	admission_over(&ms->admission, m);
	records_remove(ms->with.records, m);
	message_free(&m);
}

/* Nothing of it is on its way: reports are made of all that happened in this attempt, together, and
 * are all its deliveries then. */
static void settle_quiet(struct messages *ms, struct message *m)
{
	attempts_expire(&ms->attempts, m);
	if (m->report_wait == REPORT_NOW) {
		reports_make(&ms->reports, m);
		if (message_deliveries(m)->count == 0)
			reports_notice(&ms->reports, m);
	}
	for (struct link *link = message_deliveries(m)->last, *next; link != NULL; link = next) {
		next = link->previous;
		agents_report(ms->agents, list_owner(link, struct delivery, of_message));
	}
}

static void settle_removed(struct messages *ms, struct message *m)
{
	if (m->damaged == MESSAGE_TEXT_DAMAGED)
		journal_write(ms->journal, m);
	journal_forget(ms->journal);
	if (!m->in_line && message_deliveries(m)->count == 0)
		end(ms, m);
}

static void settle(struct messages *ms, struct message *m)
{
	bool on_its_way =
		m->in_line || message_count(m, RECIPIENT_ASKED) || message_count(m, RECIPIENT_NEW);

	if (m->removed) {
		settle_removed(ms, m);
		return;
	}
	if (!on_its_way)
		make_deliveries(ms, m);
	/* What is repeated soon may fail too: one report tells of all. */
	if (!on_its_way && message_count(m, RECIPIENT_AGAIN) == 0 &&
	    message_deliveries(m)->count == 0 && !m->held)
		settle_quiet(ms, m);
	if (message_left(m) == 0 && message_deliveries(m)->count == 0 && !m->in_line) {
		end(ms, m);
		return;
	}
	if (!m->held && !m->in_line)
		attempts_plan(&ms->attempts, m);
	journal_write(ms->journal, m);
	if (!m->in_line && message_count(m, RECIPIENT_ASKED) == 0 &&
	    message_deliveries(m)->count == 0) {
		admission_over(&ms->admission, m);
		message_rest(m);
	}
}

/* ---- a message comes in, or its time has come ---- */

/* Asks about one message as far as there is room; true when all of it is asked. */
static bool ask_all(struct messages *ms, struct message *m)
{
	uint32_t *at = &message_under_way(m)->cursor;

	for (; *at < m->recipient_count; (*at)++) {
		struct recipient *r = &m->recipients[*at];

		if (r->state != RECIPIENT_NEW)
			continue;
		if (!resolving_has_room(ms->resolving))
			return false;
		recipient_set(m, r, RECIPIENT_ASKED);
		resolving_ask(ms->resolving, m, *at);
	}
	return true;
}

/* As many as there is room for. */
void messages_admit(void *context)
{
	struct messages *ms = context;
	struct message *m;

	while (resolving_has_room(ms->resolving) && (m = admission_next(&ms->admission)) != NULL) {
		if (!m->removed && !m->held && !ask_all(ms, m))
			return;
		admission_leave_line(&ms->admission, m);
		settle(ms, m);
	}
}

/* What is new of it is asked about. */
static void go_on(struct messages *ms, struct message *m, bool old)
{
	if (!m->in_line && !m->held && !m->removed)
		admission_stand_in_line(&ms->admission, m, old);
}

/* Everything deferred goes on now. */
static void try_again(struct messages *ms, struct message *m)
{
	attempts_begin(&ms->attempts, m);
	go_on(ms, m, true);
}

static void attempts_due(void *context)
{
	struct messages *ms = context;
	struct message *m;

	while ((m = attempts_take_due(&ms->attempts)) != NULL)
		go_on(ms, m, m->attempts > 0);
	attempts_arm(&ms->attempts);
	messages_admit(ms);
}

void messages_found(void *context, struct message *m, int64_t next_wall_ms)
{
	struct messages *ms = context;

	records_add(ms->with.records, m);
	if (!attempts_waits_on(&ms->attempts, m, next_wall_ms))
		go_on(ms, m, true);
}

void messages_restored(void *context, struct message *m, int64_t next_wall_ms)
{
	struct messages *ms = context;

	messages_found(ms, m, next_wall_ms);
	messages_look(ms);
}

void messages_look(struct messages *ms)
{
	attempts_arm(&ms->attempts);
	messages_admit(ms);
}

void messages_accepted(void *context, struct message *m)
{
	struct messages *ms = context;

	m->born_ms = clock_ms();
	records_add(ms->with.records, m);
	admission_stand_in_line(&ms->admission, m, false);
	messages_admit(ms);
}

void messages_answered(void *context, struct message *m, uint32_t index, struct found *found,
                       unsigned count)
{
	struct messages *ms = context;

	if (m->recipients[index].state != RECIPIENT_ASKED) {
		found_free(found, count);
		return;
	}
	answers_take(ms->journal, m, index, found, count);
	settle(ms, m);
}

static bool tell(void *context, const struct wire_out *out)
{
	struct messages *ms = context;

	return resolving_tell(ms->resolving, out);
}

void messages_dialled(void *context)
{
	struct messages *ms = context;

	lessons_repeat(&ms->lessons);
}

/* ---- results ---- */

/* A job may go on for long after a result, with other recipients at other hosts: who has the
 * message by then must not get it again after a crash. */
static void writing_due(struct timer *t)
{
	struct messages *ms = loop_owner(t, struct messages, writing);

	LIST_EACH(d, &ms->noted, struct delivery, noted) {
		struct message *m = d->message;

		list_remove(&d->noted);
		if (m->removed || m->damaged)
			continue;
		journal_take_up(ms->journal, m, &d->notes);
		text_clear(&d->notes);
		journal_write(ms->journal, m);
	}
}

/* Most jobs end at once, and many with their message, whose file is removed then. */
static void write_later(struct messages *ms, struct delivery *d)
{
	journal_put_off(ms->journal, d->message, &d->notes);
	list_add_last(&ms->noted, &d->noted);
	if (!loop_timer_is_set(&ms->writing))
		loop_timer_set(ms->with.loop, &ms->writing,
		               loop_now_ms(ms->with.loop) + WRITE_AFTER_MS);
}

void messages_result(void *context, struct delivery *d, struct recipient *r,
                     const struct job_result *result)
{
	struct messages *ms = context;
	struct message *m = d->message;

	if (d->report == JOB_REPORT_NONE)
		lessons_learn(&ms->lessons, m, r, result);
	if (d->report != JOB_REPORT_NONE)
		reports_result(&ms->reports, d, r, result);
	else if (result->outcome == JOB_DONE)
		outcomes_done(ms->journal, m, r, agents_name(d), result);
	else if (result->outcome == JOB_FAILED)
		outcomes_give_up(ms->journal, m, r, result->status, result->remote_host,
		                 result->text, result->before_text);
	else if (result->outcome == JOB_OWN_FAULT && !m->removed)
		outcomes_own_fault(ms->journal, m, r, agents_name(d), result);
	else
		outcomes_defer(ms->journal, m, r, result->status, result->remote_host,
		               result->text);
	if (result->contested && r->contested < CONTESTED_MAX)
		r->contested++;
	if (result->last)
		journal_put_off(ms->journal, m, &d->notes);
	else
		write_later(ms, d);
}

void messages_finished(void *context, struct delivery *d)
{
	struct messages *ms = context;
	struct message *m = d->message;

	journal_take_up(ms->journal, m, &d->notes);
	delivery_free(d);
	settle(ms, m);
	messages_admit(ms);
}

void messages_turned_away(void *context, struct delivery *d, enum turned_away why)
{
	struct messages *ms = context;
	struct message *m = d->message;

	if (why == TURNED_AWAY_CROWD)
		give_back(ms, d, "4.4.5", "too many messages wait for the destination");
	else
		give_back(ms, d, "4.4.1", "the destination does not respond");
	settle(ms, m);
}

/* ---- operators ---- */

static void take_back_waiting(struct messages *ms, struct message *m)
{
	LIST_EACH(d, message_deliveries(m), struct delivery, of_message) {
		if (d->running)
			continue;
		agents_take_back(ms->agents, d);
		give_back(ms, d, NULL, NULL);
	}
}

void messages_forgive(void *context)
{
	struct messages *ms = context;

	agents_forgive(ms->agents);
}

void messages_retry(void *context, struct message *m)
{
	struct messages *ms = context;

	/* Calls that follow each other closely are no patience. */
	for (uint32_t i = 0; i < m->recipient_count; i++)
		m->recipients[i].contested = 0;
	attempts_hasten(&ms->attempts, m);
	go_on(ms, m, true);
}

void messages_hold(void *context, struct message *m, bool hold)
{
	struct messages *ms = context;

	if (m->held == hold || m->removed)
		return;
	attempts_hold(&ms->attempts, m, hold);
	if (hold) {
		take_back_waiting(ms, m);
		settle(ms, m);
	} else {
		try_again(ms, m);
	}
}

/* What waits of it comes back, what runs ends it. */
static void leave(struct messages *ms, struct message *m)
{
	m->removed = true;
	take_back_waiting(ms, m);
	resolving_forget(ms->resolving, m);
	attempts_forget(&ms->attempts, m);
}

void messages_remove(void *context, struct message *m)
{
	struct messages *ms = context;

	if (m->removed)
		return;
	log_info("id=%s event=remove left=%u", message_name(m), message_left(m));
	lessons_removed(&ms->lessons, m);
	leave(ms, m);
	if (m->in_line || message_deliveries(m)->count)
		journal_write_removed(ms->journal, m);
	settle(ms, m);
}

/* A delivery of it is running: with its end the message is set aside, if the operator has not
 * removed it. */
void messages_damaged(void *context, struct message *m, enum message_damage damage,
                      const char *reason)
{
	if (m->removed)
		return;
	log_warn("id=%s event=damaged reason=\"%s\"", message_name(m), log_text(view_of(reason)));
	m->damaged = damage;
	leave(context, m);
}

/* ---- the start ---- */

struct messages *messages_new(const struct messages_setup *setup)
{
	struct messages *ms = memory_get(sizeof *ms);

	ms->with = *setup;
	ms->journal = setup->journal;
	ms->admission.seed = randombytes_random();
	ms->attempts = (struct attempts){
		.loop = setup->loop,
		.settings = setup->settings,
		.records = setup->records,
		.journal = ms->journal,
		.context = ms,
		.due = attempts_due,
	};
	attempts_start(&ms->attempts);
	ms->reports = (struct reports){
		.settings = setup->settings,
		.journal = ms->journal,
	};
	reports_start(&ms->reports);
	ms->lessons = (struct lessons){
		.loop = setup->loop,
		.settings = setup->settings,
		.context = ms,
		.tell = tell,
	};
	lessons_start(&ms->lessons);
	ms->writing.due = writing_due;
	return ms;
}

void messages_begin(struct messages *ms, struct agents *agents, struct resolving *resolving)
{
	ms->agents = agents;
	ms->resolving = resolving;
	messages_look(ms);
}
