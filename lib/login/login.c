/* SPDX-License-Identifier: ISC */
#include "lib/login/login.h"

#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/conf/bounds.h"
#include "lib/mail/encoding.h"
#include "lib/wire/jail.h"

enum { PLAIN_MAX = 2 * AUTH_ADDRESS_MAX + AUTH_PASSWORD_MAX + 2, WORKER_IDLE_MS = 60000 };

/* One line to authd for all sessions of this process. */
static struct auth_line authd = { -1 };

bool login_clear_text_allowed(const struct login *l)
{
	return l->connection.tls.on || l->settings->auth_without_tls;
}

bool login_can_start_tls(const struct login *l)
{
	return l->connection.tls_offered && !l->connection.tls.on;
}

static struct capability_writer capabilities(const struct settings *settings, bool tls,
                                             bool can_start_tls)
{
	return (struct capability_writer){
		.states = (tls || settings->auth_without_tls ? CAPABILITY_PASSWORD_SAFE
		                                             : CAPABILITY_PASSWORD_UNSAFE) |
		          (can_start_tls ? CAPABILITY_CAN_START_TLS : 0u),
		.mechanisms = auth_mechanisms(tls, settings->auth_without_tls)
	};
}

struct capability_writer login_greeting_capabilities(const struct settings *settings, bool tls)
{
	return capabilities(settings, tls, !tls);
}

struct capability_writer login_capabilities(const struct login *l)
{
	return capabilities(l->settings, l->connection.tls.on, login_can_start_tls(l));
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
	enum stream_result r = stream_line(&l->stream, max, line);

	if (r == STREAM_OK)
		connection_spoken(l->hub, &l->spoke_ms);
	return r;
}

static void open_stream(struct login *l, int fd)
{
	stream_open(&l->stream, fd, (int)l->settings->login_timeout_ms);
	l->stream.tells_rest = true; /* every command has its answer */
	l->deadline_ms = clock_ms() + l->settings->login_timeout_ms;
	worker_session(fd);
}

bool login_start_tls(struct login *l)
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
	open_stream(l, fd);
	l->over = l->over || !secured;
	return secured;
}

/* ---- SASL ---- */

static int ask_client(void *context, struct view challenge, struct auth_answer *answer)
{
	struct login *l = context;
	struct text encoded;
	struct view line;

	text_init(&encoded, LOGIN_SASL_LINE_MAX);
	base64_encode(&encoded, challenge);
	stream_format(&l->stream, "+ %s\r\n", text_string(&encoded));
	text_free(&encoded);
	connection_progress(l->hub, CONNECTION_STANDS);
	enum stream_result r = login_line(l, LOGIN_SASL_LINE_MAX, &line);

	connection_progress(l->hub, CONNECTION_BUSY);
	l->over = r == STREAM_CLOSED || r == STREAM_TIMEOUT || r == STREAM_ERROR;
	if (l->over || (r == STREAM_OK && view_equal(line, VIEW("*"))))
		return -1;
	text_clear(&l->answer);
	/* A line that is none is no base64 either. */
	l->malformed = r != STREAM_OK || !base64_decode_strict(line, &l->answer);
	if (l->malformed)
		return -1;
	answer->bytes = text_view(&l->answer);
	answer->pending = stream_pending(&l->stream);
	return 0;
}

/* porter watches the token from now on; the client's own descriptor is closed here, not shut
 * down. */
static void leave_to_mailbox_program(struct login *l)
{
	struct wire_out out = { 0 };

	wire_begin(&out, CONNECTION_HANDED_OVER);
	if (wire_send(l->hub, &out) != WIRE_OK)
		log_warn("event=handover-failed session=%llu reason=\"telling porter: %m\"",
		         (unsigned long long)l->connection.id);
	wire_out_free(&out);
	worker_session(-1);
	stream_close(&l->stream);
	l->over = true;
}

static enum login_outcome outcome_of(struct login *l, const struct auth_result *result)
{
	static const enum login_outcome outcomes[] = {
		[AUTH_OK] = LOGIN_TEMPORARY, /* and not handed over */
		[AUTH_DENIED] = LOGIN_DENIED,     [AUTH_FORBIDDEN] = LOGIN_FORBIDDEN,
		[AUTH_MALFORMED] = LOGIN_INVALID, [AUTH_TEMPORARY] = LOGIN_TEMPORARY,
	};

	if (result->verdict != AUTH_OK && result->verdict != AUTH_TEMPORARY)
		l->failures++;
	return outcomes[result->verdict];
}

/* An attempt that did not reach a verdict. */
static enum login_outcome given_up(struct login *l, enum login_outcome why)
{
	if (l->over)
		return LOGIN_NOTHING_TO_SAY;
	l->errors++;
	return why;
}

static enum login_outcome exchange(struct login *l, enum auth_mechanism mechanism, bool has_initial,
                                   struct view initial, const char *tag)
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

	string_put(b.mechanism, sizeof b.mechanism, view_of(auth_mechanism_name(mechanism)));
	string_put(b.session.tag, sizeof b.session.tag, view_of(tag));
	/* With challenges to come it is the answers; ask_client says what is behind them. */
	b.session.pending = stream_pending(&l->stream);
	if (b.session.pending.len > AUTH_PENDING_MAX || stream_flush(&l->stream) != STREAM_OK) {
		l->over = true;
		return LOGIN_NOTHING_TO_SAY;
	}
	l->malformed = false;
	int64_t began_ms = clock_ms();

	connection_progress(l->hub, CONNECTION_BUSY);
	int gave_up = auth_line_exchange(&authd, &b, &result, ask_client, l);

	if (l->answer.cap)
		explicit_bzero(l->answer.raw, l->answer.cap);
	if (gave_up == 0 && result.verdict == AUTH_OK && result.handed_over) {
		leave_to_mailbox_program(l);
		return LOGIN_NOTHING_TO_SAY;
	}
	connection_progress(l->hub, CONNECTION_STANDS);
	if (gave_up < 0)
		return given_up(l, l->malformed ? LOGIN_MALFORMED : LOGIN_CANCELLED);
	/* What authd makes a client wait is not the client's slowness; LOGIN_FAILURES_MAX bounds
	 * it. */
	l->deadline_ms += clock_ms() - began_ms;
	return outcome_of(l, &result);
}

enum login_outcome login_sasl(struct login *l, struct view arguments, const char *tag)
{
	bool has_initial = view_find(arguments, ' ') < arguments.len;
	struct view name = VIEW("");

	view_cut(&arguments, ' ', &name);
	enum auth_mechanism mechanism = auth_mechanism_find(name);

	text_clear(&l->answer);
	if (mechanism == AUTH_MECHANISM_COUNT)
		return given_up(l, LOGIN_NO_MECHANISM);
	if (auth_mechanism_clear_text(mechanism) && !login_clear_text_allowed(l))
		return given_up(l, LOGIN_NEEDS_TLS);
	if (has_initial && !view_equal(arguments, VIEW("=")) &&
	    (arguments.len == 0 || !base64_decode_strict(arguments, &l->answer)))
		return given_up(l, LOGIN_MALFORMED);
	return exchange(l, mechanism, has_initial, text_view(&l->answer), tag);
}

enum login_outcome login_password(struct login *l, struct view user, struct view password,
                                  const char *tag)
{
	struct text plain;

	text_init(&plain, PLAIN_MAX);
	text_reserve(&plain, PLAIN_MAX); /* at once: growing would leave a copy behind */
	text_add_byte(&plain, '\0');
	text_add(&plain, user);
	text_add_byte(&plain, '\0');
	text_add(&plain, password);
	/* Longer than any account and password: authd need not be asked, but the client shall wait
	 * as for any other. */
	if (plain.full) {
		text_clear(&plain);
		text_add(&plain, (struct view){ "\0\0", 2 });
	}
	enum login_outcome outcome = exchange(l, AUTH_PLAIN, true, text_view(&plain), tag);

	explicit_bzero(plain.raw, plain.cap);
	text_free(&plain);
	return outcome;
}

/* ---- the session ---- */

static const char *last_words(struct login *l, const struct login_protocol *p)
{
	if (worker_stopping())
		return p->stopping;
	if (clock_ms() >= l->deadline_ms)
		return p->timeout;
	return "";
}

static void talk(struct login *l, const struct login_protocol *p)
{
	while (!l->over && !worker_stopping()) {
		p->command(l);
		if (!l->over &&
		    (l->errors >= LOGIN_ERRORS_MAX || l->failures >= LOGIN_FAILURES_MAX)) {
			stream_format(&l->stream, "%s", p->errors);
			l->over = true;
			log_info(
				"event=login-refused service=%s session=%llu errors=%u failures=%u",
				connection_service_name(l->connection.service),
				(unsigned long long)l->connection.id, l->errors, l->failures);
			return;
		}
	}
}

void login_serve(const struct login_protocol *p, const struct settings *settings,
                 struct wire_in *in, int hub)
{
	struct login l = { .settings = settings, .hub = hub, .spoke_ms = clock_ms() };

	if (in->type != CONNECTION_CLIENT || !connection_get(in, &l.connection)) {
		log_warn("event=bad-message peer=porter reason=\"not a client\"");
		return;
	}
	text_init(&l.answer, AUTH_MESSAGE_MAX);
	open_stream(&l, l.connection.fd);
	talk(&l, p);
	if (l.stream.fd >= 0) {
		stream_format(&l.stream, "%s", last_words(&l, p));
		stream_flush(&l.stream);
	}
	worker_session(-1);
	stream_close(&l.stream);
	text_free(&l.answer);
	if (l.connection.token >= 0)
		close(l.connection.token);
}

/* ---- the program ---- */

static struct settings inherited;
static const struct login_protocol *served;

static void greet(char *line, size_t size, bool tls)
{
	struct text t;

	text_init(&t, size - 1);
	served->greeting(&inherited, tls, &t);
	if (t.full || !string_copy(line, size, text_view(&t)))
		log_panic("the greeting is too long for porter");
	text_free(&t);
}

static void announce(int shared_fd)
{
	struct connection_announce a = { .service = served->service,
		                         .reuse = (uint32_t)inherited.login_reuse };

	greet(a.clear, sizeof a.clear, false);
	greet(a.secured, sizeof a.secured, true);
	string_put(a.busy, sizeof a.busy, view_of(served->busy));
	string_put(a.timeout, sizeof a.timeout, view_of(served->timeout));
	string_put(a.unavailable, sizeof a.unavailable, view_of(served->unavailable));
	string_put(a.stopping, sizeof a.stopping, view_of(served->stopping));
	string_put(a.early, sizeof a.early, view_of(served->early));
	connection_announce_send(shared_fd, &a);
}

static void work(struct wire_in *in, int hub)
{
	login_serve(served, &inherited, in, hub);
}

void login_main(const struct login_protocol *protocol)
{
	static const struct sandbox_profile profile = { .promises = SANDBOX_FORK };

	program_start(protocol->program);
	settings_inherit(&inherited);
	served = protocol;
	bounds_confine(protocol->program, &inherited, &profile);

	const struct worker_service service = {
		.wire = "porter.connection",
		.protocol = "connection",
		.workers_min = 1,
		.workers_max = (unsigned)inherited.login_sessions_max,
		.profile = { .descriptors_max = JAIL_DESCRIPTORS_OF_SENDER },
		.in_flight = connection_in_flight_max(&inherited),
		.reuse = (unsigned)inherited.login_reuse,
		.idle_ms = WORKER_IDLE_MS,
		.stays_for_hub = true,
		.announce = announce,
		.dials = { { "authd.auth", "auth" } },
		.work = work,
	};

	worker_run(&service);
}
