/* SPDX-License-Identifier: ISC */
/* DATA: the message streams from the client into queued's file, and 250 means that it is on
 * disk. */
#include <assert.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/pace.h"
#include "lib/mail/date.h"
#include "smtpd/data.h"
#include "lib/mail/fixup.h"
#include "lib/queue/refusals.h"
#include "smtpd/received.h"
#include "smtpd/session.h"

static_assert((int)DATA_LINE_MAX <= (int)FIXUP_LINE_MAX,
              "what passes as a line fits into the header's reader");

enum {
	CHUNK_MAX = STREAM_BUFFER_BYTES,
	MESSAGE_ID_TEXT_MAX = 320,
	/* About what we add to a message: what was delivered, and did not fit, had it. */
	RECEIVED_BYTES = 512,
	DELIVERED_TO_MAX = 100, /* fields that are held against all recipients */
	/* Of a message that will be refused whatever follows: so much is read on for the sake of a
	 * reply behind its end, which a client understands better than a closed connection. */
	READ_ON_MAX_BYTES = 16 << 20
};

/* One message on its way. */
struct arrival {
	struct session *session;
	struct spool_writer *writer;
	struct data data;
	struct fixup header;
	uint64_t bytes;        /* without the client's dots, with the CRs that it left out */
	unsigned delivered_to; /* fields seen */
	bool too_large;
	bool write_failed; /* refusal says why */
	uint64_t received; /* bytes, all of them */
	bool refused;      /* it will be, whatever follows: its file is gone */
	uint64_t refused_at;
	bool cut; /* its end was not waited for */
	struct progress progress;
	struct spool_refusal refusal;
	char date[DATE_TEXT_MAX], message_id[MESSAGE_ID_TEXT_MAX];
};

static int write_to_spool(void *context, struct view bytes)
{
	struct arrival *a = context;

	return spool_write(a->writer, bytes, &a->refusal);
}

/* The message says that it has been in this mailbox. If it is a recipient's, local would find that
 * out when it is too late to refuse. */
static void take_delivered_to(void *context, struct view address)
{
	struct arrival *a = context;
	struct transaction *t = a->session->transaction;

	if (address.len == 0 || a->delivered_to++ >= DELIVERED_TO_MAX)
		return;
	for (struct recipient *r = t->first; r != NULL; r = r->next) {
		if (r->loops || !view_equal_nocase(r->mailbox, address))
			continue;
		r->loops = true;
		t->loops++;
	}
}

/* The first lines, and what the header will need. */
static void begin_message(struct arrival *a)
{
	struct session *s = a->session;
	struct transaction *t = s->transaction;
	int64_t now_s = clock_wall_s();
	struct received r = {
		.helo = s->helo,
		.client = s->connection.client,
		.client_name = s->client_name,
		.host = s->settings->host_name,
		.extended = s->extended,
		.authenticated = s->account[0] != '\0',
		.tls = &s->connection.tls,
		.id = a->writer->id,
		.recipient = "",
		.when_s = now_s,
	};
	struct envelope_recipient first;
	struct text line;

	recipient_unpack(t->first, &first);
	if (t->recipients == 1)
		r.recipient = first.address;
	text_init(&line, 4096);
	received_write(&r, &line);
	a->write_failed = write_to_spool(a, text_view(&line)) != 0;
	text_free(&line);
	date_mail((struct date){ now_s, date_local_zone(now_s) }, a->date);
	string_print(a->message_id, sizeof a->message_id, "<%s@%s>", a->writer->id,
	             s->settings->host_name);
	a->header.mend = session_submits(s);
	a->header.domain = s->settings->mail_domain;
	a->header.from = t->envelope.sender[0] ? t->envelope.sender : s->account;
	a->header.date = a->date;
	a->header.message_id = a->message_id;
	a->header.write = write_to_spool;
	a->header.delivered_to = take_delivered_to;
	a->header.context = a;
}

static bool header_too_long(const struct arrival *a)
{
	return a->header.header_bytes > a->session->settings->message_header_max_bytes;
}

static void take_span(struct arrival *a, struct view span)
{
	a->bytes += span.len;
	if (a->bytes > a->session->settings->message_size_max_bytes)
		a->too_large = true;
	if (!a->too_large && !a->write_failed && !header_too_long(a))
		a->write_failed = fixup_add(&a->header, span) != 0;
}

static bool is_refused(const struct arrival *a)
{
	return a->data.fault != DATA_GOOD || a->too_large || a->write_failed || header_too_long(a);
}

/* What is refused takes up no room of the queue while the rest of it is read. */
static enum data_result take(struct arrival *a, struct view *in)
{
	enum data_result result;
	struct view span;

	a->received += in->len;
	while ((result = data_next(&a->data, in, &span)) == DATA_SPAN)
		take_span(a, span);
	if (is_refused(a) && !a->refused) {
		a->refused = true;
		a->refused_at = a->received;
		spool_abandon(a->writer);
	}
	a->cut = result == DATA_MORE && a->refused &&
	         a->received - a->refused_at > READ_ON_MAX_BYTES;
	return a->cut ? DATA_END : result;
}

/* Bytes have come: are they too few for the time that they took? */
static bool is_too_slow(struct arrival *a, int64_t now_ms, size_t bytes)
{
	struct session *s = a->session;
	const struct progress_rate least = { .per_second = s->settings->smtpd_data_rate_min_bytes,
		                             .patience_ms = s->settings->smtpd_timeout_ms };

	if (progress_goes_on(&a->progress, &least, now_ms, (int64_t)bytes))
		return false;
	log_info("event=slow client=%s bytes=%llu bytes_per_second_min=%lld", s->name,
	         (unsigned long long)a->received, (long long)least.per_second);
	reply(s, 421, "4.4.2", "%s message comes too slowly, closing", s->settings->host_name);
	s->over = true;
	return true;
}

/* Reads to the end of the message, whatever is wrong with it, or as far as it is worth it.
 * DATA_MORE: the client is gone. */
static enum data_result receive(struct arrival *a)
{
	struct session *s = a->session;
	int64_t now_ms = clock_ms();
	const int64_t until_ms = now_ms + MESSAGE_TIME_MAX_MS;

	progress_begin(&a->progress, now_ms);
	for (;;) {
		struct view in;
		enum stream_result got = stream_some(&s->client, CHUNK_MAX, &in);
		enum data_result result;

		now_ms = clock_ms();
		if (got == STREAM_OK && now_ms > until_ms)
			got = STREAM_TIMEOUT;
		if (session_read_failed(s, got) || is_too_slow(a, now_ms, in.len))
			return DATA_MORE;
		session_progress(s, true);
		result = take(a, &in);
		if (result != DATA_MORE) {
			stream_unread(&s->client, in.len);
			return result;
		}
	}
}

/* RFC 5321 section 4.2.3 has a code of its own for storage that is short. */
static int code_of(const struct spool_refusal *r)
{
	if (r->permanent)
		return 554;
	return strcmp(r->status, "4.3.1") == 0 ? 452 : 451;
}

/* Of every recipient. */
static bool exceeds_quotas(const struct arrival *a)
{
	uint64_t max = a->session->transaction->size_max_bytes;

	return max && a->bytes > max;
}

/* At RCPT a mailbox that is known as full was asked by the size that the client announced, if it
 * did, and without what we add. Of so small a message the answer holds. */
static bool size_is_news(const struct arrival *a)
{
	const struct session *s = a->session;

	return !session_submits(s) && a->bytes > REFUSAL_ROOM_BYTES &&
	       a->bytes + RECEIVED_BYTES > s->transaction->announced_bytes;
}

/* Is every recipient's mailbox too full, as deliveries have shown? What does not fit would wait to
 * its end, and nobody be told. */
static bool none_has_room(struct arrival *a)
{
	struct session *s = a->session;
	static struct resolve_question q;
	static struct resolve_answer answer;
	bool full = size_is_news(a);

	for (const struct recipient *r = s->transaction->first; full && r != NULL; r = r->next) {
		struct envelope_recipient to;

		recipient_unpack(r, &to);
		session_question(s, &q);
		string_put(q.sender, sizeof q.sender, view_of(s->transaction->envelope.sender));
		string_put(q.recipient, sizeof q.recipient, view_of(to.address));
		q.size_bytes = a->bytes + RECEIVED_BYTES;
		resolve_ask(&s->worker->resolved, RESOLVE_RECIPIENT, &q, &answer);
		full = answer.verdict == RESOLVE_LATER && strcmp(answer.status, "4.2.2") == 0;
	}
	return full;
}

/* true: refused and answered. */
static bool refuse_message(struct arrival *a)
{
	struct session *s = a->session;
	unsigned hops_max = (unsigned)s->settings->received_hops_max;

	if (a->data.fault == DATA_BARE)
		refuse(s, 554, "5.6.0",
		       a->data.lf_ends_lines ? "bare CR, lines must end with CR LF"
		                             : "bare CR or bare LF, lines must end with CR LF");
	else if (a->data.fault == DATA_NUL)
		refuse(s, 554, "5.6.0", "NUL in message");
	else if (a->data.fault == DATA_LONG_LINE)
		refuse(s, 554, "5.6.0", "line longer than %d bytes", DATA_LINE_MAX);
	else if (a->too_large)
		refuse(s, 552, "5.3.4", "message exceeds the limit of %llu bytes",
		       (unsigned long long)s->settings->message_size_max_bytes);
	else if (header_too_long(a))
		refuse(s, 552, "5.3.4", "header exceeds the limit of %llu bytes",
		       (unsigned long long)s->settings->message_header_max_bytes);
	else if (a->header.received > hops_max)
		refuse(s, 554, "5.4.6", "mail loop: more than %u Received fields", hops_max);
	else if (s->transaction->loops == s->transaction->recipients)
		refuse(s, 554, "5.4.6", "mail loop: the message has been in this mailbox before");
	else if (exceeds_quotas(a))
		refuse(s, 552, "5.2.3", "message exceeds the quota of the mailbox");
	else if (none_has_room(a))
		refuse(s, 452, "4.2.2", "the mailbox is full");
	else if (a->write_failed)
		refuse(s, code_of(&a->refusal), a->refusal.status, "%s", a->refusal.text);
	else
		return false;
	return true;
}

/* 0 when the message is safe on disk. */
static int commit(struct arrival *a)
{
	struct transaction *t = a->session->transaction;

	if (fixup_end(&a->header) != 0)
		return -1;
	for (const struct recipient *r = t->first; r != NULL; r = r->next) {
		struct envelope_recipient out;

		recipient_unpack(r, &out);
		if (spool_add_recipient(a->writer, &out, &a->refusal) != 0)
			return -1;
	}
	t->envelope.hops = (uint16_t)(a->header.received + 1);
	return spool_finish(a->writer, &t->envelope, &a->refusal);
}

static void log_accepted(const struct arrival *a)
{
	const struct session *s = a->session;
	const struct transaction *t = s->transaction;
	struct envelope_recipient first;

	recipient_unpack(t->first, &first);
	log_info(
		"id=%s event=accept client=%s helo=%s account=%s from=<%s> to=<%s>%s recipients=%u bytes=%llu tls=%s",
		a->writer->id, s->name, or_dash(s->helo), or_dash(s->account),
		log_quote(view_of(t->envelope.sender)), log_quote(view_of(first.address)),
		t->recipients > 1 ? ",..." : "", t->recipients,
		(unsigned long long)a->writer->written,
		s->connection.tls.on ? s->connection.tls.version : "-");
}

static void finish(struct arrival *a, enum data_result end)
{
	struct session *s = a->session;

	if (end == DATA_MORE)
		return;
	if (end == DATA_AMBIGUOUS) {
		refuse(s, 521, "5.6.0",
		       "ambiguous end of message: a dot between line ends other than CR LF, closing");
		s->over = true;
	} else if (refuse_message(a)) {
		s->over = s->over || a->cut;
	} else {
		if (commit(a) != 0) {
			refuse(s, code_of(&a->refusal), a->refusal.status, "%s", a->refusal.text);
		} else {
			s->messages++;
			s->errors = s->idle_commands = 0;
			credit_message(&s->credit, clock_ms(), session_quiet_ms(s));
			log_accepted(a);
			reply(s, 250, "2.0.0", "queued as %s", a->writer->id);
		}
	}
}

void command_data(struct session *s, struct view argument)
{
	struct arrival a = { .session = s, .writer = &s->worker->writer };
	const struct spool_open open = { .announced_bytes = s->transaction->announced_bytes,
		                         .client = s->connection.client };

	(void)argument;
	s->argument = VIEW("");
	if (spool_begin(a.writer, &open, &a.refusal) != 0) {
		refuse(s, code_of(&a.refusal), a.refusal.status, "%s", a.refusal.text);
		transaction_end(s);
		return;
	}
	a.data.lf_ends_lines =
		s->connection.service == CONNECTION_SUBMISSION && s->account[0] != '\0';
	begin_message(&a);
	/* porter knows it before the text can be here whole, and taken: a client that is told to go
	 * then sends it again. */
	session_progress(s, true);
	reply(s, 354, NULL, "end data with <CR><LF>.<CR><LF>");
	finish(&a, receive(&a));
	fixup_free(&a.header);
	transaction_end(s);
}
