/* SPDX-License-Identifier: ISC */
/* What waits for an attempt and what for a repeat, in one message: which comes when, and whom each
 * takes. */
#include "queue/queued/attempts.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "t/tap.h"

enum { HOUR_MS = 3600 * 1000 };

static struct settings settings = { .queue_retry_first_ms = HOUR_MS,
	                            .queue_retry_max_ms = HOUR_MS,
	                            .queue_lifetime_ms = 100LL * HOUR_MS };
static struct records records;
static struct journal journal;
static struct attempts attempts;
static unsigned noted; /* records of an attempt */
static struct queue_log last;

void journal_note(struct journal *j, const struct message *m, const struct queue_log *l)
{
	(void)j, (void)m;
	noted += l->event == QUEUE_ATTEMPT;
	last = *l;
}

void journal_note_recipient(struct journal *j, const struct message *m, const struct recipient *r,
                            enum queue_event event)
{
	(void)j, (void)m, (void)r, (void)event;
}

void journal_write(struct journal *j, struct message *m)
{
	(void)j, (void)m;
}

/* One of each state; own faults of who is AGAIN. */
static struct message *message_of(const char *states, uint8_t faults)
{
	static uint64_t id;
	struct message *m = message_new(++id);
	const struct envelope_recipient to = { .address = "a@example.test" };

	m->born_ms = clock_ms();
	for (const char *s = states; *s; s++) {
		struct recipient *r = message_add_recipient(m, &to);

		r->own_faults = *s == 'a' ? faults : 0;
		recipient_set(m, r,
		              *s == 'a'   ? RECIPIENT_AGAIN
		              : *s == 'd' ? RECIPIENT_DEFERRED
		              : *s == 'f' ? RECIPIENT_FAILED
		                          : RECIPIENT_NEW);
	}
	records_add(&records, m);
	noted = 0;
	return m;
}

static void end(struct message *m)
{
	records_remove(&records, m);
	message_free(&m);
}

static bool is_soon(const struct message *m, int64_t from_ms, int64_t delay_ms)
{
	return m->repeats && m->next.at_ms >= from_ms + delay_ms &&
	       m->next.at_ms <= clock_ms() + delay_ms;
}

static bool is_far(int64_t at_ms)
{
	return at_ms > clock_ms() + HOUR_MS / 2 && at_ms < clock_ms() + 2 * HOUR_MS;
}

static bool has(const struct message *m, unsigned fresh, unsigned deferred, unsigned again)
{
	return message_count(m, RECIPIENT_NEW) == fresh &&
	       message_count(m, RECIPIENT_DEFERRED) == deferred &&
	       message_count(m, RECIPIENT_AGAIN) == again;
}

/* Its time has come. */
static bool comes_due(struct message *m)
{
	records_set_next(&records, m, clock_ms());
	return attempts_take_due(&attempts) == m;
}

static void alone(void)
{
	for (uint8_t faults = 1; faults <= OWN_RETRY_MAX; faults++) {
		struct message *m = message_of("a", faults);
		int64_t now = clock_ms();

		attempts_plan(&attempts, m);
		ok(is_soon(m, now, 1000LL << (faults - 1)), "fault %u: repeated soon", faults);
		ok(m->attempts == 0 && noted == 0, "which is no attempt, and not written");
		ok(comes_due(m) && has(m, 1, 0, 0) && m->next.at_ms == 0 && !m->repeats,
		   "then it is asked about");
		end(m);
	}
}

/* Who waits for the other side, and who for us, whoever came first. */
static void beside(bool repeat_first)
{
	struct message *m = message_of(repeat_first ? "a" : "d", 1);
	int64_t now = clock_ms();

	attempts_plan(&attempts, m);
	const struct envelope_recipient to = { .address = "b@example.test" };
	struct recipient *r = message_add_recipient(m, &to);

	r->own_faults = 1;
	recipient_set(m, r, repeat_first ? RECIPIENT_DEFERRED : RECIPIENT_AGAIN);
	attempts_plan(&attempts, m);
	ok(is_soon(m, now, 1000) && is_far(m->born_ms + message_put_off_s(m) * 1000LL),
	   "%s first: a repeat soon, an attempt later",
	   repeat_first ? "the repeat" : "the attempt");
	attempts_plan(&attempts, m);
	ok(m->attempts == 1 && noted == 1, "planned once");
	ok(comes_due(m) && has(m, 1, 1, 0), "the repeat takes one of them");
	ok(!m->repeats && message_put_off_s(m) == 0 && is_far(m->next.at_ms), "the other waits on");
	attempts_plan(&attempts, m);
	ok(m->attempts == 1 && noted == 1, "without another attempt");
	ok(comes_due(m) && has(m, 2, 0, 0), "which takes all");
	end(m);
}

static void sooner(void)
{
	struct message *m = message_of("da", 5);

	attempts_plan(&attempts, m);
	attempts_forget(&attempts, m);
	ok(m->next.at_ms == 0 && !m->repeats && message_put_off_s(m) == 0, "nothing is waited for");
	records_set_next(&records, m, clock_ms() + 1000);
	attempts_plan(&attempts, m);
	ok(!m->repeats && comes_due(m) && has(m, 2, 0, 0),
	   "an attempt that comes before the repeat takes it along");
	end(m);
}

static void reports(void)
{
	struct message *m = message_of("f", 0);
	int64_t now = clock_ms();

	m->report_wait = REPORT_SOON;
	m->report_faults = 3;
	attempts_plan(&attempts, m);
	ok(is_soon(m, now, 4000) && noted == 0, "a report by the same rule");
	ok(comes_due(m) && m->report_wait == REPORT_NOW, "then it is made");
	m->report_wait = REPORT_LATER;
	attempts_plan(&attempts, m);
	ok(!m->repeats && is_far(m->next.at_ms) && noted == 1, "or it waits for an attempt");
	ok(comes_due(m) && m->report_wait == REPORT_NOW, "then it is made too");
	end(m);
}

static void hastened(void)
{
	struct message *m = message_of("dda", 2);

	attempts_plan(&attempts, m);
	attempts_hasten(&attempts, m);
	ok(has(m, 3, 0, 0) && m->next.at_ms == 0 && message_put_off_s(m) == 0,
	   "an operator's word: all at once");
	ok(noted == 2 && last.number == 1 && last.time_s <= clock_wall_s(),
	   "the file says that their time has come");
	end(m);
}

static const struct {
	const char *states;
	bool held;
	int64_t left_ms; /* to the attempt that its log plans */
	bool waits, planned;
	unsigned fresh, deferred;
} starts[] = {
	{ "d", false, HOUR_MS, true, true, 0, 1 },   { "dn", false, HOUR_MS, false, true, 1, 1 },
	{ "df", false, HOUR_MS, false, true, 0, 1 }, { "dn", false, -1, false, false, 2, 0 },
	{ "n", false, HOUR_MS, false, false, 1, 0 }, { "f", false, HOUR_MS, false, false, 0, 0 },
	{ "dn", true, -1, true, false, 1, 1 },
};

static void after_a_start(void)
{
	for (unsigned i = 0; i < sizeof starts / sizeof starts[0]; i++) {
		struct message *m = message_of(starts[i].states, 0);

		m->held = starts[i].held;
		bool waits = attempts_waits_on(&attempts, m, clock_wall_ms() + starts[i].left_ms);

		ok(waits == starts[i].waits && (m->next.at_ms != 0) == starts[i].planned &&
		           has(m, starts[i].fresh, starts[i].deferred, 0),
		   "found at a start: %s, %s%s", starts[i].states,
		   starts[i].left_ms < 0 ? "its time is over" : "an hour to go",
		   starts[i].held ? ", held" : "");
		end(m);
	}
}

int main(void)
{
	records_init(&records);
	attempts = (struct attempts){
		.loop = loop_new(), .settings = &settings, .records = &records, .journal = &journal
	};
	attempts_start(&attempts);
	alone();
	beside(true);
	beside(false);
	sooner();
	reports();
	hastened();
	after_a_start();
	return tap_done();
}
