/* SPDX-License-Identifier: ISC */
/*
 * Questions to resolved: many at once over one line; when the line closes (resolved is replaced at
 * every reload) it is dialled again and what was unanswered is asked again.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/program.h"
#include "queue/queued/queued.h"

enum { REDIAL_MS = 50 };

static struct wire_out out;

static void drop_found(struct question *question)
{
	for (unsigned i = 0; i < question->found_count; i++) {
		free(question->found[i].address);
		free(question->found[i].text);
		target_drop(&question->found[i].target);
	}
	free(question->found);
	question->found = NULL;
	question->found_count = 0;
}

static void release(struct queued *q, struct question *question)
{
	drop_found(question);
	question->used = false;
	question->message = NULL;
	q->free_questions[q->free_question_count++] = (uint32_t)(question - q->questions);
}

static void lost(struct queued *q)
{
	if (q->resolved.fd < 0)
		return;
	loop_unwatch(q->loop, &q->resolved);
	close(q->resolved.fd);
	q->resolved.fd = -1;
	loop_timer_set(q->loop, &q->redial, loop_now_ms(q->loop) + REDIAL_MS);
}

static bool send_question(struct queued *q, uint32_t number)
{
	const struct question *question = &q->questions[number];
	const struct message *m = question->message;

	if (q->resolved.fd < 0)
		return false;
	resolve_expand_put(&out, number,
	                   view_of(recipient_address(m, &m->recipients[question->index])));
	if (wire_send(q->resolved.fd, &out) == WIRE_OK)
		return true;
	lost(q);
	return false;
}

/* ---- targets ---- */

static char *put_string(char *to, const char *s)
{
	size_t len = strlen(s) + 1;

	memcpy(to, s, len);
	return to + len;
}

/* Scheduling tells destinations apart by all that makes their jobs different. */
static struct schedule_destination *destination_of(struct channel *c, const struct target *t)
{
	struct text key;
	struct schedule_destination *d;

	text_init(&key, RESOLVE_HOST_MAX * (RESOLVE_HOPS_MAX + 2));
	if (!t->local) {
		text_add_byte(&key, t->lmtp ? 'l' : 's');
		text_add_byte(&key, t->mx ? 'm' : 'h');
		text_add(&key, (struct view){ t->bytes, t->bytes_len });
	}
	d = schedule_find(c->schedule, text_view(&key));
	text_free(&key);
	return d;
}

/* What the house needs of it, in one piece of memory. */
static struct target *make_target(struct queued *q, const struct resolve_target *t)
{
	bool local = t->kind == RESOLVE_MAILBOX;
	size_t len = strlen(local ? t->home : t->destination) + 1;
	struct target *made;
	char *to;

	for (unsigned i = 0; !local && i < t->hop_count; i++)
		len += strlen(t->hops[i]) + 1;
	made = memory_get(sizeof *made + len);
	made->references = 1;
	made->local = local;
	made->uid = t->uid;
	made->gid = t->gid;
	made->quota_bytes = t->quota_bytes;
	made->lmtp = t->lmtp;
	made->mx = t->mx;
	made->hop_count = local ? 0 : (uint8_t)t->hop_count;
	made->bytes_len = len;
	to = put_string(made->bytes, local ? t->home : t->destination);
	for (unsigned i = 0; i < made->hop_count; i++)
		to = put_string(to, t->hops[i]);
	made->channel = local ? agents_owner(q, t->uid, t->gid) : &q->remote;
	made->destination = destination_of(made->channel, made);
	schedule_hold(made->destination);
	return made;
}

static void keep_found(struct queued *q, struct question *question, const struct resolve_target *t)
{
	unsigned n = question->found_count;
	struct found *found;

	if ((n & (n - 1)) == 0)
		question->found = memory_grow(question->found, (n ? 2 * n : 1) * sizeof *found);
	found = &question->found[question->found_count++];
	*found = (struct found){ .address = memory_string(view_of(t->address)),
		                 .expanded = t->expanded };
	if (t->kind == RESOLVE_ERROR) {
		string_copy(found->status, sizeof found->status, view_of(t->status));
		found->text = memory_string(view_of(t->text));
	} else {
		found->target = make_target(q, t);
	}
}

/* ---- the line ---- */

static bool take_answer(struct queued *q, struct wire_in *in)
{
	static struct resolve_target t;
	struct question *question;

	if (in->type != RESOLVE_TARGET || !resolve_target_get(in, &t) ||
	    t.question >= QUEUED_QUESTIONS_MAX || !q->questions[t.question].used)
		return false;
	question = &q->questions[t.question];
	if (question->found_count >= RESOLVE_TARGETS_MAX)
		return false;
	if (question->message)
		keep_found(q, question, &t);
	if (!t.last)
		return true;
	struct message *m = question->message;
	struct found *found = question->found;
	unsigned count = question->found_count;
	uint32_t index = question->index;

	question->found = NULL;
	question->found_count = 0;
	release(q, question);
	if (m)
		life_answered(q, m, index, found, count);
	return true;
}

static void answers(struct watch *w, unsigned events)
{
	struct queued *q = loop_owner(w, struct queued, resolved);

	struct wire_in in;
	enum wire_result r = wire_receive_now(q->resolved.fd, &in);

	(void)events;
	/* One a turn, as hub does: most often there is no other. */
	if (r == WIRE_AGAIN)
		return;
	if (r != WIRE_OK) {
		lost(q);
	} else {
		bool good = take_answer(q, &in);

		wire_in_close(&in);
		if (!good) {
			log_warn(
				"event=wire-dropped protocol=resolve reason=\"an answer that makes no sense\"");
			lost(q);
		}
	}
	life_admit(q);
}

static void dial(struct queued *q)
{
	q->resolved.fd = wire_dial(program_need_fd("resolved.resolve"), "resolve");
	if (q->resolved.fd < 0) {
		loop_timer_set(q->loop, &q->redial, loop_now_ms(q->loop) + REDIAL_MS);
		return;
	}
	fcntl(q->resolved.fd, F_SETFL, O_NONBLOCK);
	loop_watch(q->loop, &q->resolved, LOOP_READ);
	for (uint32_t i = 0; i < QUEUED_QUESTIONS_MAX; i++) {
		if (!q->questions[i].used)
			continue;
		drop_found(&q->questions[i]);
		if (q->questions[i].message == NULL)
			release(q, &q->questions[i]);
		else if (!send_question(q, i))
			return;
	}
	life_admit(q);
}

static void redial_due(struct timer *t)
{
	dial(loop_owner(t, struct queued, redial));
}

void resolving_start(struct queued *q)
{
	for (uint32_t i = 0; i < QUEUED_QUESTIONS_MAX; i++)
		q->free_questions[i] = QUEUED_QUESTIONS_MAX - 1 - i;
	q->free_question_count = QUEUED_QUESTIONS_MAX;
	q->redial.due = redial_due;
	q->resolved.ready = answers;
	dial(q);
}

bool resolving_room(const struct queued *q)
{
	return q->resolved.fd >= 0 && q->free_question_count > 0;
}

void resolving_ask(struct queued *q, struct message *m, uint32_t index)
{
	uint32_t number = q->free_questions[--q->free_question_count];

	q->questions[number] = (struct question){ .message = m, .index = index, .used = true };
	send_question(q, number); /* lost: asked again after the redial */
}

void resolving_forget(struct queued *q, struct message *m)
{
	for (uint32_t i = 0; i < QUEUED_QUESTIONS_MAX; i++)
		if (q->questions[i].message == m)
			q->questions[i].message = NULL;
}
