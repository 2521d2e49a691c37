/* SPDX-License-Identifier: ISC */
/*
 * Questions to resolved: many at once over one line; when the line closes (resolved is replaced at
 * every reload) it is dialled again and what was unanswered is asked again.
 *
 * A question that was lost LOST_MAX times is asked by itself, the others wait for that long: if
 * resolved ends on it once more, it is this one that ends it, and it is answered with an error.
 */
#include "queue/queued/resolving.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/pace.h"
#include "lib/wire/dial.h"

enum { REDIAL_MS = 50, LOST_MAX = 3 };

struct question {
	struct message *message; /* NULL: free, or its message is gone */
	uint32_t index;
	bool used, sent;
	uint8_t lost;        /* so often with its line */
	struct found *found; /* so far */
	unsigned found_count;
};

struct resolving {
	struct resolving_setup with;
	struct watch line; /* fd -1: none */
	struct timer redial;
	struct pace undialled; /* in the log */
	struct question questions[RESOLVING_MAX];
	uint32_t free_questions[RESOLVING_MAX];
	unsigned free_count;
	unsigned sent,
		suspects; /* questions that are on their way; that were lost LOST_MAX times */
};

static struct wire_out out;

static void drop_found(struct question *question)
{
	found_free(question->found, question->found_count);
	question->found = NULL;
	question->found_count = 0;
}

static void release(struct resolving *r, struct question *question)
{
	drop_found(question);
	r->sent -= question->sent;
	r->suspects -= question->lost >= LOST_MAX;
	question->used = question->sent = false;
	question->lost = 0;
	question->message = NULL;
	r->free_questions[r->free_count++] = (uint32_t)(question - r->questions);
}

static void lose(struct resolving *r, struct question *question)
{
	drop_found(question);
	question->sent = false;
	r->sent--;
	if (question->message == NULL)
		release(r, question);
	else if (++question->lost == LOST_MAX)
		r->suspects++;
}

static void lost(struct resolving *r)
{
	if (r->line.fd < 0)
		return;
	loop_unwatch(r->with.loop, &r->line);
	close(r->line.fd);
	r->line.fd = -1;
	for (uint32_t i = 0; i < RESOLVING_MAX; i++)
		if (r->questions[i].sent)
			lose(r, &r->questions[i]);
	loop_timer_set(r->with.loop, &r->redial, loop_now_ms(r->with.loop) + REDIAL_MS);
}

static void send_question(struct resolving *r, uint32_t number)
{
	struct question *question = &r->questions[number];
	const struct message *m = question->message;

	question->sent = true;
	r->sent++;
	resolve_expand_put(&out, number,
	                   view_of(recipient_address(m, &m->recipients[question->index])));
	if (wire_send(r->line.fd, &out) != WIRE_OK)
		lost(r);
}

static void send_waiting(struct resolving *r)
{
	for (uint32_t i = 0; i < RESOLVING_MAX && r->line.fd >= 0; i++) {
		const struct question *question = &r->questions[i];

		if (!question->used || question->sent)
			continue;
		if (r->suspects == 0 || (r->sent == 0 && question->lost >= LOST_MAX))
			send_question(r, i);
	}
}

/* ---- the line ---- */

static void keep_found(struct question *question, const struct resolve_target *t)
{
	struct found *found;

	question->found = memory_grow_for(question->found, question->found_count, sizeof *found);
	found = &question->found[question->found_count++];
	*found = (struct found){ .address = memory_string(view_of(t->address)),
		                 .expanded = t->expanded };
	if (t->agent == AGENT_NONE) {
		string_put(found->status, sizeof found->status, view_of(t->status));
		found->text = memory_string(view_of(t->text));
	} else {
		found->target = target_new(t);
	}
}

static bool take_answer(struct resolving *r, struct wire_in *in)
{
	static struct resolve_target t;
	struct question *question;

	if (in->type != RESOLVE_TARGET || !resolve_target_get(in, &t) ||
	    t.question >= RESOLVING_MAX || !r->questions[t.question].sent)
		return false;
	question = &r->questions[t.question];
	if (question->found_count >= RESOLVE_TARGETS_MAX)
		return false;
	if (question->message)
		keep_found(question, &t);
	if (!t.last)
		return true;
	struct message *m = question->message;
	struct found *found = question->found;
	unsigned count = question->found_count;
	uint32_t index = question->index;

	question->found = NULL;
	question->found_count = 0;
	release(r, question);
	if (m)
		r->with.answered(r->with.context, m, index, found, count);
	return true;
}

static void answers(struct watch *w, unsigned events)
{
	struct resolving *r = loop_owner(w, struct resolving, line);
	struct wire_in in;
	enum wire_result result = wire_receive_now(w->fd, &in);

	(void)events;
	/* One a turn, as hub does: most often there is no other. */
	if (result == WIRE_AGAIN)
		return;
	if (result != WIRE_OK) {
		lost(r);
	} else {
		bool good = take_answer(r, &in);

		wire_in_close(&in);
		if (!good) {
			log_warn("event=wire-dropped protocol=resolve reason=\"invalid answer\"");
			lost(r);
		} else if (r->sent + r->free_count < RESOLVING_MAX) {
			send_waiting(r);
		}
	}
	r->with.room(r->with.context);
}

static void log_no_line(struct resolving *r)
{
	unsigned more;

	if (pace_says(&r->undialled, loop_now_ms(r->with.loop), 1, &more))
		log_warn("event=resolve-lost more=%u reason=\"%m\"", more);
}

static void dial_up(struct resolving *r)
{
	r->line.fd = dial("resolved.resolve", "resolve");
	if (r->line.fd < 0) {
		log_no_line(r);
		loop_timer_set(r->with.loop, &r->redial, loop_now_ms(r->with.loop) + REDIAL_MS);
		return;
	}
	fcntl(r->line.fd, F_SETFL, O_NONBLOCK);
	loop_watch(r->with.loop, &r->line, LOOP_READ);
	send_waiting(r);
}

/* What resolved has ended on when it was asked nothing else. */
static void give_up(struct resolving *r, struct question *question)
{
	struct message *m = question->message;
	struct found *found = memory_get(sizeof *found);
	uint32_t index = question->index;

	*found = (struct found){
		.address = memory_string(view_of(recipient_address(m, &m->recipients[index]))),
		.status = "4.3.0",
		.text = memory_string(VIEW("resolved ends when it is asked about this address"))
	};
	release(r, question);
	r->with.answered(r->with.context, m, index, found, 1);
}

static void redial_due(struct timer *t)
{
	struct resolving *r = loop_owner(t, struct resolving, redial);

	for (uint32_t i = 0; i < RESOLVING_MAX; i++)
		if (r->questions[i].lost > LOST_MAX)
			give_up(r, &r->questions[i]);
	dial_up(r);
	if (r->line.fd >= 0)
		r->with.dialled(r->with.context);
	r->with.room(r->with.context);
}

struct resolving *resolving_start(const struct resolving_setup *setup)
{
	struct resolving *r = memory_get(sizeof *r);

	r->with = *setup;
	for (uint32_t i = 0; i < RESOLVING_MAX; i++)
		r->free_questions[i] = RESOLVING_MAX - 1 - i;
	r->free_count = RESOLVING_MAX;
	r->redial.due = redial_due;
	r->line.ready = answers;
	dial_up(r);
	return r;
}

bool resolving_has_room(const struct resolving *r)
{
	return r->line.fd >= 0 && r->free_count > 0;
}

void resolving_ask(struct resolving *r, struct message *m, uint32_t index)
{
	uint32_t number = r->free_questions[--r->free_count];

	r->questions[number] = (struct question){ .message = m, .index = index, .used = true };
	if (r->suspects == 0)
		send_question(r, number); /* lost: asked again after the redial */
}

/* The next question finds out whether the line is lost. */
bool resolving_tell(struct resolving *r, const struct wire_out *told)
{
	return r->line.fd >= 0 && wire_send_now(r->line.fd, told) == WIRE_OK;
}

void resolving_forget(struct resolving *r, const struct message *m)
{
	for (uint32_t i = 0; i < RESOLVING_MAX; i++)
		if (r->questions[i].message == m) {
			r->questions[i].message = NULL;
			if (!r->questions[i].sent)
				release(r, &r->questions[i]);
		}
}
