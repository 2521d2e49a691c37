/* SPDX-License-Identifier: ISC */
/* Protocols "auth", "owner" and "connection": each message there and back, cut at every byte, and a
 * whole exchange between auth_line_exchange and a child that plays authd. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/wire/auth.h"
#include "lib/wire/owner.h"
#include "lib/wire/session.h"
#include "lib/base/program.h"
#include "t/said.h"
#include "t/tap.h"

/* A packet as it would arrive when only the first `len` bytes of it did. */
static struct wire_in arrived(const struct wire_out *out, size_t len)
{
	struct wire_in in = { .type = (unsigned char)out->bytes.raw[0],
		              .rest = { out->bytes.raw + 1, len - 1 } };

	for (unsigned i = 0; i < out->fd_count; i++)
		in.fds[in.fd_count++] = fcntl(out->fds[i], F_DUPFD_CLOEXEC, 0);
	return in;
}

static bool try_begin(struct wire_in *in)
{
	struct auth_begin b;
	bool good = auth_begin_get(in, &b);

	if (good && b.session.fd >= 0)
		close(b.session.fd);
	if (good && b.session.token >= 0)
		close(b.session.token);
	return good;
}

static bool try_result(struct wire_in *in)
{
	struct auth_result r;

	return auth_result_get(in, &r);
}

static bool try_message(struct wire_in *in)
{
	struct view message;

	return auth_message_get(in, &message) && view_equal(message, VIEW("Password:"));
}

static bool try_answer(struct wire_in *in)
{
	struct auth_answer a;

	return auth_answer_get(in, &a) && view_equal(a.bytes, VIEW("anna")) &&
	       view_equal(a.pending, VIEW("a2 NOOP\r\n"));
}

static bool try_work(struct wire_in *in)
{
	struct owner_work w;
	bool good = owner_work_get(in, &w);

	for (unsigned i = 0; good && i < w.fd_count; i++)
		close(w.fds[i]);
	return good;
}

static bool try_session(struct wire_in *in)
{
	struct owner_session s;
	bool good = owner_session_get(in, &s);

	if (good)
		close(s.fd);
	if (good && s.token >= 0)
		close(s.token);
	return good;
}

static bool try_announce(struct wire_in *in)
{
	struct connection_announce a;

	return connection_announce_get(in, &a);
}

static bool try_connection(struct wire_in *in)
{
	struct connection c;
	bool good = connection_get(in, &c);

	if (good)
		close(c.fd);
	if (good && c.token >= 0)
		close(c.token);
	return good;
}

static unsigned open_descriptors(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static bool try_facts(struct wire_in *in)
{
	struct session_facts f;

	return session_facts_get(in, &f) && wire_end(in) && f.id == 5 && f.stamp == 77 && f.tls &&
	       f.service == CONNECTION_IMAP && strcmp(f.account, "anna@example.test") == 0;
}

/* The whole message is taken, none of its beginnings is, nor with a byte more; and no descriptor is
 * lost. */
static void cut_everywhere(const char *name, struct wire_out *out, bool (*try)(struct wire_in *))
{
	unsigned before = open_descriptors();
	size_t taken = 0;
	struct wire_in in = arrived(out, out->bytes.len);

	ok(try(&in), "%s: the whole message", name);
	for (size_t len = 1; len < out->bytes.len; len++) {
		in = arrived(out, len);
		taken += try(&in) || in.fds_taken;
		wire_in_close(&in);
	}
	ok(taken == 0, "%s: no part of its %zu bytes is taken for it", name, out->bytes.len);
	wire_put_byte(out, 0);
	in = arrived(out, out->bytes.len);
	ok(!try(&in) && in.fds_taken == 0, "%s: a byte too many, and no descriptor is taken", name);
	wire_in_close(&in);
	ok(open_descriptors() == before, "%s: no descriptor is lost", name);
	wire_out_free(out);
}

static const struct connection_tls tls = { .on = true,
	                                   .version = "TLSv1.3",
	                                   .cipher = "TLS_AES_256_GCM_SHA384",
	                                   .bits = 256,
	                                   .server_name = "mail.example.test" };
static const struct net_address client = { .family = 4, .bytes = { 192, 0, 2, 7 }, .port = 4711 };

static void test_begin(void)
{
	struct auth_begin b = { .service = CONNECTION_IMAP,
		                .mechanism = "PLAIN",
		                .has_initial = true,
		                .initial = VIEW("\0u\0p"),
		                .client = client,
		                .tls = true,
		                .session = { .fd = 0,
		                             .token = 1,
		                             .tag = "a1",
		                             .pending = VIEW("a2 NOOP\r\n"),
		                             .tls = tls,
		                             .id = 77 } },
			  got;
	struct wire_out out = { 0 };

	auth_begin_put(&out, &b);
	struct wire_in in = arrived(&out, out.bytes.len);

	ok(auth_begin_get(&in, &got) && got.service == CONNECTION_IMAP &&
	           view_equal(got.initial, b.initial) && got.has_initial && got.tls &&
	           got.session.fd >= 0 && got.session.token >= 0 && got.session.id == 77 &&
	           view_equal(got.session.pending, b.session.pending) &&
	           net_address_equal(&got.client, &client),
	   "begin: what was put in comes out");
	is_string(got.session.tag, "a1", "begin: the tag");
	is_string(got.session.tls.cipher, tls.cipher, "begin: TLS");
	close(got.session.fd);
	close(got.session.token);
	cut_everywhere("begin", &out, try_begin);

	b = (struct auth_begin){ .service = CONNECTION_SUBMISSION,
		                 .mechanism = "LOGIN",
		                 .client = client,
		                 .session = { .fd = -1, .token = -1 } };
	auth_begin_put(&out, &b);
	cut_everywhere("begin for smtp", &out, try_begin);

	auth_begin_put(&out, &b);
	wire_put_fd(&out, 0);
	in = arrived(&out, out.bytes.len);
	ok(!auth_begin_get(&in, &got), "begin for smtp: a descriptor does not belong there");
	wire_in_close(&in);
	wire_out_free(&out);
}

static struct owner_session owners_session(void)
{
	return (struct owner_session){ .fd = 0,
		                       .token = 1,
		                       .address = "anna@example.test",
		                       .home = "/srv/anna",
		                       .tag = "a1",
		                       .pending = VIEW("x"),
		                       .id = 5,
		                       .client = client,
		                       .tls = tls,
		                       .quota_bytes = 1 << 20,
		                       .stamp = 77 };
}

static void test_auth_messages(void)
{
	struct wire_out out = { 0 };
	struct auth_result r = { .verdict = AUTH_OK,
		                 .address = "anna@example.test",
		                 .handed_over = true };

	auth_message_put(&out, AUTH_CHALLENGE, VIEW("Password:"));
	ok(out.bytes.raw[0] == AUTH_CHALLENGE, "a message has the type that was asked for");
	cut_everywhere("challenge", &out, try_message);
	auth_answer_put(&out, &(struct auth_answer){ VIEW("anna"), VIEW("a2 NOOP\r\n") });
	cut_everywhere("answer", &out, try_answer);
	auth_result_put(&out, &r);
	cut_everywhere("result", &out, try_result);
	wire_out_free(&out);
}

static void test_owners(void)
{
	struct wire_out out = { 0 };
	struct owner_work w = { .program = OWNER_IMAPD,
		                .uid = 2000,
		                .gid = 2001,
		                .rest = VIEW("rest"),
		                .fds = { 0, 1 },
		                .fd_count = 2 };
	struct owner_session s = owners_session();
	struct session_facts f;

	session_facts_of(&s, CONNECTION_IMAP, &f);
	owner_work_put(&out, &w);
	cut_everywhere("work", &out, try_work);
	owner_session_put(&out, &s);
	cut_everywhere("session", &out, try_session);
	s.token = -1;
	owner_session_put(&out, &s);
	cut_everywhere("session without token", &out, try_session);
	wire_begin(&out, SESSION_OPEN);
	session_facts_put(&out, &f);
	cut_everywhere("session facts", &out, try_facts);
	wire_out_free(&out);
}

static void test_connections(void)
{
	struct wire_out out = { 0 };
	struct connection_announce a = { .service = CONNECTION_POP3,
		                         .clear = "+OK\r\n",
		                         .secured = "+OK\r\n",
		                         .busy = "-ERR\r\n",
		                         .timeout = "-ERR\r\n" };
	struct connection c = { .id = 9,
		                .service = CONNECTION_POP3,
		                .client = client,
		                .local = client,
		                .tls = tls,
		                .tls_offered = true,
		                .fd = 0,
		                .token = 1 };

	connection_announce_put(&out, &a, 0);
	cut_everywhere("announce", &out, try_announce);
	connection_put(&out, &c);
	cut_everywhere("connection", &out, try_connection);
	wire_out_free(&out);
}

/* authd's path: session -> rest of a work -> the program's message. */
static void test_session_in_work(void)
{
	struct wire_out out = { 0 }, work = { 0 };
	struct owner_session s = owners_session(), session;
	struct owner_work got;

	s.token = -1;
	owner_session_put(&out, &s);
	struct owner_work w = { .program = OWNER_IMAPD,
		                .uid = 2000,
		                .gid = 2001,
		                .rest = view_skip(text_view(&out.bytes), 1),
		                .fds = { 0 },
		                .fd_count = 1 };

	owner_work_put(&work, &w);
	struct wire_in in = arrived(&work, work.bytes.len);

	ok(owner_work_get(&in, &got) && got.uid == 2000 && got.fd_count == 1,
	   "work: holds a session");
	struct wire_in inner = {
		.type = OWNER_WORK, .rest = got.rest, .fds = { got.fds[0] }, .fd_count = 1
	};

	ok(owner_session_get(&inner, &session) && session.quota_bytes == 1 << 20,
	   "session: out of the work's rest");
	is_string(session.address, "anna@example.test", "session: the address");
	close(session.fd);
	wire_out_free(&out);
	wire_out_free(&work);
}

static void test_mechanisms(void)
{
	is_string(auth_mechanisms(true, false), "PLAIN LOGIN", "with TLS all mechanisms");
	is_string(auth_mechanisms(false, false), "", "without TLS none that shows the password");
	is_string(auth_mechanisms(false, true), "PLAIN LOGIN", "unless it is allowed");
	ok(auth_mechanism_find(VIEW("login")) == AUTH_LOGIN, "a mechanism's name in any case");
	ok(auth_mechanism_find(VIEW("LOGI")) == AUTH_MECHANISM_COUNT, "not a mechanism");
	ok(auth_mechanism_find(VIEW("")) == AUTH_MECHANISM_COUNT, "no name, no mechanism");
}

/* Plays authd: one line that is closed unanswered, then one that challenges once and says what it
 * heard. */
static void play_authd(int shared)
{
	struct wire_in in;
	struct wire_out out = { 0 };

	wire_receive(shared, &in);
	close(wire_accept(&in, "auth", &(uint32_t){ 0 }));
	wire_receive(shared, &in);
	int line = wire_accept(&in, "auth", &(uint32_t){ 0 });
	struct auth_begin b;

	if (wire_receive(line, &in) != WIRE_OK || in.type != AUTH_BEGIN || !auth_begin_get(&in, &b))
		_exit(1);
	wire_begin(&out, AUTH_CHALLENGE);
	wire_put_view(&out, VIEW("User Name"));
	wire_send(line, &out);
	if (wire_receive(line, &in) != WIRE_OK || in.type != AUTH_ANSWER)
		_exit(2);
	struct auth_result r = { .verdict = view_equal(wire_get_view(&in, 100), VIEW("anna"))
		                                    ? AUTH_OK
		                                    : AUTH_DENIED,
		                 .address = "anna@example.test" };

	auth_result_put(&out, &r);
	wire_send(line, &out);
	if (wire_receive(line, &in) != WIRE_OK)
		_exit(3);
	wire_begin(&out, AUTH_CHALLENGE);
	wire_put_view(&out, VIEW("again"));
	wire_send(line, &out);
	if (wire_receive(line, &in) != WIRE_OK || in.type != AUTH_CANCEL)
		_exit(4);
	_exit(0);
}

static int say_anna(void *context, struct view challenge, struct auth_answer *answer)
{
	*(bool *)context = view_equal(challenge, VIEW("User Name"));
	answer->bytes = VIEW("anna");
	return 0;
}

static int refuse(void *context, struct view challenge, struct auth_answer *answer)
{
	(void)context;
	(void)challenge;
	(void)answer;
	return -1;
}

static void test_exchange(void)
{
	int ends[2], status;
	struct auth_begin b = { .service = CONNECTION_SMTP,
		                .mechanism = "LOGIN",
		                .session = { .fd = -1, .token = -1 } };
	struct auth_result r;
	bool asked = false;

	fflush(stdout);
	wire_pair(ends);
	pid_t pid = fork();

	if (pid == 0) {
		alarm(120);
		close(ends[0]);
		play_authd(ends[1]);
	}
	close(ends[1]);
	struct auth_line line = { -1 };
	char fds[64];

	snprintf(fds, sizeof fds, "authd.auth=%d", ends[0]);
	setenv("POSTHOUSE_FDS", fds, 1);
	program_start("test");

	ok(auth_line_exchange(&line, &b, &r, say_anna, &asked) == 0 && r.verdict == AUTH_OK &&
	           asked,
	   "an exchange with a challenge, over a line that had to be dialled again");
	is_string(r.address, "anna@example.test", "the account");
	ok(auth_line_exchange(&line, &b, &r, refuse, NULL) == -1, "the client cancels");
	waitpid(pid, &status, 0);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 0,
	   "the other side saw what it expected (%d)", status);
	/* Nobody is left: the line breaks, and so does the wire. */
	said_begin();
	said_here();
	ok(auth_line_exchange(&line, &b, &r, NULL, NULL) == 0 && r.verdict == AUTH_TEMPORARY &&
	           line.fd < 0,
	   "without authd the answer is temporary");
	ok(said("event=auth-lost"), "and the log says why");
}

int main(void)
{
	test_begin();
	test_auth_messages();
	test_owners();
	test_connections();
	test_session_in_work();
	test_mechanisms();
	test_exchange();
	return tap_done();
}
