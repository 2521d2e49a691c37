/* SPDX-License-Identifier: ISC */
#include "queue/queued/lessons.h"

#include <string.h>

#include "lib/base/clock.h"
#include "queue/queued/schedule.h"

enum {
	/* Told bit by bit: the questions of the queue need the line's room more. */
	TELL_BYTES = 8192,
	TELL_PAUSE_MS = 20,
	TELL_AGAIN_MS = 1000,
	ATTEMPT_MS = 60000 /* what an attempt that is due may take until its result is here */
};

static void put(struct wire_out *out, const struct refusal *r, int64_t now_ms)
{
	static struct resolve_refusal told;

	told.kind = r->kind;
	string_put(told.key, sizeof told.key, view_of(r->key));
	told.size_bytes = r->size_bytes;
	told.left_ms = r->until_ms > now_ms ? (uint64_t)(r->until_ms - now_ms) : 0;
	resolve_refusal_put(out, &told);
}

/* Those that resolved does not know, as many as one packet takes; false: it knows all. */
static bool fill(struct lessons *l, struct wire_out *out, int64_t now_ms)
{
	bool any = false;

	wire_begin(out, RESOLVE_REFUSALS);
	for (unsigned kind = 0; kind < RESOLVE_REFUSAL_KINDS; kind++) {
		LIST_EACH(r, &l->known.by_age[kind], struct refusal, by_age) {
			if (r->told || out->bytes.len >= TELL_BYTES)
				continue;
			put(out, r, now_ms);
			r->told = any = true;
		}
	}
	return any;
}

static void tell_soon(struct lessons *l, int64_t pause_ms)
{
	loop_timer_set(l->loop, &l->telling, loop_now_ms(l->loop) + pause_ms);
}

/* All of it again; with_over: also that some are over. */
static void repeat(struct lessons *l, bool with_over, int64_t pause_ms)
{
	int64_t now_ms = clock_ms();

	for (unsigned kind = 0; kind < RESOLVE_REFUSAL_KINDS; kind++)
		LIST_EACH(r, &l->known.by_age[kind], struct refusal, by_age)
			r->told = r->until_ms <= now_ms && !with_over;
	tell_soon(l, pause_ms);
}

static void telling_due(struct timer *t)
{
	struct lessons *l = loop_owner(t, struct lessons, telling);
	static struct wire_out out;

	if (!fill(l, &out, clock_ms()))
		return;
	if (l->tell(l->context, &out))
		tell_soon(l, TELL_PAUSE_MS);
	else
		repeat(l, true, TELL_AGAIN_MS);
}

void lessons_start(struct lessons *l)
{
	refusals_begin(&l->known);
	l->telling.due = telling_due;
}

void lessons_repeat(struct lessons *l)
{
	repeat(l, false, TELL_PAUSE_MS);
}

static void learn(struct lessons *l, const struct message *m, enum resolve_refusal_kind kind,
                  struct view key, uint64_t size_bytes, int64_t keep_ms)
{
	refusals_add(&l->known, kind, key, size_bytes, clock_ms(), keep_ms)->message = m->id;
	if (!loop_timer_is_set(&l->telling))
		tell_soon(l, 0);
}

static void forget(struct lessons *l, struct refusal *r)
{
	r->until_ms = 0;
	r->told = false;
	if (!loop_timer_is_set(&l->telling))
		tell_soon(l, 0);
}

/* A message that waits for room learns it anew at each attempt: in between there must be no gap in
 * which others are taken to wait, and be lost, with it. */
static int64_t full_for_ms(const struct lessons *l, const struct message *m)
{
	struct schedule_limits limits = { .retry_first_ms = l->settings->queue_retry_first_ms,
		                          .retry_max_ms = l->settings->queue_retry_max_ms };
	int64_t gap_ms = schedule_retry_ms(&limits, m->attempts + 1, UINT32_MAX) + ATTEMPT_MS;

	return gap_ms > REFUSAL_FULL_MS ? gap_ms : REFUSAL_FULL_MS;
}

/* A mailbox is known by its home: its addresses are many. */
static void learn_of_mailbox(struct lessons *l, const struct message *m, const struct recipient *r,
                             const struct job_result *result)
{
	static struct resolve_mailbox box;
	bool full = result->outcome == JOB_RETRY && strcmp(result->status, "4.2.2") == 0;
	struct refusal *known;

	if (!full && l->known.by_age[RESOLVE_MAILBOX_FULL].count == 0)
		return;
	target_mailbox(r->target, &box);
	if (full)
		learn(l, m, RESOLVE_MAILBOX_FULL, view_of(box.home), m->message_bytes,
		      full_for_ms(l, m));
	else if (result->outcome == JOB_DONE &&
	         (known = refusals_find(&l->known, RESOLVE_MAILBOX_FULL, view_of(box.home),
	                                clock_ms())) != NULL &&
	         refusal_holds_for(known, m->message_bytes))
		forget(l, known);
}

/* No such domain, or none with a host. */
static bool is_of_domain(const struct job_result *result)
{
	return strcmp(result->status, "5.1.2") == 0 || strcmp(result->status, "5.4.4") == 0;
}

/* Of what users send out nothing is learnt: strangers cannot send there. */
static void learn_of_address(struct lessons *l, const struct message *m, const struct recipient *r,
                             const struct job_result *result)
{
	struct view address = view_of(recipient_address(m, r));
	struct refusal *known;

	if (result->outcome == JOB_FAILED && result->unknown && m->origin == ENVELOPE_NETWORK)
		learn(l, m, RESOLVE_ADDRESS_UNKNOWN, address, 0,
		      is_of_domain(result) ? REFUSAL_DOMAIN_MS : REFUSAL_UNKNOWN_MS);
	else if (result->outcome == JOB_DONE && l->known.by_age[RESOLVE_ADDRESS_UNKNOWN].count &&
	         (known = refusals_find(&l->known, RESOLVE_ADDRESS_UNKNOWN, address, clock_ms())))
		forget(l, known);
}

void lessons_learn(struct lessons *l, const struct message *m, const struct recipient *r,
                   const struct job_result *result)
{
	if (r->target == NULL)
		return;
	if (agent_carries(r->target->agent, AGENT_CARRIES_MAILBOX))
		learn_of_mailbox(l, m, r, result);
	else if (agent_carries(r->target->agent, AGENT_CARRIES_HOPS))
		learn_of_address(l, m, r, result);
}

void lessons_removed(struct lessons *l, const struct message *m)
{
	int64_t now_ms = clock_ms();

	LIST_EACH(r, &l->known.by_age[RESOLVE_MAILBOX_FULL], struct refusal, by_age)
		if (r->message == m->id && r->until_ms > now_ms)
			forget(l, r);
}
