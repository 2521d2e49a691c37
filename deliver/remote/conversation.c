/* SPDX-License-Identifier: ISC */
#include "deliver/remote/conversation-parts.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"

/* ---- the line ---- */

/* Code 0: what happened on our side of the wire; a reason to try again. */
static void no_reply(struct reply *r, const char *what, const char *why)
{
	reply_clear(r);
	string_put(r->status, sizeof r->status, VIEW("4.4.2"));
	string_print_cut(r->text, sizeof r->text, "%.100s: %.360s", what, why);
}

void own_fault(struct reply *r, const char *what, const char *why)
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
	bool begun = r->lines > 0 || result == STREAM_TIMEOUT || c->stream.write_timeout;

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
 * (RFC 3463 section 3.8). With the next attempt TLS may work. One that took the same a moment ago
 * minds how often, or over which connection; and where another host may take it, no host's word is
 * the last. */
static void look_for_moment(const struct conversation *c, struct reply *r)
{
	if (r->code / 100 != 5)
		return;
	if (c->unprotected && (r->code == 530 || strncmp(r->status, "5.7.", 4) == 0)) {
		reply_is_for_now(r);
		string_put(r->status, sizeof r->status, VIEW("4.7.10")); /* RFC 5248: needs TLS */
	} else if (c->waits || (c->took && refusal_judge(r, &c->parties) != REFUSAL_SURE)) {
		reply_is_for_now(r);
	}
}

/* An answer is believed by its code, whatever its words are: a host may quote there what another
 * host said to it. Of a line that is too long there is the beginning, a NUL is shown as "?". A host
 * that ends lines with a bare LF, all or some, is odd, not hostile: what it answers is no command.
 */
static bool is_line(enum stream_result result)
{
	return result == STREAM_OK || result == STREAM_BARE || result == STREAM_TOO_LONG ||
	       result == STREAM_NUL;
}

/* It has begun with a code, and has no end. */
static bool is_enough(struct conversation *c, const struct reply *r)
{
	bool enough = c->text_said && r->lines > 0 && !c->lmtp;

	c->broken = c->broken || enough;
	return enough;
}

/* RFC 5321 section 4.1.1.1: the answer to EHLO begins with the host's name. */
static bool is_name(struct view text, const char *name)
{
	return name[0] && view_equal_nocase(view_take(text, view_find(text, ' ')), view_of(name));
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
	bool late = false;

	reply_clear(r);
	do {
		enum stream_result result =
			late ? STREAM_TIMEOUT : stream_line(&c->stream, REPLY_LINE_MAX, &line);

		if (!is_line(result))
			return is_enough(c, r) || no_line(c, what, result, r);
		if (result == STREAM_BARE)
			line = view_trim(line);
		c->stream.skip_rest = false;
		if (!(c->text_said ? reply_text_line(r, line) : reply_line(r, line))) {
			no_reply(r, what, "invalid SMTP reply");
			c->broken = c->garbled = true;
			return false;
		}
		if (extensions && r->lines > 1)
			extensions_line(extensions, view_skip(line, 4));
		late = clock_ms() >= until_ms;
	} while (r->more || r->lines == 0);
	c->heard = true;
	look_for_moment(c, r);
	if (r->code == 421)
		c->broken = true; /* RFC 5321 section 3.8: it closes */
	return true;
}

bool out_of_step(struct conversation *c, const char *what, struct reply *r)
{
	char text[REPLY_TEXT_MAX];

	string_put(text, sizeof text, view_of(r->text));
	no_reply(r, what, text);
	string_put(r->status, sizeof r->status, VIEW("4.5.0"));
	c->broken = c->out_of_step = true;
	return false;
}

bool nothing_unasked(struct conversation *c)
{
	if (stream_has_input(&c->stream))
		return false;
	return c->tls ? clienttls_quiet(c->tls) : file_wait(c->stream.fd, POLLIN, 0) == 0;
}

bool in_step(struct conversation *c, const char *what, struct reply *r)
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

bool read_answer(struct conversation *c, const char *what, bool go_on, struct reply *r)
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

void be_precise(struct reply *r, const char *subject)
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
	c->ourselves = c->ourselves || is_name(view_skip(view_of(reply->text), 4), helo);
	if (reply->code / 100 == 2)
		return true;
	if (reply->code / 100 != 5 || c->lmtp)
		return welcomes(reply);
	if (c->broken || !in_step(c, "HELO", reply))
		return false;
	/* A host of before 1995. What it said instead of a welcome is no list of extensions. */
	c->extensions = (struct extensions){ 0 };
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
	c->to = *to;
	c->parties = (struct refusal_parties){ .us = helo, .host = c->host };
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
