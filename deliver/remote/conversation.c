/* SPDX-License-Identifier: ISC */
#include "deliver/remote/conversation.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/queue/checksum.h"

enum { FILE_BYTES = 65536, TEXT_RATE_MIN = 1000 /* bytes a second */ };

/* ---- the line ---- */

/* Code 0: what happened on our side of the wire; a reason to try again. */
static void no_reply(struct reply *r, const char *what, const char *why)
{
	reply_clear(r);
	string_put(r->status, sizeof r->status, VIEW("4.4.2"));
	string_print_cut(r->text, sizeof r->text, "%.100s: %.360s", what, why);
}

/* Code 0, and the host has nothing to do with it. */
static void own_fault(struct reply *r, const char *what, const char *why)
{
	no_reply(r, what, why);
	string_put(r->status, sizeof r->status, VIEW("4.3.0"));
	r->own_fault = true;
}

enum job_outcome reply_outcome(const struct reply *reply)
{
	return reply->own_fault ? JOB_OWN_FAULT : reply_for_good(reply) ? JOB_FAILED : JOB_RETRY;
}

static const char *stream_words(enum stream_result result)
{
	switch (result) {
	case STREAM_CLOSED: return "connection closed";
	case STREAM_TIMEOUT: return "timeout";
	case STREAM_TOO_LONG:
	case STREAM_BARE:
	case STREAM_NUL: return "invalid SMTP reply";
	default: return strerror(errno);
	}
}

/* No line has come: why not. */
static bool no_line(struct conversation *c, const char *what, enum stream_result result,
                    struct reply *r)
{
	/* The stream tells of a host that takes nothing when it is written to, not here. */
	const char *words = stream_words(c->stream.write_timeout ? STREAM_TIMEOUT : result),
		   *tls = c->tls ? clienttls_error(c->tls) : "";
	bool begun = r->lines > 0 || result == STREAM_TIMEOUT;

	c->broken = true;
	if (c->tls && clienttls_own_fault(c->tls)) {
		own_fault(r, what, tls);
		return false;
	}
	c->ended = !begun && !c->heard;
	no_reply(r, what, tls[0] && !begun ? tls : words);
	return false;
}

/* A host that offers TLS and had none of us, since it failed, may refuse just that: 530, or X.7.n
 * (RFC 3463 section 3.8). With the next attempt TLS may work. */
static void look_for_tls(const struct conversation *c, struct reply *r)
{
	if (!c->unprotected || r->code / 100 != 5 ||
	    (r->code != 530 && strncmp(r->status, "5.7.", 4) != 0))
		return;
	r->for_now = true;
	r->status[0] = '4';
}

/* One answer; for EHLO its lines are looked at too. false: the conversation is broken, *r says how.
 *
 * The time is for the whole answer: a host that sends a line of many just before each line's time
 * is over would keep an agent for hours, and a few of them (every sender of mail here can have a
 * report sent to such a one) all agents. */
static bool read_reply(struct conversation *c, const char *what, struct reply *r,
                       struct extensions *extensions)
{
	int64_t until_ms = clock_ms() + c->stream.timeout_ms;
	struct view line;

	reply_clear(r);
	do {
		bool late = r->more && clock_ms() >= until_ms;
		enum stream_result result =
			late ? STREAM_TIMEOUT : stream_line(&c->stream, REPLY_LINE_MAX, &line);

		/* A host that ends lines with a bare LF, all or some, is odd, not hostile: what it
		 * answers is no command. */
		if (result != STREAM_OK && result != STREAM_BARE)
			return no_line(c, what, result, r);
		if (result == STREAM_BARE)
			line = view_trim(line);
		c->stream.skip_rest = false;
		if (!reply_line(r, line)) {
			no_reply(r, what, "invalid SMTP reply");
			c->broken = true;
			return false;
		}
		if (extensions && r->lines > 1)
			extensions_line(extensions, view_skip(line, 4));
	} while (r->more);
	c->heard = true;
	look_for_tls(c, r);
	if (r->code == 421)
		c->broken = true; /* RFC 5321 section 3.8: it closes */
	return true;
}

/* A host that answered what nobody had asked, or not what was asked: from here on no answer can be
 * attributed, the earlier ones neither. */
static bool out_of_step(struct conversation *c, const char *what, struct reply *r)
{
	char text[REPLY_TEXT_MAX];

	string_put(text, sizeof text, view_of(r->text));
	no_reply(r, what, text);
	string_put(r->status, sizeof r->status, VIEW("4.5.0"));
	c->broken = c->out_of_step = true;
	return false;
}

/* Has nothing come that was not asked for, neither read yet nor still with the kernel? */
static bool nothing_unasked(struct conversation *c)
{
	if (stream_has_input(&c->stream))
		return false;
	return c->tls ? clienttls_quiet(c->tls) : file_wait(c->stream.fd, POLLIN, 0) == 0;
}

/* Before a command: what is there already is no answer to it. Only 421 may come unasked (RFC 5321
 * section 3.8), and the end. */
static bool in_step(struct conversation *c, const char *what, struct reply *r)
{
	if (nothing_unasked(c))
		return true;
	if (read_reply(c, what, r, NULL) && r->code != 421)
		out_of_step(c, "unexpected reply", r);
	return false;
}

/* Is the answer of a class that this command can have (RFC 5321 section 4.3.2): 2yz, or 354 when
 * `go_on`; 4yz; 5yz? */
static bool belongs(struct conversation *c, const char *what, bool go_on, struct reply *r)
{
	bool good = go_on ? r->code == 354 : r->code / 100 == 2;

	if (good || r->code / 100 == 4 || r->code / 100 == 5)
		return true;
	return out_of_step(c, what, r);
}

static bool read_answer(struct conversation *c, const char *what, bool go_on, struct reply *r)
{
	return read_reply(c, what, r, NULL) && belongs(c, what, go_on, r);
}

/* 0: it has come to something; else an errno. A signal, as at every reload, is no reason to give up
 * the host. */
static int wait_connected(int fd, int timeout_ms)
{
	int ready = file_wait(fd, POLLOUT, timeout_ms);

	return ready > 0 ? 0 : ready == 0 ? ETIMEDOUT : errno;
}

static int connect_within(const struct net_address *to, int timeout_ms)
{
	struct sockaddr_storage ss;
	socklen_t len = net_address_to_sockaddr(to, &ss), size = sizeof(int);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = 0,
	    on = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(fd, (struct sockaddr *)&ss, len) < 0) {
		error = errno;
		if (error == EINPROGRESS) {
			error = wait_connected(fd, timeout_ms);
			if (error == 0)
				getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
		}
	}
	if (error) {
		close(fd);
		errno = error;
		return -1;
	}
	fcntl(fd, F_SETFL, 0); /* from here on blocking, with the kernel's timeouts */
	return fd;
}

static enum conversation_result give_up(struct conversation *c, enum conversation_result result)
{
	c->broken = true;
	conversation_close(c);
	return result;
}

/* ---- opening ---- */

/* A refusal that has no status of its own gets one of what it is about: its class stays. */
static void be_precise(struct reply *r, const char *subject)
{
	if (r->status[0] && strcmp(r->status + 1, ".0.0") == 0)
		string_print(r->status, sizeof r->status, "%c.%s", r->status[0], subject);
}

/* What has been said to EHLO or HELO: X.5.1 to a command that it does not know, X.3.2 when it wants
 * no mail. */
static bool welcomes(struct reply *r)
{
	if (r->code / 100 == 2)
		return true;
	be_precise(r, r->code >= 500 && r->code <= 504 ? "5.1" : "3.2");
	return false;
}

static bool greet(struct conversation *c, const char *helo, struct reply *reply)
{
	const char *hello = c->lmtp ? "LHLO" : "EHLO";

	c->extensions = (struct extensions){ 0 };
	if (!in_step(c, hello, reply))
		return false;
	stream_format(&c->stream, "%s %s\r\n", hello, helo);
	if (!read_reply(c, hello, reply, &c->extensions) || !belongs(c, hello, false, reply))
		return false;
	if (reply->code / 100 == 2)
		return true;
	if (reply->code / 100 != 5 || c->lmtp)
		return welcomes(reply);
	if (c->broken || !in_step(c, "HELO", reply))
		return false;
	/* A host of before 1995. */
	stream_format(&c->stream, "HELO %s\r\n", helo);
	return read_answer(c, "HELO", false, reply) && welcomes(reply);
}

/* After the offer was taken up, everything is asked again inside (RFC 3207 section 4.2). */
static enum conversation_result start_tls(struct conversation *c, const char *helo,
                                          struct reply *reply)
{
	struct reason why;
	bool ours;

	if (!in_step(c, "STARTTLS", reply))
		return CONVERSATION_REFUSED;
	stream_write(&c->stream, VIEW("STARTTLS\r\n"));
	if (!read_answer(c, "STARTTLS", false, reply))
		return c->out_of_step ? CONVERSATION_REFUSED : CONVERSATION_NO_TLS;
	if (reply->code != 220)
		return c->broken ? CONVERSATION_REFUSED : CONVERSATION_OPEN;
	if (stream_has_input(&c->stream)) {
		no_reply(reply, "STARTTLS", "unencrypted data after the reply");
		return CONVERSATION_REFUSED;
	}
	c->tls = clienttls_begin(&c->stream, c->host, &ours, &why);
	if (c->tls == NULL && ours) {
		own_fault(reply, "STARTTLS", why.text);
		return CONVERSATION_REFUSED;
	}
	if (c->tls == NULL) {
		no_reply(reply, "STARTTLS", why.text);
		return CONVERSATION_NO_TLS;
	}
	c->heard = false;
	if (greet(c, helo, reply))
		return CONVERSATION_OPEN;
	/* With TLS 1.3 our side of the handshake is over before the host has judged it: that it
	 * wants a certificate of ours comes with what would be its first answer (RFC 8446 section
	 * 4.4.2.4). */
	return c->ended ? CONVERSATION_NO_TLS : CONVERSATION_REFUSED;
}

enum conversation_result conversation_open(struct conversation *c, const struct net_address *to,
                                           const char *host, bool lmtp, const char *helo,
                                           bool without_tls,
                                           const struct conversation_limits *limits,
                                           struct reply *reply)
{
	int fd;

	memset(c, 0, sizeof *c);
	c->stream.fd = -1;
	c->lmtp = lmtp;
	c->unprotected = without_tls;
	string_put(c->host, sizeof c->host, view_of(host));
	net_address_text(to, c->address);
	fd = connect_within(to, limits->connect_ms);
	if (fd < 0) {
		char what[NET_ADDRESS_TEXT_MAX + 32];

		c->connect_error = errno;
		string_print_cut(what, sizeof what, "connecting to %s port %u", c->address,
		                 to->port);
		if (out_of_resources(c->connect_error)) {
			own_fault(reply, what, strerror(c->connect_error));
			return CONVERSATION_REFUSED;
		}
		no_reply(reply, what, strerror(c->connect_error));
		string_put(reply->status, sizeof reply->status, VIEW("4.4.1"));
		return CONVERSATION_REFUSED;
	}
	stream_open(&c->stream, fd, limits->command_ms);
	if (!read_answer(c, "greeting", false, reply) || reply->code / 100 != 2) {
		be_precise(reply, "3.2");
		return give_up(c, CONVERSATION_REFUSED);
	}
	if (!greet(c, helo, reply))
		return give_up(c, CONVERSATION_REFUSED);
	if (extensions_have(&c->extensions, ESMTP_STARTTLS) && !without_tls) {
		enum conversation_result result = start_tls(c, helo, reply);

		if (result != CONVERSATION_OPEN)
			return give_up(c, result);
		c->unprotected = c->tls == NULL;
	}
	return CONVERSATION_OPEN;
}

bool conversation_idle(const struct conversation *c)
{
	return !stream_has_input(&c->stream) && (!c->tls || !clienttls_has_input(c->tls)) &&
	       file_wait(c->stream.fd, POLLIN, 0) == 0;
}

void conversation_close(struct conversation *c)
{
	if (c->stream.fd < 0)
		return;
	if (!c->broken) {
		stream_write(&c->stream, VIEW("QUIT\r\n"));
		stream_flush(&c->stream);
	}
	clienttls_end(&c->tls, &c->stream);
	stream_close(&c->stream);
	c->stream.fd = -1;
}

/* ---- a message ---- */

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

/* A file that cannot be read, or is not what came, must not end in a dot: half a message would be
 * taken for a whole one. */
static bool write_message(struct conversation *c, const struct job *job, struct reply *reply)
{
	bool line_start = true;
	const char *why = write_text(c, job, &line_start);

	if (why) {
		own_fault(reply, "the message", why);
		c->broken = true;
		return false;
	}
	if (!line_start)
		stream_write(&c->stream, VIEW("\r\n"));
	if (nothing_unasked(c)) {
		stream_write(&c->stream, VIEW(".\r\n"));
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

/* One message on its way over a conversation. */
struct transaction {
	struct conversation *c;
	const struct job *job;
	const struct job_recipient *recipients;
	unsigned count, accepted_count;
	bool pipelined;
	bool text_begun; /* from here on the host may have taken the message */
	bool accepted[JOB_RECIPIENTS_MAX];
	struct job_result *results;
	struct reply *reply;
};

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

/* The recipients that the host has accepted share what comes of the message: one answer, or in LMTP
 * one each (RFC 2033 section 4.2). */
static void send_text(struct transaction *t, const struct conversation_limits *limits)
{
	struct conversation *c = t->c;

	t->text_begun = true;
	bool answered = write_message(c, t->job, t->reply);

	stream_set_timeout(&c->stream, limits->data_ms);
	if (answered && !c->lmtp && !c->broken)
		answered = read_answer(c, "the message", false, t->reply);
	for (unsigned i = 0; i < t->count; i++) {
		if (!t->accepted[i])
			continue;
		if (answered && c->lmtp)
			answered = read_answer(c, "the message", false, t->reply);
		settle(t, i,
		       answered && t->reply->code / 100 == 2 ? JOB_DONE : reply_outcome(t->reply));
		t->results[i].damaged = c->damaged;
	}
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
	t->reply = &reply;
	settle_all(t, JOB_FAILED);
	for (unsigned i = 0; i < t->count; i++)
		t->results[i].remote_host[0] = '\0'; /* our words */
	return true;
}

/* Says what pipelining lets us say at once, and reads MAIL's answer. false: the line broke, *reply
 * says how. */
static bool begin(struct transaction *t)
{
	struct conversation *c = t->c;

	if (!in_step(c, "MAIL", t->reply))
		return false;
	say_mail(c, t->job);
	for (unsigned i = 0; t->pipelined && i < t->count; i++)
		say_recipient(c, &t->recipients[i]);
	if (t->pipelined)
		stream_write(&c->stream, VIEW("DATA\r\n"));
	return read_answer(c, "MAIL", false, t->reply);
}

/* Does the answer to RCPT speak of the recipient alone (RFC 3463 section 3.2)?  A bare 550, and
 * 5.7.n, may as well be about the sender, who would be told that others are not there. */
static bool means_unknown(const struct reply *r)
{
	return r->code / 100 == 5 &&
	       (strcmp(r->status, "5.1.1") == 0 || strcmp(r->status, "5.1.6") == 0 ||
	        strcmp(r->status, "5.1.10") == 0);
}

/* A host that takes no more recipients at once says 452; by RFC 821 it was 552, which is to be
 * taken as that (RFC 5321 section 4.5.3.1.10), unless it is of the recipient: a mailbox that is
 * full. */
static enum job_outcome recipient_outcome(const struct transaction *t, struct reply *r)
{
	if (r->code != 552 || t->accepted_count == 0 ||
	    (strcmp(r->status, "5.0.0") != 0 && strcmp(r->status, "5.5.3") != 0))
		return reply_outcome(r);
	string_put(r->status, sizeof r->status, VIEW("4.5.3"));
	return JOB_RETRY;
}

/* Reads the answers to RCPT; false when the line broke: who had none by then, waits. */
static bool read_recipients(struct transaction *t)
{
	for (unsigned i = 0; i < t->count; i++) {
		bool said = t->pipelined || in_step(t->c, "RCPT", t->reply);

		if (said && !t->pipelined)
			say_recipient(t->c, &t->recipients[i]);
		/* 421 is said of them all. */
		if (!said || !read_answer(t->c, "RCPT", false, t->reply) || t->c->broken) {
			for (; i < t->count; i++)
				settle(t, i, JOB_RETRY);
			settle_accepted(t, JOB_RETRY);
			return false;
		}
		t->accepted[i] = t->reply->code / 100 == 2;
		t->accepted_count += t->accepted[i];
		/* Accepted, it waits for the text's answer. */
		settle(t, i, recipient_outcome(t, t->reply));
		t->results[i].unknown = means_unknown(t->reply);
	}
	return true;
}

/* Asks for the text; false: it is not wanted, and those who were accepted have the answer. */
static bool open_text(struct transaction *t)
{
	struct conversation *c = t->c;
	bool said = t->pipelined || in_step(c, "DATA", t->reply);

	if (said && !t->pipelined)
		stream_write(&c->stream, VIEW("DATA\r\n"));
	if (said && read_answer(c, "DATA", true, t->reply) && t->reply->code == 354 &&
	    in_step(c, "the message", t->reply))
		return true;
	settle_accepted(t, reply_outcome(t->reply));
	return false;
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
			out_of_step(c, "RSET", &scratch);
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
 * may do better (RFC 5321 section 5.1). */
static bool may_ask_another(const struct transaction *t)
{
	for (unsigned i = 0; i < t->count; i++)
		if (t->results[i].outcome == JOB_FAILED)
			return false;
	return !t->c->out_of_step;
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
	if (too_large(&t))
		return true;
	bool settled = run(&t, limits);

	/* A goodbye of a host that was idle, and our first command, may have crossed: of what was
	 * said then nothing is believed but what a new conversation says again. */
	if (c->kept && c->broken && !t.text_begun)
		return false;
	if (settled && c->out_of_step)
		settle_all(&t, JOB_RETRY);
	return settled;
}
