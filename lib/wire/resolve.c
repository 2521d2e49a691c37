/* SPDX-License-Identifier: ISC */
#include "lib/wire/resolve.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/wire/address.h"
#include "lib/wire/dial.h"

void resolve_question_put(struct wire_out *out, enum resolve_type type,
                          const struct resolve_question *q)
{
	wire_begin(out, (unsigned char)type);
	wire_put_u32(out, q->question);
	wire_put_address(out, &q->client);
	wire_put_string(out, q->client_name);
	wire_put_byte(out, q->submission);
	wire_put_string(out, q->account);
	wire_put_string(out, q->sender);
	wire_put_string(out, q->recipient);
	wire_put_u64(out, q->size_bytes);
}

bool resolve_question_get(struct wire_in *in, struct resolve_question *q)
{
	q->question = wire_get_u32(in);
	wire_get_address(in, &q->client);
	wire_get_string(in, q->client_name, sizeof q->client_name);
	q->submission = wire_get_bool(in);
	wire_get_string(in, q->account, sizeof q->account);
	wire_get_string(in, q->sender, sizeof q->sender);
	wire_get_string(in, q->recipient, sizeof q->recipient);
	q->size_bytes = wire_get_u64(in);
	return wire_end(in);
}

void resolve_text(char out[RESOLVE_TEXT_MAX], struct view text)
{
	string_cut(out, RESOLVE_TEXT_MAX, text);
	for (char *c = out; *c; c++)
		if (view_has_controls((struct view){ c, 1 }))
			*c = ' ';
}

void resolve_answer_put(struct wire_out *out, const struct resolve_answer *a)
{
	wire_begin(out, RESOLVE_VERDICT);
	wire_put_u32(out, a->question);
	wire_put_byte(out, (uint8_t)a->verdict);
	wire_put_string(out, a->status);
	wire_put_string(out, a->text);
	wire_put_byte(out, a->wants_name);
	wire_put_byte(out, a->any_sender);
	wire_put_string(out, a->normal);
	wire_put_byte(out, a->mailbox);
	wire_put_u64(out, a->size_max_bytes);
}

bool resolve_answer_get(struct wire_in *in, struct resolve_answer *a)
{
	a->question = wire_get_u32(in);
	uint8_t verdict = wire_get_byte(in);

	a->verdict = (enum resolve_verdict)verdict;
	wire_get_string(in, a->status, sizeof a->status);
	wire_get_string(in, a->text, sizeof a->text);
	a->wants_name = wire_get_bool(in);
	a->any_sender = wire_get_bool(in);
	wire_get_string(in, a->normal, sizeof a->normal);
	a->mailbox = wire_get_bool(in);
	a->size_max_bytes = wire_get_u64(in);
	return wire_end(in) && verdict <= RESOLVE_LATER && !view_has_controls(view_of(a->status)) &&
	       !view_has_controls(view_of(a->text)) && !view_has_controls(view_of(a->normal));
}

void resolve_expand_put(struct wire_out *out, uint32_t question, struct view address)
{
	wire_begin(out, RESOLVE_EXPAND);
	wire_put_u32(out, question);
	wire_put_view(out, address);
}

bool resolve_expand_get(struct wire_in *in, uint32_t *question, char address[RESOLVE_ADDRESS_MAX])
{
	*question = wire_get_u32(in);
	wire_get_string(in, address, RESOLVE_ADDRESS_MAX);
	return wire_end(in);
}

void resolve_mailbox_put(struct wire_out *out, const struct resolve_mailbox *m)
{
	wire_put_u32(out, m->uid);
	wire_put_u32(out, m->gid);
	wire_put_string(out, m->home);
	wire_put_u64(out, m->quota_bytes);
}

void resolve_mailbox_get(struct wire_in *in, struct resolve_mailbox *m)
{
	m->uid = wire_get_u32(in);
	m->gid = wire_get_u32(in);
	wire_get_string(in, m->home, sizeof m->home);
	m->quota_bytes = wire_get_u64(in);
}

void resolve_route_put(struct wire_out *out, const struct resolve_route *r)
{
	wire_put_byte(out, r->lmtp);
	wire_put_string(out, r->domain);
	wire_put_byte(out, r->ours);
	wire_put_byte(out, (uint8_t)r->hop_count);
	for (unsigned i = 0; i < r->hop_count; i++) {
		wire_put_string(out, r->hops[i].host);
		wire_put_u16(out, r->hops[i].port);
	}
}

void resolve_route_get(struct wire_in *in, struct resolve_route *r)
{
	r->lmtp = wire_get_bool(in);
	wire_get_string(in, r->domain, sizeof r->domain);
	r->ours = wire_get_bool(in);
	r->hop_count = wire_get_byte(in);
	if (r->hop_count > RESOLVE_HOPS_MAX) {
		in->bad = true;
		r->hop_count = 0;
	}
	for (unsigned i = 0; i < r->hop_count; i++) {
		wire_get_string(in, r->hops[i].host, sizeof r->hops[i].host);
		r->hops[i].port = wire_get_u16(in);
	}
}

void resolve_target_put(struct wire_out *out, const struct resolve_target *t)
{
	wire_begin(out, RESOLVE_TARGET);
	wire_put_u32(out, t->question);
	wire_put_byte(out, t->last);
	wire_put_byte(out, t->expanded);
	wire_put_byte(out, (uint8_t)t->agent);
	wire_put_string(out, t->address);
	resolve_mailbox_put(out, &t->mailbox);
	resolve_route_put(out, &t->route);
	wire_put_string(out, t->status);
	wire_put_string(out, t->text);
}

bool resolve_target_get(struct wire_in *in, struct resolve_target *t)
{
	t->question = wire_get_u32(in);
	t->last = wire_get_bool(in);
	t->expanded = wire_get_bool(in);
	uint8_t agent = wire_get_byte(in);

	t->agent = (enum agent)agent;
	wire_get_string(in, t->address, sizeof t->address);
	resolve_mailbox_get(in, &t->mailbox);
	resolve_route_get(in, &t->route);
	wire_get_string(in, t->status, sizeof t->status);
	wire_get_string(in, t->text, sizeof t->text);
	return wire_end(in) && agent < AGENTS && !agent_carries(t->agent, AGENT_CARRIES_REPORTS) &&
	       !view_has_controls(view_of(t->text));
}

void resolve_refusal_put(struct wire_out *out, const struct resolve_refusal *r)
{
	wire_put_byte(out, (uint8_t)r->kind);
	wire_put_string(out, r->key);
	wire_put_u64(out, r->size_bytes);
	wire_put_u64(out, r->left_ms);
}

bool resolve_refusal_get(struct wire_in *in, struct resolve_refusal *r)
{
	uint8_t kind = wire_get_byte(in);

	wire_get_string(in, r->key, sizeof r->key);
	r->size_bytes = wire_get_u64(in);
	r->left_ms = wire_get_u64(in);
	r->kind = (enum resolve_refusal_kind)kind;
	if (kind >= RESOLVE_REFUSAL_KINDS || r->key[0] == '\0' || r->left_ms > INT32_MAX)
		in->bad = true;
	return !in->bad;
}

/* ---- asking ---- */

static void hang_up(int *line)
{
	if (*line >= 0)
		close(*line);
	*line = -1;
}

/* SO_RCVTIMEO instead of a poll before every answer. */
static bool dial_up(int *line)
{
	struct timeval t = { RESOLVE_ANSWER_TIMEOUT_MS / 1000, 0 };

	if (*line >= 0)
		return true;
	*line = dial("resolved.resolve", "resolve");
	if (*line < 0)
		return false;
	setsockopt(*line, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
	setsockopt(*line, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
	return true;
}

/* WIRE_CLOSED: the line was let go of (a new generation); anything else but WIRE_OK: no use asking
 * again. */
static enum wire_result ask_once(int *line, const struct wire_out *out, uint32_t question,
                                 struct resolve_answer *answer)
{
	struct wire_in in;

	if (!dial_up(line))
		return WIRE_ERROR;
	enum wire_result r = wire_send(*line, out);

	if (r == WIRE_OK)
		r = wire_receive(*line, &in);
	if (r == WIRE_OK) {
		if (in.type != RESOLVE_VERDICT || !resolve_answer_get(&in, answer) ||
		    answer->question != question) {
			r = WIRE_ERROR;
			errno = EBADMSG;
		}
		wire_in_close(&in);
	}
	if (r != WIRE_OK)
		hang_up(line);
	return r;
}

void resolve_ask(int *line, enum resolve_type type, struct resolve_question *q,
                 struct resolve_answer *answer)
{
	struct wire_out out = { 0 };

	q->question++;
	resolve_question_put(&out, type, q);
	enum wire_result r = ask_once(line, &out, q->question, answer);

	if (r == WIRE_CLOSED)
		r = ask_once(line, &out, q->question, answer);
	if (r != WIRE_OK)
		log_warn("event=resolve-lost reason=\"%s\"", log_text(view_of(wire_reason(r))));
	wire_out_free(&out);
	if (r == WIRE_OK)
		return;
	*answer =
		(struct resolve_answer){ .question = q->question,
		                         .verdict = RESOLVE_LATER,
		                         .status = "4.3.0",
		                         .text = "cannot look up addresses now, try again later" };
}
