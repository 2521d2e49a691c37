/* SPDX-License-Identifier: ISC */
/*
 * pop3-login: a POP3 client until it has logged in (RFC 1939 section 4, the AUTHORIZATION state).
 *
 * Runs as the login user in an empty root and reads from the Internet. porter gives it clients one
 * at a time and takes them back for STLS (RFC 2595); SASL messages go to authd (RFC 5034), USER and
 * PASS as the same. When a password was right authd itself passes the client on to pop3d: this
 * program learns that it is gone and serves the next one.
 *
 * Trusts porter and authd; reads no file, writes none, knows no hash. Who owns it sees the
 * passwords of the clients that it serves while it is owned, and can open none but their mailboxes
 * with them.
 */

#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/login/login.h"
#include "lib/wire/worker.h"

/* Before the first command (porter says it) and after. */
#define TIMEOUT_REPLY "-ERR timeout, closing connection\r\n"

static struct settings settings;

/* What USER said, for PASS; the session ends or fails with it. */
static char named[AUTH_ADDRESS_MAX];

enum argument_rule { ARGUMENT_NONE, ARGUMENT_ONE, ARGUMENT_ANY };

struct command {
	const char *name;
	void (*handle)(struct login *l, struct view argument);
	enum argument_rule argument;
	bool shows_password; /* needs TLS, unless auth.without-tls */
};

static void say(struct login *l, const char *line)
{
	stream_format(&l->stream, "%s\r\n", line);
}

static void bad(struct login *l, const char *text)
{
	l->errors++;
	stream_format(&l->stream, "-ERR %s\r\n", text);
}

/* With the response codes of RFC 3206. */
static void say_verdict(struct login *l, enum auth_verdict verdict)
{
	static const char *const lines[] = {
		[AUTH_DENIED] = "-ERR [AUTH] wrong user or password",
		[AUTH_FORBIDDEN] = "-ERR [AUTH] this account may not use POP3",
		[AUTH_MALFORMED] = "-ERR that is no such exchange",
		[AUTH_TEMPORARY] =
			"-ERR [SYS/TEMP] logging in is not possible now, try again later",
	};

	if (verdict != AUTH_OK)
		say(l, lines[verdict]);
}

static void handle_capa(struct login *l, struct view argument)
{
	bool clear_text = login_clear_text_allowed(l, &settings);
	const char *mechanisms = auth_mechanisms(l->connection.tls.on, settings.auth_without_tls);

	(void)argument;
	say(l, "+OK");
	say(l, "TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER");
	if (clear_text)
		say(l, "USER");
	if (mechanisms[0])
		stream_format(&l->stream, "SASL %s\r\n", mechanisms);
	if (login_can_start_tls(l))
		say(l, "STLS");
	say(l, "IMPLEMENTATION posthouse\r\n.");
}

static void handle_user(struct login *l, struct view argument)
{
	/* A name that is too long is nobody's, which is PASS's to say. */
	if (!string_copy(named, sizeof named, argument))
		string_copy(named, sizeof named, VIEW("@"));
	say(l, "+OK");
}

static void handle_pass(struct login *l, struct view argument)
{
	enum auth_verdict verdict;

	if (named[0] == '\0') {
		bad(l, "USER comes first");
		return;
	}
	if (login_password(l, view_of(named), argument, "", &verdict) == 0)
		say_verdict(l, verdict);
	named[0] = '\0';
}

static void list_mechanisms(struct login *l)
{
	struct view rest = view_of(auth_mechanisms(l->connection.tls.on,
	                                           settings.auth_without_tls)),
		    name;

	say(l, "+OK");
	while (view_cut(&rest, ' ', &name))
		stream_format(&l->stream, "%.*s\r\n", VIEW_ARG(name));
	say(l, ".");
}

static void handle_auth(struct login *l, struct view argument)
{
	struct view name, initial = { "", 0 };
	enum auth_verdict verdict;
	bool has_initial = view_find(argument, ' ') < argument.len;

	if (!view_cut(&argument, ' ', &name)) {
		list_mechanisms(l);
		return;
	}
	enum auth_mechanism mechanism = auth_mechanism_find(name);

	if (mechanism == AUTH_MECHANISM_COUNT) {
		bad(l, "no such mechanism");
	} else if (auth_mechanism_clear_text(mechanism) &&
	           !login_clear_text_allowed(l, &settings)) {
		bad(l, "this mechanism needs TLS: use STLS first");
	} else if (has_initial && !login_initial(l, argument, &initial)) {
		bad(l, "that is no base64");
	} else if (login_exchange(l, mechanism, has_initial, initial, "", &verdict) == 0) {
		say_verdict(l, verdict);
	} else if (!l->over) {
		bad(l, "given up");
	}
}

static void handle_stls(struct login *l, struct view argument)
{
	(void)argument;
	if (!login_can_start_tls(l)) {
		bad(l, l->connection.tls.on ? "TLS is on already" : "there is no TLS here");
		return;
	}
	say(l, "+OK begin TLS");
	named[0] = '\0';
	login_start_tls(l, &settings);
}

static void handle_quit(struct login *l, struct view argument)
{
	(void)argument;
	say(l, "+OK bye");
	l->over = true;
}

static const struct command commands[] = {
	{ "CAPA", handle_capa, ARGUMENT_NONE, false },
	{ "USER", handle_user, ARGUMENT_ONE, true },
	{ "PASS", handle_pass, ARGUMENT_ONE, true },
	{ "AUTH", handle_auth, ARGUMENT_ANY, false },
	{ "STLS", handle_stls, ARGUMENT_NONE, false },
	{ "QUIT", handle_quit, ARGUMENT_NONE, false },
};

static void dispatch(struct login *l, struct view line)
{
	struct view name;
	bool has_argument = view_find(line, ' ') < line.len;

	view_cut(&line, ' ', &name);
	if (!has_argument || line.len == 0)
		line = (struct view){ "", 0 };
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		const struct command *c = &commands[i];

		if (!view_equal_nocase(name, view_of(c->name)))
			continue;
		if (c->argument == ARGUMENT_NONE && line.len)
			bad(l, "no argument is expected");
		else if (c->argument == ARGUMENT_ONE && line.len == 0)
			bad(l, "an argument is missing");
		else if (c->shows_password && !login_clear_text_allowed(l, &settings))
			bad(l, "this needs TLS: use STLS first");
		else
			c->handle(l, line);
		return;
	}
	bad(l, "not a command before login");
}

static void command(struct login *l)
{
	struct view line;

	switch (login_line(l, LOGIN_SASL_LINE_MAX, &line)) {
	case STREAM_OK: dispatch(l, line); break;
	case STREAM_TOO_LONG:
	case STREAM_BARE:
	case STREAM_NUL: bad(l, "not a line: over-long, or with a bare CR or LF, or a NUL"); break;
	default: l->over = true;
	}
}

static void serve(struct wire_in *in, int hub)
{
	static const struct login_words words = {
		.timeout = TIMEOUT_REPLY,
		.stopping = "-ERR [SYS/TEMP] the server is going down\r\n",
		.errors = "-ERR too many errors, bye\r\n",
	};

	named[0] = '\0';
	login_serve(in, hub, &settings, &words, command);
	named[0] = '\0';
}

/* RFC 1939 section 4; without "<...>", since APOP is not offered. */
static void announce(int shared_fd)
{
	static const struct connection_announce greeting = {
		.service = CONNECTION_POP3,
		.clear = "+OK posthouse ready\r\n",
		.secured = "+OK posthouse ready\r\n",
		.busy = "-ERR [SYS/TEMP] too many connections, try again later\r\n",
		.timeout = TIMEOUT_REPLY,
	};

	connection_announce_send(shared_fd, &greeting);
}

int main(void)
{
	static const struct sandbox_profile profile = { .promises = SANDBOX_FORK };

	program_start("pop3-login");
	settings_inherit(&settings);
	program_confine(&profile);

	const struct worker_service service = {
		.wire = "porter.connection",
		.protocol = "connection",
		.workers_min = 1,
		.workers_max = (unsigned)settings.login_sessions_max,
		.reuse = (unsigned)settings.login_reuse,
		.idle_ms = 60000,
		.stays_for_hub = true,
		.announce = announce,
		.work = serve,
	};

	worker_run(&service);
}
