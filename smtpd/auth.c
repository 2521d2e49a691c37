/* SPDX-License-Identifier: ISC */
/* AUTH (RFC 4954): carries SASL messages between the client and authd, and understands none of
 * them. */
#include <string.h>

#include "lib/base/log.h"
#include "lib/mail/encoding.h"
#include "lib/wire/worker.h"
#include "smtpd/session.h"

/* What a challenge needs. */
struct asking {
	struct session *session;
	struct text *answer;
	bool garbled; /* the client's answer was no base64 */
};

/* "=" stands for an empty answer in an initial response only. */
static bool decode(struct view line, struct text *out)
{
	text_clear(out);
	return base64_decode_strict(line, out);
}

static int challenge(void *context, struct view asked, struct auth_answer *answer)
{
	struct asking *a = context;
	struct session *s = a->session;
	struct text line;
	struct view got;

	text_init(&line, AUTH_MESSAGE_MAX * 2);
	text_add_string(&line, "334 ");
	base64_encode(&line, asked);
	text_add_string(&line, "\r\n");
	stream_write(&s->client, text_view(&line));
	text_free(&line);
	session_progress(s, false);
	enum stream_result result = stream_line(&s->client, AUTH_LINE_MAX, &got);

	session_busy(s);

	if (result == STREAM_TOO_LONG || result == STREAM_BARE || result == STREAM_NUL) {
		a->garbled = true;
		return -1;
	}
	if (session_read_failed(s, result) || view_equal(got, VIEW("*")))
		return -1;
	a->garbled = !decode(got, a->answer);
	if (a->garbled)
		return -1;
	answer->bytes = text_view(a->answer);
	return 0;
}

/* To whoever asks who is there, and so that it ends when the account does. */
static void be_known(const struct session *s, uint64_t stamp)
{
	struct session_facts facts = { .id = s->connection.id,
		                       .service = s->connection.service,
		                       .client = s->connection.client,
		                       .tls = s->connection.tls.on,
		                       .stamp = stamp };

	string_put(facts.account, sizeof facts.account, view_of(s->account));
	worker_knows(&facts);
}

static void answer_result(struct session *s, const struct auth_result *r)
{
	log_info("event=auth client=%s account=%s result=%s", s->name, or_dash(r->address),
	         auth_verdict_name(r->verdict));
	switch (r->verdict) {
	case AUTH_OK:
		string_put(s->account, sizeof s->account, view_of(r->address));
		be_known(s, r->stamp);
		reply(s, 235, "2.7.0", "authentication successful");
		return;
	case AUTH_DENIED: refuse(s, 535, "5.7.8", "wrong user or password"); return;
	case AUTH_FORBIDDEN: refuse(s, 535, "5.7.1", "this account may not send mail"); return;
	case AUTH_MALFORMED: refuse(s, 501, "5.5.2", "invalid response"); return;
	case AUTH_TEMPORARY:
		refuse(s, 454, "4.7.0",
		       "authentication is temporarily unavailable, try again later");
	}
}

static bool offered(const struct session *s, struct view mechanism)
{
	struct view list = view_of(auth_mechanisms(s->connection.tls.on,
	                                           s->settings->auth_without_tls)),
		    word;

	while (view_cut(&list, ' ', &word))
		if (view_equal_nocase(word, mechanism))
			return true;
	return false;
}

/* Why this AUTH cannot begin; false: it can. */
static bool refuse_auth(struct session *s, struct view mechanism)
{
	enum auth_mechanism known = auth_mechanism_find(mechanism);

	if (s->connection.service != CONNECTION_SUBMISSION)
		refuse(s, 502, "5.5.1",
		       "authentication is not available on this port, use 587 or 465");
	else if (s->account[0])
		refuse(s, 503, "5.5.1", "already authenticated");
	else if (!s->extended)
		refuse(s, 503, "5.5.1", "send EHLO first");
	else if (known == AUTH_MECHANISM_COUNT)
		refuse(s, 504, "5.5.4", "unsupported mechanism");
	else if (!offered(s, mechanism))
		refuse(s, 538, "5.7.11", "this mechanism requires TLS");
	else
		return false;
	return true;
}

/* Runs the exchange and answers the client. */
static void exchange(struct session *s, struct auth_begin *b, struct text *answer)
{
	struct asking asking = { .session = s, .answer = answer };
	struct auth_result result;

	session_progress(s, false);
	session_busy(s);
	if (auth_line_exchange(&s->worker->authd, b, &result, challenge, &asking) == 0)
		answer_result(s, &result);
	else if (asking.garbled)
		refuse(s, 501, "5.5.2", "malformed base64");
	else if (!s->over)
		refuse(s, 501, "5.7.0", "authentication cancelled");
	if (!s->over)
		session_progress(s, s->account[0] != '\0');
}

static void wipe(struct text *secret)
{
	if (secret->cap)
		explicit_bzero(secret->raw, secret->cap);
	text_free(secret);
}

void command_auth(struct session *s, struct view argument)
{
	struct auth_begin b = { .service = s->connection.service,
		                .client = s->connection.client,
		                .tls = s->connection.tls.on,
		                .session = { .fd = -1, .token = -1 } };
	struct view mechanism;
	struct text initial, answer;

	view_cut(&argument, ' ', &mechanism);
	if (refuse_auth(s, mechanism))
		return;
	text_init(&initial, AUTH_MESSAGE_MAX);
	text_init(&answer, AUTH_MESSAGE_MAX);
	for (size_t i = 0; i < mechanism.len && i + 1 < sizeof b.mechanism; i++)
		b.mechanism[i] = byte_upper(mechanism.data[i]);
	b.has_initial = argument.len > 0;
	if (b.has_initial && !view_equal(argument, VIEW("=")) && !decode(argument, &initial)) {
		refuse(s, 501, "5.5.2", "malformed base64");
	} else {
		b.initial = text_view(&initial);
		exchange(s, &b, &answer);
	}
	wipe(&initial);
	wipe(&answer);
}
