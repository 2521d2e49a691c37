/* SPDX-License-Identifier: ISC */
/* One message on its way over a conversation. */
#include <poll.h>
#include <string.h>

#include "deliver/remote/conversation-parts.h"
#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/queue/checksum.h"

enum { FILE_BYTES = 65536, TEXT_RATE_MIN = 1000 /* bytes a second */ };
enum { COMMAND_BYTES_MAX = 4096 };

/* A command of one path and its parameters. */
static struct text *command(const char *name, const char *address)
{
	static struct text line; /* its memory is kept */

	if (line.max == 0)
		text_init(&line, COMMAND_BYTES_MAX);
	text_clear(&line);
	text_format(&line, "%s:<%s>", name, address);
	return &line;
}

/* To a host without 8BITMIME an 8-bit message goes as it is: see VIOLATIONS. */
static void say_mail(struct conversation *c, const struct job *job)
{
	struct text *line = command("MAIL FROM", job->envelope.sender);

	esmtp_mail_write(line, &job->envelope, job->message_bytes + job->extra_bytes,
	                 c->extensions.offered);
	text_add_string(line, "\r\n");
	stream_write(&c->stream, text_view(line));
}

static void say_recipient(struct conversation *c, const struct job_recipient *r)
{
	struct text *line = command("RCPT TO", r->to.address);

	esmtp_recipient_write(line, &r->to, c->extensions.offered);
	text_add_string(line, "\r\n");
	stream_write(&c->stream, text_view(line));
}

/* NULL: it is written, or the stream has failed; else why not. sum grows with it. */
static const char *write_file(struct conversation *c, int file, uint64_t offset, uint64_t size,
                              struct checksum *sum, bool *line_start)
{
	static char buffer[FILE_BYTES];
	/* The stream waits for each bit of progress anew: who takes a byte a minute must not have
	 * an agent for days. */
	int64_t until_ms =
		clock_ms() + c->stream.timeout_ms + (int64_t)(size / TEXT_RATE_MIN) * 1000;

	while (size > 0) {
		if (clock_ms() > until_ms)
			c->stream.write_failed = c->stream.write_timeout = true;
		if (c->stream.write_failed)
			return NULL;
		size_t n = size < sizeof buffer ? (size_t)size : sizeof buffer;
		enum file_result got = file_read_at(file, buffer, n, offset);

		if (got != FILE_WHOLE)
			return file_result_text(got);
		checksum_add(sum, (struct view){ buffer, n });
		stream_write_stuffed(&c->stream, (struct view){ buffer, n }, line_start);
		offset += n;
		size -= n;
	}
	return NULL;
}

/* NULL: it is written, and is the message that came; or the stream has failed. */
static const char *write_text(struct conversation *c, const struct job *job, bool *line_start)
{
	uint8_t is[SPOOL_CHECKSUM_BYTES];
	struct checksum sum;

	checksum_begin(&sum);
	const char *why =
		write_file(c, job->fd, job->extra_offset, job->extra_bytes, &sum, line_start);

	checksum_begin(&sum);
	if (why == NULL)
		why = write_file(c, job->fd, job->message_offset, job->message_bytes, &sum,
		                 line_start);
	checksum_end(&sum, is);
	if (why || c->stream.write_failed || checksum_equal(is, job->checksum))
		return why;
	c->damaged = true;
	return "wrong checksum";
}

struct transaction {
	struct conversation *c;
	const struct job *job;
	const struct job_recipient *recipients;
	unsigned count, accepted_count;
	bool pipelined;
	bool ahead;      /* all of the text is in the stream's buffer, and nothing of it has left */
	bool line_start; /* the text, as far as it is written, ends with a line's end */
	const char *text_fault; /* why it cannot be written; NULL: it can */
	bool text_begun;        /* from here on the host may have taken the message */
	bool taken;             /* it has, for somebody, or nobody knows */
	bool not_kept;          /* it was refused as one over a kept connection may be */
	bool accepted[JOB_RECIPIENTS_MAX];
	struct job_result *results;
	struct reply *reply;
};

static void say_text(struct transaction *t)
{
	t->line_start = true;
	t->text_fault = write_text(t->c, t->job, &t->line_start);
}

/* However many of its bytes are dots that are doubled, the text and its end fit into what leaves at
 * once. */
static bool fits_at_once(const struct job *job)
{
	const uint64_t most = STREAM_BUFFER_BYTES / 2 - sizeof "\r\n.\r\n";

	return job->extra_bytes < most && job->message_bytes < most - job->extra_bytes;
}

/* A file that cannot be read, or is not what came, must not end in a dot: half a message would be
 * taken for a whole one. */
static bool write_message(struct transaction *t)
{
	struct conversation *c = t->c;
	struct reply *reply = t->reply;

	if (!t->ahead)
		say_text(t);
	if (t->text_fault) {
		own_fault(reply, "the message", t->text_fault);
		c->broken = true;
		return false;
	}
	if (!t->line_start)
		stream_write(&c->stream, VIEW("\r\n"));
	/* Of one that is written ahead the host has nothing yet that it could answer. */
	if (t->ahead || nothing_unasked(c)) {
		stream_write(&c->stream, VIEW(".\r\n"));
		c->text_said = true;
		return true;
	}
	/* An answer to what has not ended: a refusal is believed, and the host not asked further.
	 */
	if (!read_answer(c, "the message", false, reply))
		return false;
	if (c->lmtp || reply->code / 100 == 2)
		return out_of_step(c, "the message", reply);
	c->broken = true;
	return true;
}

/* What the host said of a recipient. Nothing but its answer to the text (send_text) makes one
 * done. */
static void settle(struct transaction *t, unsigned i, enum job_outcome outcome)
{
	struct job_result *result = &t->results[i];

	result->outcome = outcome;
	string_put(result->status, sizeof result->status, view_of(t->reply->status));
	string_put(result->text, sizeof result->text, view_of(t->reply->text));
	string_put(result->remote_host, sizeof result->remote_host,
	           view_of(t->reply->code ? t->c->host : ""));
	result->unknown = false;
	result->contested =
		outcome == JOB_RETRY && t->c->waits && t->reply->for_now && !t->c->no_room[i];
	result->before_text = outcome == JOB_FAILED && !t->text_begun;
	result->passed_on = outcome == JOB_DONE && extensions_have(&t->c->extensions, ESMTP_DSN);
}

static void settle_all(struct transaction *t, enum job_outcome outcome)
{
	for (unsigned i = 0; i < t->count; i++)
		settle(t, i, outcome);
}

static void settle_accepted(struct transaction *t, enum job_outcome outcome)
{
	for (unsigned i = 0; i < t->count; i++)
		if (t->accepted[i])
			settle(t, i, outcome);
}

/* What is said of a text, or of it for one recipient, over a connection that is kept: as
 * refuses_kept. */
static enum job_outcome text_outcome(struct transaction *t, bool answered)
{
	struct reply *r = t->reply;

	t->taken = t->taken || !answered || r->code / 100 == 2;
	if (answered && r->code / 100 == 2)
		return JOB_DONE;
	if (t->c->kept && reply_for_good(r)) {
		reply_is_for_now(r);
		t->not_kept = true;
	}
	return reply_outcome(r);
}

/* The recipients that the host has accepted share what comes of the message: one answer, or in LMTP
 * one each (RFC 2033 section 4.2). */
static void send_text(struct transaction *t, const struct conversation_limits *limits)
{
	struct conversation *c = t->c;

	t->text_begun = true;
	bool answered = write_message(t);

	stream_set_timeout(&c->stream, limits->data_ms);
	if (answered && !c->lmtp && !c->broken)
		answered = read_answer(c, "the message", false, t->reply);
	for (unsigned i = 0; i < t->count; i++) {
		if (!t->accepted[i])
			continue;
		if (answered && c->lmtp)
			answered = read_answer(c, "the message", false, t->reply);
		settle(t, i, text_outcome(t, answered));
		t->results[i].damaged = c->damaged;
	}
	c->text_said = false;
	/* One more than there are recipients: which of them is whose? */
	if (answered && c->lmtp && !c->broken)
		in_step(c, "the message", t->reply);
	if (!c->broken)
		stream_set_timeout(&c->stream, limits->command_ms);
}

static bool too_large(struct transaction *t)
{
	struct reply reply = { .code = 552, .status = "5.3.4" };
	uint64_t bytes = t->job->message_bytes + t->job->extra_bytes;

	if (t->c->extensions.size_bytes == 0 || bytes <= t->c->extensions.size_bytes)
		return false;
	string_print_cut(reply.text, sizeof reply.text,
	                 "the message has %llu bytes; %s takes at most %llu",
	                 (unsigned long long)bytes, t->c->host,
	                 (unsigned long long)t->c->extensions.size_bytes);
	if (t->c->took || t->c->waits)
		reply_is_for_now(&reply);
	t->reply = &reply;
	settle_all(t, reply_outcome(&reply));
	for (unsigned i = 0; i < t->count; i++) {
		t->results[i].remote_host[0] = '\0'; /* our words */
		t->results[i].before_text = false;   /* of the text, all the same */
	}
	return true;
}

/* Says what pipelining lets us say at once, and reads MAIL's answer. false: the line broke, *reply
 * says how. */
static bool begin(struct transaction *t)
{
	struct conversation *c = t->c;

	/* What came while it was idle, words or the end, is no answer to anything; nor are its
	 * words waited for. */
	if (c->kept && !nothing_unasked(c))
		c->broken = true;
	if (c->broken || (!c->kept && !in_step(c, "MAIL", t->reply)))
		return false;
	say_mail(c, t->job);
	for (unsigned i = 0; t->pipelined && i < t->count; i++)
		say_recipient(c, &t->recipients[i]);
	if (t->pipelined)
		stream_write(&c->stream, VIEW("DATA\r\n"));
	return read_answer(c, "MAIL", false, t->reply);
}

/* A host that takes no more recipients at once says 452; by RFC 821 it was 552, which is to be
 * taken as that (RFC 5321 section 4.5.3.1.10), unless it is of the recipient: a mailbox that is
 * full. */
static bool means_no_room(const struct transaction *t)
{
	const struct reply *r = t->reply;
	bool bare = strcmp(r->status + 1, ".0.0") == 0;

	return (t->accepted_count > 0 || t->c->took) &&
	       ((r->code == 452 && (bare || strcmp(r->status, "4.5.3") == 0)) ||
	        (r->code == 552 && (bare || strcmp(r->status + 1, ".5.3") == 0)));
}

static void settle_recipient(struct transaction *t, unsigned i, enum refusal refusal)
{
	struct reply *r = t->reply;

	t->accepted[i] = r->code / 100 == 2;
	t->accepted_count += t->accepted[i];
	t->c->no_room[i] = means_no_room(t);
	if (t->c->no_room[i])
		string_put(r->status, sizeof r->status, VIEW("4.5.3"));
	if (refusal != REFUSAL_OTHER)
		refusal_be_precise(r);
	/* Accepted, it waits for the text's answer. */
	settle(t, i, t->c->no_room[i] ? JOB_RETRY : reply_outcome(r));
	t->results[i].unknown = refusal == REFUSAL_SURE && !t->c->worse;
}

/* A connection that is kept may be refused for its age or for what went over it before ("one
 * message a session"), in any words: over a new one we hear what it is. So it is with every word of
 * a host that is not the first choice. */
static bool refuses_kept(struct transaction *t, enum refusal refusal)
{
	struct conversation *c = t->c;

	if (c->kept && reply_for_good(t->reply) && (c->worse || refusal != REFUSAL_SURE))
		c->broken = true;
	return c->broken;
}

static bool read_recipient(struct transaction *t, unsigned i, enum refusal *refusal)
{
	struct refusal_parties *p = &t->c->parties;

	p->recipient = t->recipients[i].to.address;
	bool answered = read_answer(t->c, "RCPT", false, t->reply);

	*refusal =
		answered && reply_for_good(t->reply) ? refusal_judge(t->reply, p) : REFUSAL_OTHER;
	p->recipient = NULL;
	return answered;
}

/* Reads the answers to RCPT; false when the line broke: who had none by then, waits. */
static bool read_recipients(struct transaction *t)
{
	for (unsigned i = 0; i < t->count; i++) {
		bool said = t->pipelined || in_step(t->c, "RCPT", t->reply);
		enum refusal refusal;

		if (said && !t->pipelined)
			say_recipient(t->c, &t->recipients[i]);
		/* 421 is said of them all. */
		if (!said || !read_recipient(t, i, &refusal) || refuses_kept(t, refusal)) {
			t->c->bore = t->accepted_count > 0 ? i : 0;
			for (; i < t->count; i++)
				settle(t, i, JOB_RETRY);
			settle_accepted(t, JOB_RETRY);
			return false;
		}
		settle_recipient(t, i, refusal);
	}
	return true;
}

static bool is_wanted(struct transaction *t)
{
	if (!wire_is_shut(t->c->wanted_by))
		return true;
	own_fault(t->reply, "the message", "queued is not there any more");
	t->c->broken = true;
	return false;
}

/* Nothing has come unasked, and the message is wanted still: most often one call says both. */
static bool may_begin(struct transaction *t)
{
	struct conversation *c = t->c;
	struct pollfd both[] = { { .fd = c->stream.fd, .events = POLLIN },
		                 { .fd = c->wanted_by, .events = POLLRDHUP } };

	if (c->tls == NULL && !stream_has_input(&c->stream) && poll(both, 2, 0) == 0)
		return true;
	/* Reading an answer would send what is written. */
	if (!nothing_unasked(c))
		stream_drop(&c->stream);
	return in_step(c, "the message", t->reply) && is_wanted(t);
}

/* A short text is read before the last look at what the host says, and leaves right behind it. */
static bool begin_text(struct transaction *t)
{
	t->ahead = fits_at_once(t->job);
	if (t->ahead)
		say_text(t);
	return may_begin(t);
}

/* Asks for the text; false: it is not wanted, and those who were accepted have the answer. */
static bool open_text(struct transaction *t)
{
	struct conversation *c = t->c;
	bool said = t->pipelined || in_step(c, "DATA", t->reply);

	if (said && !t->pipelined)
		stream_write(&c->stream, VIEW("DATA\r\n"));
	if (said && read_answer(c, "DATA", true, t->reply) && t->reply->code == 354 &&
	    begin_text(t))
		return true;
	refuses_kept(t, REFUSAL_OTHER);
	settle_accepted(t, reply_outcome(t->reply));
	return false;
}

/* Some hosts refuse RSET. Whether that is its answer shows the one to QUIT, whose code is no
 * other's.
 */
static void quit(struct conversation *c, struct reply *r)
{
	if (!in_step(c, "QUIT", r))
		return;
	stream_write(&c->stream, VIEW("QUIT\r\n"));
	if (read_answer(c, "QUIT", false, r) && r->code != 221 && r->code != 421)
		out_of_step(c, "QUIT", r);
	c->broken = true;
}

/* Out of a transaction that came to nothing; the answer to RSET shows that every answer before it
 * was the one that it was taken for. A host that closes instead is believed as well. With
 * pipelining DATA may have been accepted for nobody (RFC 2920 section 3.1). */
static void leave(struct transaction *t, bool data_said)
{
	struct conversation *c = t->c;
	struct reply scratch = { 0 };

	if (c->broken)
		return;
	if (data_said && read_answer(c, "DATA", true, &scratch) && scratch.code == 354 &&
	    in_step(c, "the message", &scratch)) {
		stream_write(&c->stream, VIEW(".\r\n"));
		read_answer(c, "the message", false, &scratch);
	}
	if (!c->broken && in_step(c, "RSET", &scratch)) {
		stream_write(&c->stream, VIEW("RSET\r\n"));
		if (read_answer(c, "RSET", false, &scratch) && scratch.code / 100 != 2 &&
		    !c->broken)
			quit(c, &scratch);
	}
	if (c->out_of_step)
		*t->reply = scratch;
}

/* MAIL was refused: whether another host may know better is for the caller to say, when it is not
 * for good. */
static bool mail_refused(struct transaction *t)
{
	bool for_good = reply_for_good(t->reply);
	struct reply scratch;

	if (t->reply->code == 530) /* RFC 3207 section 4, RFC 4954 section 6 */
		be_precise(t->reply, "7.0");
	if (for_good)
		settle_all(t, JOB_FAILED);
	for (unsigned i = 0; t->pipelined && i < t->count && !t->c->broken; i++) {
		/* A yes now is to something else, or the host would take a text: of ours it must
		 * not even have an empty one. */
		if (read_answer(t->c, "RCPT", false, &scratch) && scratch.code / 100 == 2)
			out_of_step(t->c, "RCPT", &scratch);
		if (t->c->out_of_step && for_good)
			*t->reply = scratch;
	}
	leave(t, t->pipelined);
	return for_good;
}

/* It came to nothing before the text, for now, and nobody has been refused for good: another host
 * may do better (RFC 5321 section 5.1). Not after an answer that was no reply, but that those
 * before it are offered alone. */
static bool may_ask_another(const struct transaction *t)
{
	for (unsigned i = 0; i < t->count; i++)
		if (t->results[i].outcome == JOB_FAILED)
			return false;
	return !t->c->out_of_step && (!t->c->garbled || (t->c->bore > 0 && !t->c->took));
}

static bool run(struct transaction *t, const struct conversation_limits *limits)
{
	if (!begin(t))
		return false;
	if (t->reply->code / 100 != 2 && t->c->kept) {
		t->c->broken = true;
		return false;
	}
	if (t->reply->code / 100 != 2)
		return mail_refused(t);
	if (!read_recipients(t))
		return !may_ask_another(t);
	if (t->accepted_count == 0) {
		leave(t, t->pipelined);
		return true;
	}
	if (!open_text(t)) {
		leave(t, false);
		return !may_ask_another(t);
	}
	send_text(t, limits);
	t->c->messages++;
	return true;
}

bool conversation_send(struct conversation *c, const struct job *job,
                       const struct job_recipient *recipients, unsigned count,
                       const struct conversation_limits *limits, struct job_result *results,
                       struct reply *reply)
{
	struct transaction t = { .c = c,
		                 .job = job,
		                 .recipients = recipients,
		                 .count = count,
		                 .pipelined = extensions_have(&c->extensions, ESMTP_PIPELINING),
		                 .results = results,
		                 .reply = reply };

	c->damaged = false;
	c->bore = 0;
	memset(c->no_room, 0, sizeof c->no_room);
	c->parties.sender = job->envelope.sender;
	if (too_large(&t)) {
		c->broken = c->kept && c->worse;
		return !c->broken;
	}
	bool settled = run(&t, limits);

	/* A goodbye of a host that was idle, and our first command, may have crossed: of what was
	 * said then nothing is believed but what a new conversation says again. So it is with a
	 * refusal of the text, when none can have it. */
	if (c->kept && (t.text_begun ? t.not_kept && !t.taken && !c->out_of_step : c->broken)) {
		c->broken = true;
		return false;
	}
	if (settled && c->out_of_step)
		settle_all(&t, JOB_RETRY);
	return settled;
}
