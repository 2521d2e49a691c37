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
#include "lib/login/login.h"
#include "pop3d/command.h"

enum argument_rule { ARGUMENT_NONE, ARGUMENT_ONE, ARGUMENT_ANY };

struct command {
	const char *name;
	void (*handle)(struct login *l, struct view argument);
	enum argument_rule argument;
	bool shows_password; /* needs TLS, unless auth.without-tls */
	struct capability capability;
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
static void say_outcome(struct login *l, enum login_outcome outcome)
{
	static const char *const lines[LOGIN_OUTCOMES] = {
		[LOGIN_DENIED] = "-ERR [AUTH] wrong user or password",
		[LOGIN_FORBIDDEN] = "-ERR [AUTH] this account may not use POP3",
		[LOGIN_INVALID] = "-ERR invalid response",
		[LOGIN_TEMPORARY] =
			"-ERR [SYS/TEMP] authentication is temporarily unavailable, try again later",
		[LOGIN_NO_MECHANISM] = "-ERR unsupported mechanism",
		[LOGIN_NEEDS_TLS] = "-ERR this mechanism requires TLS: use STLS first",
		[LOGIN_MALFORMED] = "-ERR malformed base64",
		[LOGIN_CANCELLED] = "-ERR authentication cancelled",
	};

	if (outcome != LOGIN_NOTHING_TO_SAY)
		say(l, lines[outcome]);
}

static void capabilities(struct capability_writer w, struct text *out);

static void handle_capa(struct login *l, struct view argument)
{
	struct text list;

	(void)argument;
	text_init(&list, POP3_CAPA_MAX);
	capabilities(login_capabilities(l), &list);
	stream_write(&l->stream, text_view(&list));
	text_free(&list);
}

static void handle_user(struct login *l, struct view argument)
{
	/* A name that is too long is nobody's, which is PASS's to say. */
	if (!string_copy(l->user, sizeof l->user, argument))
		string_put(l->user, sizeof l->user, VIEW("@"));
	say(l, "+OK");
}

static void handle_pass(struct login *l, struct view argument)
{
	if (l->user[0] == '\0') {
		bad(l, "send USER first");
		return;
	}
	say_outcome(l, login_password(l, view_of(l->user), argument, ""));
	l->user[0] = '\0';
}

static void list_mechanisms(struct login *l)
{
	struct view rest = view_of(login_capabilities(l).mechanisms), name;

	say(l, "+OK");
	while (view_cut(&rest, ' ', &name))
		stream_format(&l->stream, "%.*s\r\n", VIEW_ARG(name));
	say(l, ".");
}

static void handle_auth(struct login *l, struct view argument)
{
	if (argument.len == 0)
		list_mechanisms(l);
	else
		say_outcome(l, login_sasl(l, argument, ""));
}

static void handle_stls(struct login *l, struct view argument)
{
	(void)argument;
	if (!login_can_start_tls(l)) {
		bad(l, l->connection.tls.on ? "TLS is already active" : "TLS is not available");
		return;
	}
	say(l, "+OK begin TLS");
	l->user[0] = '\0';
	login_start_tls(l);
}

static void handle_quit(struct login *l, struct view argument)
{
	(void)argument;
	say(l, "+OK bye");
	l->over = true;
}

static const struct command commands[] = {
	{ "CAPA", handle_capa, ARGUMENT_NONE, false, { 0 } },
	{ "USER",
	  handle_user,
	  ARGUMENT_ONE,
	  true,
	  { "USER", CAPABILITY_PASSWORD_SAFE, CAPABILITY_WORD } },
	{ "PASS", handle_pass, ARGUMENT_ONE, true, { 0 } },
	{ "AUTH",
	  handle_auth,
	  ARGUMENT_ANY,
	  false,
	  { "SASL", CAPABILITY_BEFORE_LOGIN, CAPABILITY_MECHANISMS } },
	{ "STLS",
	  handle_stls,
	  ARGUMENT_NONE,
	  false,
	  { "STLS", CAPABILITY_CAN_START_TLS, CAPABILITY_WORD } },
	{ "QUIT", handle_quit, ARGUMENT_NONE, false, { 0 } },
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

/* What pop3d's commands are is told before the login too (RFC 2449 section 5). */
static void capabilities(struct capability_writer w, struct text *out)
{
	w.out = out;
	pop3_capabilities_begin(&w);
	for (size_t i = 0; i < COMMANDS; i++)
		capability_write(&w, &commands[i].capability);
	pop3_capabilities_end(&w);
}

static void dispatch(struct login *l, struct view line)
{
	struct view name;
	bool has_argument = view_find(line, ' ') < line.len;

	view_cut(&line, ' ', &name);
	if (!has_argument || line.len == 0)
		line = (struct view){ "", 0 };
	for (size_t i = 0; i < COMMANDS; i++) {
		const struct command *c = &commands[i];

		if (!view_equal_nocase(name, view_of(c->name)))
			continue;
		if (c->argument == ARGUMENT_NONE && line.len)
			bad(l, "unexpected argument");
		else if (c->argument == ARGUMENT_ONE && line.len == 0)
			bad(l, "missing argument");
		else if (c->shows_password && !login_clear_text_allowed(l))
			bad(l, "this command requires TLS: use STLS first");
		else
			c->handle(l, line);
		return;
	}
	bad(l, "unknown command, or not allowed before login");
}

static void command(struct login *l)
{
	struct view line;

	switch (login_line(l, LOGIN_SASL_LINE_MAX, &line)) {
	case STREAM_OK: dispatch(l, line); break;
	case STREAM_TOO_LONG:
	case STREAM_BARE:
	case STREAM_NUL: bad(l, "invalid line: too long, or with a bare CR, bare LF or NUL"); break;
	default: l->over = true;
	}
}

/* RFC 1939 section 4; without "<...>", since APOP is not offered. */
static void greeting(const struct settings *settings, bool tls, struct text *out)
{
	(void)settings;
	(void)tls;
	text_add_string(out, "+OK posthouse ready\r\n");
}

static const struct login_protocol protocol = {
	.program = "pop3-login",
	.service = CONNECTION_POP3,
	.timeout = "-ERR timeout, closing connection\r\n",
	.stopping = "-ERR [SYS/TEMP] server shutting down\r\n",
	.errors = "-ERR too many errors\r\n",
	.busy = "-ERR [SYS/TEMP] too many connections, try again later\r\n",
	.unavailable = "-ERR [SYS/TEMP] service not available, try again later\r\n",
	.early = "-ERR protocol error: command before the greeting\r\n",
	.greeting = greeting,
	.command = command,
};

int main(void)
{
	login_main(&protocol);
}
