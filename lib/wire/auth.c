/* SPDX-License-Identifier: ISC */
#include "lib/wire/auth.h"

#include <errno.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/wire/address.h"
#include "lib/wire/dial.h"

/* Longer than authd's own patience with its workers and its delays. */
enum { AUTH_PATIENCE_MS = 120000 };
/* Each authd that is replaced before it has heard the question costs one. */
enum { LINES_TRIED_MAX = 8 };

static const struct {
	const char *name;
	bool clear_text;
} mechanisms[] = {
#define AUTH_MECHANISM_ROW(word, text, clear) { text, clear },
	AUTH_MECHANISMS(AUTH_MECHANISM_ROW)
#undef AUTH_MECHANISM_ROW
};

static const char *const verdict_names[] = { "ok", "denied", "forbidden", "malformed",
	                                     "temporary" };

enum { VERDICTS = sizeof verdict_names / sizeof verdict_names[0] };

const char *auth_verdict_name(enum auth_verdict verdict)
{
	return verdict_names[verdict];
}

const char *auth_mechanisms(bool tls, bool allow_without_tls)
{
	static char list[AUTH_MECHANISM_COUNT * AUTH_MECHANISM_MAX];
	struct text t;

	text_init(&t, sizeof list - 1);
	for (size_t i = 0; i < AUTH_MECHANISM_COUNT; i++)
		if (tls || allow_without_tls || !mechanisms[i].clear_text)
			text_format(&t, "%s%s", t.len ? " " : "", mechanisms[i].name);
	string_put(list, sizeof list, text_view(&t));
	text_free(&t);
	return list;
}

enum auth_mechanism auth_mechanism_find(struct view name)
{
	unsigned i = 0;

	while (i < AUTH_MECHANISM_COUNT && !view_equal_nocase(name, view_of(mechanisms[i].name)))
		i++;
	return (enum auth_mechanism)i;
}

const char *auth_mechanism_name(enum auth_mechanism m)
{
	return mechanisms[m].name;
}

bool auth_mechanism_clear_text(enum auth_mechanism m)
{
	return mechanisms[m].clear_text;
}

/* ---- the messages ---- */

static bool is_mailbox_service(enum connection_service service)
{
	return service == CONNECTION_POP3 || service == CONNECTION_IMAP;
}

void auth_begin_put(struct wire_out *out, const struct auth_begin *b)
{
	wire_begin(out, AUTH_BEGIN);
	wire_put_byte(out, (uint8_t)b->service);
	wire_put_string(out, b->mechanism);
	wire_put_byte(out, b->has_initial);
	wire_put_view(out, b->initial);
	wire_put_address(out, &b->client);
	wire_put_byte(out, b->tls);
	if (!is_mailbox_service(b->service))
		return;
	wire_put_string(out, b->session.tag);
	wire_put_view(out, b->session.pending);
	connection_tls_put(out, &b->session.tls);
	wire_put_u64(out, b->session.id);
	wire_put_byte(out, b->session.token >= 0);
	wire_put_fd(out, b->session.fd);
	if (b->session.token >= 0)
		wire_put_fd(out, b->session.token);
}

static bool session_get(struct wire_in *in, struct auth_begin *b)
{
	wire_get_string(in, b->session.tag, sizeof b->session.tag);
	b->session.pending = wire_get_view(in, AUTH_PENDING_MAX);
	if (!connection_tls_get(in, &b->session.tls))
		in->bad = true;
	b->session.id = wire_get_u64(in);
	bool has_token = wire_get_bool(in);
	int fds[2] = { -1, -1 };
	bool good = wire_get_last_fds(in, fds, has_token ? 2 : 1);

	b->session.fd = fds[0];
	b->session.token = fds[1];
	return good;
}

bool auth_begin_get(struct wire_in *in, struct auth_begin *b)
{
	*b = (struct auth_begin){ .session = { .fd = -1, .token = -1 } };
	b->service = connection_service_get(in);
	wire_get_string(in, b->mechanism, sizeof b->mechanism);
	b->has_initial = wire_get_bool(in);
	b->initial = wire_get_view(in, AUTH_MESSAGE_MAX);
	wire_get_address(in, &b->client);
	b->tls = wire_get_bool(in);
	if (!in->bad && is_mailbox_service(b->service))
		return session_get(in, b);
	return wire_end(in);
}

void auth_message_put(struct wire_out *out, enum auth_type type, struct view message)
{
	wire_begin(out, (unsigned char)type);
	wire_put_view(out, message);
}

bool auth_message_get(struct wire_in *in, struct view *message)
{
	*message = wire_get_view(in, AUTH_MESSAGE_MAX);
	return wire_end(in);
}

void auth_answer_put(struct wire_out *out, const struct auth_answer *a)
{
	wire_begin(out, AUTH_ANSWER);
	wire_put_view(out, a->bytes);
	wire_put_view(out, a->pending);
}

bool auth_answer_get(struct wire_in *in, struct auth_answer *a)
{
	a->bytes = wire_get_view(in, AUTH_MESSAGE_MAX);
	a->pending = wire_get_view(in, AUTH_PENDING_MAX);
	return wire_end(in);
}

void auth_result_put(struct wire_out *out, const struct auth_result *r)
{
	wire_begin(out, AUTH_RESULT);
	wire_put_byte(out, (uint8_t)r->verdict);
	wire_put_string(out, r->address);
	wire_put_byte(out, r->handed_over);
	wire_put_u64(out, r->stamp);
}

bool auth_result_get(struct wire_in *in, struct auth_result *r)
{
	*r = (struct auth_result){ .verdict = AUTH_TEMPORARY };
	uint8_t verdict = wire_get_byte(in);

	if (verdict >= VERDICTS)
		in->bad = true;
	else
		r->verdict = (enum auth_verdict)verdict;
	wire_get_string(in, r->address, sizeof r->address);
	r->handed_over = wire_get_bool(in);
	r->stamp = wire_get_u64(in);
	return wire_end(in);
}

/* ---- the session program's side ---- */

enum exchange {
	EXCHANGE_DONE,
	EXCHANGE_CANCELLED,
	EXCHANGE_UNHEARD, /* it can be begun anew */
	EXCHANGE_FAILED,  /* it came to nothing, and the log knows why, or it cannot be repeated */
	EXCHANGE_LINE_LOST, /* from here on no telling what authd has done: it has ended */
	EXCHANGE_BROKEN     /* it says nothing, or what makes no sense */
};

static bool is_uncertain(enum exchange e)
{
	return e == EXCHANGE_LINE_LOST || e == EXCHANGE_BROKEN;
}

/* One packet each way; a secret in it does not stay behind in memory. */
static enum exchange call(int authd, struct wire_out *out, struct wire_in *in)
{
	enum wire_result r = wire_send(authd, out);
	bool sent = r == WIRE_OK;

	*in = (struct wire_in){ 0 };
	wire_out_wipe(out);
	if (sent)
		r = wire_receive_within(authd, in, AUTH_PATIENCE_MS);
	if (r == WIRE_OK)
		return in->type == AUTH_GONE && wire_end(in) ? EXCHANGE_UNHEARD : EXCHANGE_DONE;
	if (r == WIRE_CLOSED)
		return sent && errno != ECONNRESET ? EXCHANGE_LINE_LOST : EXCHANGE_UNHEARD;
	if (r == WIRE_ERROR)
		log_warn("event=auth-lost reason=\"%m\"");
	return sent ? EXCHANGE_BROKEN : EXCHANGE_FAILED;
}

static void log_lost(void)
{
	log_warn("event=auth-lost reason=\"no response from authd\"");
}

static void say_cancel(int authd, struct wire_out *out)
{
	wire_begin(out, AUTH_CANCEL);
	wire_send(authd, out);
}

static enum exchange answer_challenges(int authd, struct wire_out *out, struct wire_in *in,
                                       auth_challenge *challenge, void *context)
{
	while (in->type == AUTH_CHALLENGE) {
		struct auth_answer answer = { { "", 0 }, { "", 0 } };
		struct view asked;

		if (!auth_message_get(in, &asked))
			return EXCHANGE_BROKEN;
		if (challenge == NULL || challenge(context, asked, &answer) < 0 ||
		    answer.bytes.len > AUTH_MESSAGE_MAX || answer.pending.len > AUTH_PENDING_MAX) {
			say_cancel(authd, out);
			return EXCHANGE_CANCELLED;
		}
		auth_answer_put(out, &answer);
		/* The client has been asked already: this exchange cannot begin again on another
		 * line. */
		enum exchange e = call(authd, out, in);

		if (e == EXCHANGE_UNHEARD)
			log_lost();
		if (e != EXCHANGE_DONE)
			return e == EXCHANGE_LINE_LOST ? EXCHANGE_BROKEN
			       : e == EXCHANGE_UNHEARD ? EXCHANGE_FAILED
			                               : e;
	}
	return EXCHANGE_DONE;
}

static enum exchange exchange(int authd, const struct auth_begin *b, struct auth_result *result,
                              auth_challenge *challenge, void *context)
{
	struct wire_out out = { 0 };
	struct wire_in in;

	*result = (struct auth_result){ .verdict = AUTH_TEMPORARY };
	auth_begin_put(&out, b);
	enum exchange e = call(authd, &out, &in);

	if (e == EXCHANGE_DONE)
		e = answer_challenges(authd, &out, &in, challenge, context);
	wire_out_free(&out);
	if (e == EXCHANGE_DONE && (in.type != AUTH_RESULT || !auth_result_get(&in, result))) {
		*result = (struct auth_result){ .verdict = AUTH_TEMPORARY };
		e = EXCHANGE_BROKEN;
	}
	wire_in_close(&in);
	return e;
}

static void hang_up(struct auth_line *line)
{
	if (line->fd >= 0)
		close(line->fd);
	line->fd = -1;
}

int auth_line_exchange(struct auth_line *line, const struct auth_begin *b,
                       struct auth_result *result, auth_challenge *challenge, void *context)
{
	bool has_client = b->session.fd >= 0;
	enum exchange e = EXCHANGE_UNHEARD;

	/* An authd that was replaced has closed the line, and its successor answers a new one. */
	for (int turn = 0; turn < LINES_TRIED_MAX &&
	                   (e == EXCHANGE_UNHEARD || (e == EXCHANGE_LINE_LOST && !has_client));
	     turn++) {
		if (line->fd < 0)
			line->fd = dial("authd.auth", "auth");
		e = exchange(line->fd, b, result, challenge, context);
		if (e != EXCHANGE_DONE && e != EXCHANGE_CANCELLED)
			hang_up(line);
	}
	if (e == EXCHANGE_UNHEARD || is_uncertain(e))
		log_lost();
	if (has_client && is_uncertain(e))
		*result = (struct auth_result){ .verdict = AUTH_OK, .handed_over = true };
	return e == EXCHANGE_CANCELLED ? -1 : 0;
}
