/* SPDX-License-Identifier: ISC */
#include "lib/login/login.h"

#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/mail/encoding.h"

enum { PLAIN_MAX = 2 * AUTH_ADDRESS_MAX + 1026 };

/* One line to authd for all sessions of this process. */
static struct auth_line authd = { -1, -1 };

bool login_clear_text_allowed(const struct login *l, const struct settings *settings)
{
	return l->connection.tls.on || settings->auth_without_tls;
}

bool login_can_start_tls(const struct login *l)
{
	return l->connection.tls_offered && !l->connection.tls.on;
}

static void set_time_left(struct login *l)
{
	int64_t left_ms = l->deadline_ms - clock_ms();

	stream_set_timeout(&l->stream, left_ms > 1 ? (int)left_ms : 1);
}

enum stream_result login_some(struct login *l, size_t max, struct view *bytes)
{
	set_time_left(l);
	return stream_some(&l->stream, max, bytes);
}

enum stream_result login_line(struct login *l, size_t max, struct view *line)
{
	set_time_left(l);
	return stream_line(&l->stream, max, line);
}

static void open_stream(struct login *l, int fd, const struct settings *settings)
{
	stream_open(&l->stream, fd, (int)settings->login_timeout_ms);
	l->deadline_ms = clock_ms() + settings->login_timeout_ms;
	worker_session(fd);
}

bool login_start_tls(struct login *l, const struct settings *settings)
{
	int fd = l->stream.fd;

	/* RFC 3207 section 4.2, RFC 3501 section 6.2.1: nothing said in clear may count behind it
	 * (CVE-2011-0411). */
	bool injected = stream_pending(&l->stream).len > 0;

	if (injected || stream_flush(&l->stream) != STREAM_OK) {
		if (injected)
			log_warn("event=starttls-injection session=%llu",
			         (unsigned long long)l->connection.id);
		l->over = true;
		return false;
	}
	worker_session(-1);
	l->stream.fd = -1;
	stream_close(&l->stream);
	bool secured = connection_starttls(l->hub, &fd, &l->connection.tls);

	/* A stream without a descriptor when it failed: closing it is harmless. */
	open_stream(l, fd, settings);
	l->over = l->over || !secured;
	return secured;
}

/* ---- SASL ---- */

bool login_initial(struct login *l, struct view word, struct view *decoded)
{
	text_clear(&l->answer);
	bool good = view_equal(word, VIEW("=")) ||
	            (word.len > 0 && base64_decode_strict(word, &l->answer));

	*decoded = text_view(&l->answer);
	return good;
}

static int ask_client(void *context, struct view challenge, struct view *answer)
{
	struct login *l = context;
	struct text encoded;
	struct view line;

	text_init(&encoded, LOGIN_SASL_LINE_MAX);
	base64_encode(&encoded, challenge);
	stream_format(&l->stream, "+ %s\r\n", encoded.data);
	text_free(&encoded);
	enum stream_result r = login_line(l, LOGIN_SASL_LINE_MAX, &line);

	if (r != STREAM_OK) {
		/* A line that is no line of base64 is refused like one; a client that is gone is
		 * gone. */
		l->over = r == STREAM_CLOSED || r == STREAM_TIMEOUT || r == STREAM_ERROR;
		return -1;
	}
	text_clear(&l->answer);
	if (view_equal(line, VIEW("*")) || !base64_decode_strict(line, &l->answer))
		return -1;
	*answer = text_view(&l->answer);
	return 0;
}

/* porter watches the token from now on; the client's own descriptor is closed here, not shut
 * down. */
static void leave_to_mailbox_program(struct login *l)
{
	struct wire_out out = { 0 };

	wire_begin(&out, CONNECTION_HANDED_OVER);
	wire_send(l->hub, &out);
	wire_out_free(&out);
	worker_session(-1);
	stream_close(&l->stream);
	l->over = true;
}

int login_exchange(struct login *l, enum auth_mechanism mechanism, bool has_initial,
                   struct view initial, const char *tag, enum auth_verdict *verdict)
{
	struct auth_begin b = { .service = l->connection.service,
		                .has_initial = has_initial,
		                .initial = initial,
		                .client = l->connection.client,
		                .tls = l->connection.tls.on,
		                .session = { .fd = l->stream.fd,
		                             .token = l->connection.token,
		                             .tls = l->connection.tls,
		                             .id = l->connection.id } };
	struct auth_result result;

	string_copy(b.mechanism, sizeof b.mechanism, view_of(auth_mechanism_name(mechanism)));
	string_copy(b.session.tag, sizeof b.session.tag, view_of(tag));
	/* With challenges to come the client has not sent its next command yet. */
	b.session.pending = stream_pending(&l->stream);
	if (b.session.pending.len > AUTH_PENDING_MAX || stream_flush(&l->stream) != STREAM_OK) {
		l->over = true;
		return -1;
	}
	int64_t began_ms = clock_ms();
	int gave_up = auth_line_exchange(&authd, &b, &result, ask_client, l);

	if (l->answer.cap)
		explicit_bzero(l->answer.data, l->answer.cap);
	if (gave_up < 0)
		return -1;
	*verdict = result.verdict;
	if (result.verdict == AUTH_OK && result.handed_over)
		leave_to_mailbox_program(l);
	else if (result.verdict == AUTH_OK)
		*verdict = AUTH_TEMPORARY;
	else if (result.verdict != AUTH_TEMPORARY)
		l->failures++;
	/* What authd makes a client wait is not the client's slowness; LOGIN_FAILURES_MAX bounds
	 * it. */
	l->deadline_ms += clock_ms() - began_ms;
	return 0;
}

int login_password(struct login *l, struct view user, struct view password, const char *tag,
                   enum auth_verdict *verdict)
{
	struct text plain;

	text_init(&plain, PLAIN_MAX);
	text_reserve(&plain, PLAIN_MAX); /* at once: growing would leave a copy behind */
	text_add_byte(&plain, '\0');
	text_add(&plain, user);
	text_add_byte(&plain, '\0');
	text_add(&plain, password);
	int result = -1;

	/* Longer than any account and password: authd need not be asked, but the client shall wait
	 * as for any other. */
	if (plain.full) {
		text_clear(&plain);
		text_add(&plain, (struct view){ "\0\0", 2 });
	}
	result = login_exchange(l, AUTH_PLAIN, true, text_view(&plain), tag, verdict);
	explicit_bzero(plain.data, plain.cap);
	text_free(&plain);
	return result;
}

/* ---- the session ---- */

static const char *last_words(struct login *l, const struct login_words *words)
{
	if (worker_stopping())
		return words->stopping;
	if (clock_ms() >= l->deadline_ms)
		return words->timeout;
	return "";
}

static void talk(struct login *l, const struct login_words *words, void (*command)(struct login *))
{
	while (!l->over && !worker_stopping()) {
		command(l);
		if (!l->over &&
		    (l->errors >= LOGIN_ERRORS_MAX || l->failures >= LOGIN_FAILURES_MAX)) {
			stream_format(&l->stream, "%s", words->errors);
			l->over = true;
			log_info(
				"event=login-refused service=%s session=%llu errors=%u failures=%u",
				connection_service_name(l->connection.service),
				(unsigned long long)l->connection.id, l->errors, l->failures);
			return;
		}
	}
}

void login_serve(struct wire_in *in, int hub, const struct settings *settings,
                 const struct login_words *words, void (*command)(struct login *login))
{
	struct login l = { .hub = hub };

	if (in->type != CONNECTION_CLIENT || !connection_get(in, &l.connection)) {
		log_warn("event=bad-message peer=porter reason=\"not a client\"");
		return;
	}
	if (authd.shared_fd < 0)
		authd.shared_fd = program_need_fd("authd.auth");
	text_init(&l.answer, AUTH_MESSAGE_MAX);
	open_stream(&l, l.connection.fd, settings);
	talk(&l, words, command);
	if (l.stream.fd >= 0) {
		stream_format(&l.stream, "%s", last_words(&l, words));
		stream_flush(&l.stream);
	}
	worker_session(-1);
	stream_close(&l.stream);
	text_free(&l.answer);
	if (l.connection.token >= 0)
		close(l.connection.token);
}
