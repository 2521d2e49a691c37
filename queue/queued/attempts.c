/* SPDX-License-Identifier: ISC */
#include "queue/queued/attempts.h"

#include <sodium.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "queue/queued/outcomes.h"
#include "queue/queued/schedule.h"

enum { EXPIRE_ATTEMPTS_MIN = 5 };

static void timer_due(struct timer *t)
{
	struct attempts *a = loop_owner(t, struct attempts, timer);

	a->due(a->context);
}

void attempts_start(struct attempts *a)
{
	a->timer.due = timer_due;
}

void attempts_arm(struct attempts *a)
{
	const struct message *m = records_earliest(a->records);

	if (m == NULL)
		loop_timer_clear(a->loop, &a->timer);
	else
		loop_timer_set(a->loop, &a->timer, m->next.at_ms);
}

/* From what its log says, written by a wall clock that need not be today's. Up to the attempt that
 * was planned last the message has been known; how long it lay after that, with nobody to try it,
 * does not count. */
static void find_birth(struct message *m, int64_t next_wall_ms)
{
	int64_t now = clock_wall_ms(), until = next_wall_ms < now ? next_wall_ms : now;

	m->born_ms = clock_ms() - (until > m->arrived_ms ? until - m->arrived_ms : 0);
}

/* A report that is owed (FAILED, SUCCESS) waits for nobody. */
bool attempts_waits_on(struct attempts *a, struct message *m, int64_t next_wall_ms)
{
	int64_t left = next_wall_ms - clock_wall_ms();

	find_birth(m, next_wall_ms);
	if (m->held)
		return true;
	if (message_count(m, RECIPIENT_DEFERRED) == 0 || left <= 0) {
		attempts_begin(a, m);
		return false;
	}
	if (left > a->settings->queue_retry_max_ms)
		left = a->settings->queue_retry_max_ms;
	records_set_next(a->records, m, clock_ms() + left);
	return !message_count(m, RECIPIENT_NEW) && !message_count(m, RECIPIENT_FAILED) &&
	       !message_count(m, RECIPIENT_SUCCESS);
}

static struct schedule_limits retry_limits(const struct attempts *a)
{
	return (struct schedule_limits){ .retry_first_ms = a->settings->queue_retry_first_ms,
		                         .retry_max_ms = a->settings->queue_retry_max_ms };
}

/* Is there an attempt ahead for those who were put off? */
static bool is_planned(const struct message *m)
{
	return m->repeats ? message_put_off_s(m) != 0 : m->next.at_ms != 0;
}

/* The attempt of those who were put off; a repeat that comes before it stays. */
static void set_attempt(struct attempts *a, struct message *m, int64_t at_ms)
{
	if (m->repeats && m->next.at_ms < at_ms) {
		message_under_way(m)->put_off_s = (uint32_t)((at_ms - m->born_ms) / 1000 + 1);
		return;
	}
	m->repeats = false;
	records_set_next(a->records, m, at_ms);
}

static void plan_attempt(struct attempts *a, struct message *m)
{
	struct schedule_limits limits = retry_limits(a);
	int64_t left = a->settings->queue_lifetime_ms - message_age_ms(m);

	if (m->attempts < UINT16_MAX)
		m->attempts++;
	int64_t delay = schedule_retry_ms(&limits, m->attempts, randombytes_random());

	/* The last attempt is at the end of its life, not long before it. */
	if (left > 0 && delay > left)
		delay = left;
	struct queue_log l = { .event = QUEUE_ATTEMPT,
		               .number = m->attempts,
		               .time_s = (clock_wall_ms() + delay) / 1000 };

	journal_note(a->journal, m, &l);
	set_attempt(a, m, clock_ms() + delay);
}

/* How often what is to be repeated has failed in a row. */
static unsigned faults_of(const struct message *m)
{
	unsigned faults = m->report_wait == REPORT_SOON ? m->report_faults : 0;

	for (uint32_t i = 0; i < m->recipient_count && message_count(m, RECIPIENT_AGAIN); i++)
		if (m->recipients[i].state == RECIPIENT_AGAIN &&
		    m->recipients[i].own_faults > faults)
			faults = m->recipients[i].own_faults;
	return faults;
}

static void forget_attempt(struct message *m)
{
	if (m->under_way)
		m->under_way->put_off_s = 0;
}

/* An attempt that comes sooner takes them along. */
static void plan_repeat(struct attempts *a, struct message *m)
{
	struct schedule_limits limits = retry_limits(a);
	int64_t attempt_ms = m->next.at_ms,
		at_ms = clock_ms() + schedule_own_retry_ms(&limits, faults_of(m));

	if (attempt_ms && attempt_ms <= at_ms)
		return;
	m->repeats = true;
	forget_attempt(m);
	records_set_next(a->records, m, at_ms);
	if (attempt_ms)
		set_attempt(a, m, attempt_ms);
}

void attempts_plan(struct attempts *a, struct message *m)
{
	bool quiet = message_deliveries(m)->count == 0;
	bool put_off =
		message_count(m, RECIPIENT_DEFERRED) || (quiet && m->report_wait == REPORT_LATER);
	bool again = message_count(m, RECIPIENT_AGAIN) || (quiet && m->report_wait == REPORT_SOON);

	if (put_off && !is_planned(m))
		plan_attempt(a, m);
	if (again && !m->repeats)
		plan_repeat(a, m);
	if (put_off || again)
		attempts_arm(a);
}

void attempts_forget(struct attempts *a, struct message *m)
{
	records_set_next(a->records, m, 0);
	m->repeats = false;
	forget_attempt(m);
}

/* All who wait, or only those that are AGAIN. */
static void begin(struct message *m, bool all)
{
	if (all || m->report_wait == REPORT_SOON)
		m->report_wait = REPORT_NOW;
	for (uint32_t i = 0; i < m->recipient_count; i++) {
		struct recipient *r = &m->recipients[i];

		if (r->state == RECIPIENT_AGAIN || (all && r->state == RECIPIENT_DEFERRED))
			recipient_set(m, r, RECIPIENT_NEW);
	}
	if (m->under_way)
		m->under_way->cursor = 0;
}

void attempts_begin(struct attempts *a, struct message *m)
{
	attempts_forget(a, m);
	begin(m, true);
}

void attempts_hasten(struct attempts *a, struct message *m)
{
	struct queue_log l = { .event = QUEUE_ATTEMPT,
		               .number = m->attempts,
		               .time_s = clock_wall_s() };

	if (message_count(m, RECIPIENT_DEFERRED) && !m->held) {
		journal_note(a->journal, m, &l);
		journal_write(a->journal, m);
	}
	attempts_begin(a, m);
}

static void begin_repeat(struct attempts *a, struct message *m)
{
	uint32_t put_off_s = message_put_off_s(m);

	attempts_forget(a, m);
	begin(m, false);
	if (put_off_s)
		records_set_next(a->records, m, m->born_ms + (int64_t)put_off_s * 1000);
}

struct message *attempts_take_due(struct attempts *a)
{
	struct message *m = records_earliest(a->records);

	if (m == NULL || m->next.at_ms > clock_ms())
		return NULL;
	if (m->repeats)
		begin_repeat(a, m);
	else
		attempts_begin(a, m);
	return m;
}

/* What no message expires without, as long as its schedule has that many in a lifetime. */
static unsigned attempts_needed(const struct attempts *a)
{
	struct schedule_limits limits = retry_limits(a);
	int64_t passed = 0;
	unsigned n = 1;

	while (n < EXPIRE_ATTEMPTS_MIN) {
		passed += schedule_retry_ms(&limits, n, UINT32_MAX);
		if (passed > a->settings->queue_lifetime_ms)
			break;
		n++;
	}
	return n;
}

void attempts_expire(struct attempts *a, struct message *m)
{
	unsigned made = m->attempts + (is_planned(m) ? 0u : 1u); /* the present one counts */

	if (message_count(m, RECIPIENT_DEFERRED) == 0 ||
	    message_age_ms(m) < a->settings->queue_lifetime_ms || made < attempts_needed(a))
		return;
	for (uint32_t i = 0; i < m->recipient_count; i++)
		if (m->recipients[i].state == RECIPIENT_DEFERRED)
			outcomes_expire(a->journal, m, &m->recipients[i]);
}

void attempts_hold(struct attempts *a, struct message *m, bool hold)
{
	struct queue_log l = { .event = hold ? QUEUE_HOLD : QUEUE_RELEASE,
		               .time_s = clock_wall_s() };

	m->held = hold;
	if (hold)
		attempts_forget(a, m);
	journal_note(a->journal, m, &l);
	journal_write(a->journal, m);
	log_info("id=%s event=%s", message_name(m), hold ? "hold" : "release");
}
