/* SPDX-License-Identifier: ISC */
#include "queue/queued/attempts.h"

#include <sodium.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "queue/queued/outcomes.h"
#include "queue/queued/schedule.h"

enum { AGENT_DIED_RETRY_MS = 1000, EXPIRE_ATTEMPTS_MIN = 5 };

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

struct message *attempts_take_due(struct attempts *a)
{
	struct message *m = records_earliest(a->records);

	if (m == NULL || m->next.at_ms > clock_ms())
		return NULL;
	records_set_next(a->records, m, 0);
	return m;
}

/* From what its log says, written by a wall clock that need not be today's. Up to the attempt that
 * was planned last the message has been known; how long it lay after that, with nobody to try it,
 * does not count. */
static void find_birth(struct message *m, int64_t next_wall_ms)
{
	int64_t now = clock_wall_ms(), until = next_wall_ms < now ? next_wall_ms : now;

	m->born_ms = clock_ms() - (until > m->arrived_ms ? until - m->arrived_ms : 0);
}

/* What waited goes on waiting, what had its time (or is new) goes on now. */
bool attempts_waits_on(struct attempts *a, struct message *m, int64_t next_wall_ms)
{
	int64_t left = next_wall_ms - clock_wall_ms();

	find_birth(m, next_wall_ms);
	if (m->held)
		return true;
	if (m->counts[RECIPIENT_NEW] || m->counts[RECIPIENT_DEFERRED] == 0 || left <= 0)
		return false;
	if (left > a->settings->queue_retry_max_ms)
		left = a->settings->queue_retry_max_ms;
	records_set_next(a->records, m, clock_ms() + left);
	return true;
}

static struct schedule_limits retry_limits(const struct attempts *a)
{
	return (struct schedule_limits){ .retry_first_ms = a->settings->queue_retry_first_ms,
		                         .retry_max_ms = a->settings->queue_retry_max_ms };
}

void attempts_plan(struct attempts *a, struct message *m)
{
	struct schedule_limits limits = retry_limits(a);
	int64_t left = a->settings->queue_lifetime_ms - message_age_ms(m);

	/* An agent that died is our own trouble: the delays begin small, and still grow for a
	 * message that kills agents. */
	if (m->agent_died && limits.retry_first_ms > AGENT_DIED_RETRY_MS)
		limits.retry_first_ms = AGENT_DIED_RETRY_MS;
	m->agent_died = false;
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
	records_set_next(a->records, m, clock_ms() + delay);
	attempts_arm(a);
}

void attempts_begin(struct attempts *a, struct message *m)
{
	records_set_next(a->records, m, 0);
	m->report_later = false;
	for (uint32_t i = 0; i < m->recipient_count; i++)
		if (m->recipients[i].state == RECIPIENT_DEFERRED)
			recipient_set(m, &m->recipients[i], RECIPIENT_NEW);
	m->cursor = 0;
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
	if (m->counts[RECIPIENT_DEFERRED] == 0 ||
	    message_age_ms(m) < a->settings->queue_lifetime_ms ||
	    m->attempts + 1u < attempts_needed(a))
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
	journal_note(a->journal, m, &l);
	journal_write(a->journal, m);
	log_info("id=%s event=%s", message_name(m), hold ? "hold" : "release");
}
