/* SPDX-License-Identifier: ISC */
/* MAIL and RCPT: who sends, to whom, and whether resolved lets them. */
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/mail/esmtp.h"
#include "lib/wire/dial.h"
#include "lib/wire/dns.h"
#include "smtpd/session.h"

/* Answers a verdict that is no yes. */
static void refuse_verdict(struct session *s, const struct resolve_answer *a, int permanent_code)
{
	if (a->verdict == RESOLVE_LATER)
		refuse(s, 451, a->status[0] ? a->status : "4.3.0", "%s", a->text);
	else
		refuse(s, permanent_code, a->status[0] ? a->status : "5.7.1", "%s", a->text);
}

static bool passes(const struct resolve_answer *a)
{
	return a->verdict == RESOLVE_ACCEPT || a->verdict == RESOLVE_RELAY;
}

/* The client's name, checked both ways by dnsd. A name that cannot be found in time is none: name
 * servers of strangers do not decide whether our mail comes. */
static void learn_name(struct session *s)
{
	static struct dns_answer answer; /* many KB */

	session_busy(s);
	if (dns_ask(&s->worker->dnsd, DNS_NAME, s->name, &answer, NAME_TIMEOUT_MS) == 0 &&
	    answer.result == DNS_FOUND && answer.host_count)
		string_put(s->client_name, sizeof s->client_name, view_of(answer.hosts[0].name));
}

/* What the access map says of the client: asked once in a session, at its first MAIL. */
static void learn_client(struct session *s)
{
	struct resolve_question q;

	if (s->client_known)
		return;
	session_question(s, &q);
	resolve_ask(&s->worker->resolved, RESOLVE_CLIENT, &q, &s->client_verdict);
	if (s->client_verdict.wants_name) {
		learn_name(s);
		session_question(s, &q);
		resolve_ask(&s->worker->resolved, RESOLVE_CLIENT, &q, &s->client_verdict);
	}
	s->client_known = s->client_verdict.verdict != RESOLVE_LATER;
}

/* An account has shown who it is: where it comes from does not matter then. */
static bool client_may_send(struct session *s)
{
	if (s->account[0])
		return true;
	learn_client(s);
	if (!passes(&s->client_verdict)) {
		refuse_verdict(s, &s->client_verdict, 550);
		return false;
	}
	/* RFC 6409 section 4.3 */
	if (s->connection.service == CONNECTION_SUBMISSION &&
	    s->client_verdict.verdict != RESOLVE_RELAY) {
		refuse(s, 530, "5.7.0", "authentication required");
		return false;
	}
	return true;
}

static bool sender_may_send(struct session *s, const char *sender)
{
	struct resolve_question q;
	struct resolve_answer answer;

	/* Most houses refuse nobody by sender: the answer about the client said so. */
	if (!s->account[0] && s->client_verdict.any_sender)
		return true;
	session_question(s, &q);
	string_put(q.sender, sizeof q.sender, view_of(sender));
	resolve_ask(&s->worker->resolved, RESOLVE_SENDER, &q, &answer);
	if (!passes(&answer))
		refuse_verdict(s, &answer, s->account[0] ? 553 : 550);
	return passes(&answer);
}

static void refuse_parameters(struct session *s, enum esmtp_result result, struct view culprit)
{
	if (result == ESMTP_UNKNOWN)
		refuse(s, 555, "5.5.4", "unknown parameter %.*s", VIEW_ARG(view_take(culprit, 40)));
	else
		refuse(s, 501, "5.5.4", "invalid value of parameter %.*s",
		       VIEW_ARG(view_take(culprit, 40)));
}

static void begin_transaction(struct session *s, const char *sender, const struct esmtp_mail *p)
{
	struct transaction *t = memory_get(sizeof *t);

	t->arena.limit = TRANSACTION_BYTES_MAX;
	t->tail = &t->first;
	t->announced_bytes = p->size_bytes;
	t->envelope = p->envelope;
	t->envelope.origin = s->account[0]                                ? ENVELOPE_AUTHENTICATED
	                     : s->client_verdict.verdict == RESOLVE_RELAY ? ENVELOPE_RELAY
	                                                                  : ENVELOPE_NETWORK;
	t->envelope.client = s->connection.client;
	string_put(t->envelope.sender, sizeof t->envelope.sender, view_of(sender));
	string_put(t->envelope.account, sizeof t->envelope.account, view_of(s->account));
	string_put(t->envelope.helo, sizeof t->envelope.helo, view_of(s->helo));
	s->transaction = t;
	credit_mail(&s->credit, clock_ms(), session_quiet_ms(s));
}

void command_mail(struct session *s, struct view argument)
{
	struct mailaddress sender;
	struct esmtp_mail parameters;
	struct view culprit = { "", 0 };

	if (!client_may_send(s))
		return;
	enum mailaddress_result path = mailaddress_path(&argument,
	                                                MAILADDRESS_NULL | MAILADDRESS_NO_BRACKETS |
	                                                        MAILADDRESS_POSTMASTER,
	                                                &sender);

	if (path != MAILADDRESS_OK) {
		refuse(s, path == MAILADDRESS_NOT_ASCII ? 553 : 501,
		       path == MAILADDRESS_NOT_ASCII ? "5.6.7" : "5.1.7", "%s",
		       mailaddress_explain(path));
		return;
	}
	enum esmtp_result result = esmtp_mail_parse(argument, &parameters, &culprit);

	if (result != ESMTP_OK) {
		refuse_parameters(s, result, culprit);
		return;
	}
	if (parameters.size_bytes > s->settings->message_size_max_bytes) {
		refuse(s, 552, "5.3.4", "message exceeds the limit of %llu bytes",
		       (unsigned long long)s->settings->message_size_max_bytes);
		return;
	}
	if (!sender_may_send(s, sender.text))
		return;
	begin_transaction(s, sender.text, &parameters);
	reply(s, 250, "2.1.0", "sender accepted");
}

/* The greatest that any of them takes; one without a limit ends it. */
static void note_size_limit(struct transaction *t, uint64_t size_max_bytes)
{
	if (size_max_bytes == 0)
		t->size_max_bytes = 0;
	else if (t->recipients == 0 || (t->size_max_bytes && t->size_max_bytes < size_max_bytes))
		t->size_max_bytes = size_max_bytes;
}

/* false: the transaction is as large as it may be. */
static bool add_recipient(struct transaction *t, const struct envelope_recipient *to,
                          const struct resolve_answer *answer)
{
	static struct wire_out out; /* its memory is kept */
	struct recipient *r = arena_get(&t->arena, sizeof *r);

	if (r == NULL)
		return false;
	wire_begin(&out, SPOOL_RECIPIENT);
	envelope_recipient_put(&out, to);
	r->packed = arena_copy(&t->arena, view_skip(text_view(&out.bytes), 1));
	r->mailbox = arena_copy(&t->arena, view_of(answer->mailbox ? answer->normal : ""));
	if (r->packed.data == NULL || r->mailbox.data == NULL)
		return false;
	note_size_limit(t, answer->size_max_bytes);
	*t->tail = r;
	t->tail = &r->next;
	t->recipients++;
	return true;
}

void recipient_unpack(const struct recipient *r, struct envelope_recipient *out)
{
	struct wire_in in = { .rest = r->packed };

	envelope_recipient_get(&in, out);
}

/* RFC 5321 section 4.2.3: what is too large, or does not fit now, has codes of its own. */
static int code_of_refusal(const struct resolve_answer *a)
{
	bool storage = view_starts(view_skip(view_of(a->status), 1), VIEW(".2.2")) ||
	               view_starts(view_skip(view_of(a->status), 1), VIEW(".2.3"));

	if (a->verdict == RESOLVE_LATER)
		return storage ? 452 : 451;
	return storage ? 552 : 550;
}

static bool recipient_accepted(struct session *s, const char *address,
                               struct resolve_answer *answer)
{
	bool later;
	struct resolve_question q;

	session_question(s, &q);
	string_put(q.sender, sizeof q.sender, view_of(s->transaction->envelope.sender));
	string_put(q.recipient, sizeof q.recipient, view_of(address));
	q.size_bytes = s->transaction->announced_bytes;
	resolve_ask(&s->worker->resolved, RESOLVE_RECIPIENT, &q, answer);
	if (passes(answer))
		return true;
	later = answer->verdict == RESOLVE_LATER;
	if (answer->text[0] == '\0')
		string_put(answer->text, sizeof answer->text, VIEW("recipient refused"));
	refuse(s, code_of_refusal(answer),
	       answer->status[0] ? answer->status
	       : later           ? "4.3.0"
	                         : "5.7.1",
	       "<%s> %s", address, answer->text);
	return false;
}

void command_rcpt(struct session *s, struct view argument)
{
	struct transaction *t = s->transaction;
	struct mailaddress recipient;
	struct envelope_recipient to;
	struct resolve_answer answer;
	struct view culprit = { "", 0 };
	enum mailaddress_result path =
		mailaddress_path(&argument, MAILADDRESS_NO_BRACKETS | MAILADDRESS_POSTMASTER,
	                         &recipient);

	if (path != MAILADDRESS_OK) {
		refuse(s, path == MAILADDRESS_NOT_ASCII ? 553 : 501,
		       path == MAILADDRESS_NOT_ASCII ? "5.6.7" : "5.1.3", "%s",
		       mailaddress_explain(path));
		return;
	}
	enum esmtp_result result = esmtp_recipient_parse(argument, &to, &culprit);

	if (result != ESMTP_OK) {
		refuse_parameters(s, result, culprit);
		return;
	}
	/* RFC 5321 section 4.5.3.1.10: 452, and the client sends the rest in another
	 * transaction. */
	if (t->recipients >= (unsigned)s->settings->recipients_max) {
		reply(s, 452, "4.5.3", "too many recipients");
		return;
	}
	string_put(to.address, sizeof to.address, mailaddress_view(&recipient));
	if (!recipient_accepted(s, to.address, &answer))
		t->refused++;
	else if (!add_recipient(t, &to, &answer))
		reply(s, 452, "4.5.3", "too many recipients");
	else {
		credit_recipient(&s->credit, clock_ms(), session_quiet_ms(s));
		reply(s, 250, "2.1.5", "recipient accepted");
	}
}
