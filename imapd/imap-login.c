/* SPDX-License-Identifier: ISC */
/*
 * imap-login: an IMAP client until it has logged in (RFC 3501 section 3.1, the not authenticated
 * state).
 *
 * Runs as the login user in an empty root and reads from the Internet. porter gives it clients one
 * at a time and takes them back for STARTTLS; SASL messages go to authd, LOGIN as PLAIN. When a
 * password was right authd itself passes the client on to imapd, with the command's tag and with
 * what the client had sent behind it: this program learns that it is gone and serves the next one.
 *
 * Trusts porter and authd; reads no file, writes none, knows no hash. Who owns it sees the
 * passwords of the clients that it serves while it is owned, and can open none but their mailboxes
 * with them.
 */
#include <string.h>

#include "imapd/login-command.h"
#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/login/login.h"
#include "lib/wire/worker.h"

/* Before the first command (porter says it) and after. */
#define TIMEOUT_REPLY "* BYE timeout, closing connection\r\n"

static struct settings settings;

struct command {
	const char *name;
	void (*handle)(struct login *l, const char *tag, struct view arguments);
	bool takes_arguments;
	bool shows_password; /* needs TLS, unless auth.without-tls */
};

static void tagged(struct login *l, const char *tag, const char *text)
{
	stream_format(&l->stream, "%s %s\r\n", tag, text);
}

static void bad(struct login *l, const char *tag, const char *text)
{
	l->errors++;
	stream_format(&l->stream, "%s BAD %s\r\n", tag, text);
}

/* ---- what is offered ---- */

static void capabilities(struct text *out, bool tls, bool can_start_tls)
{
	bool clear_text = tls || settings.auth_without_tls;
	struct view rest = view_of(auth_mechanisms(tls, settings.auth_without_tls)), name;

	text_add_string(out, "CAPABILITY IMAP4rev1 LITERAL+ SASL-IR ID");
	if (can_start_tls)
		text_add_string(out, " STARTTLS");
	if (!clear_text)
		text_add_string(out, " LOGINDISABLED");
	while (view_cut(&rest, ' ', &name))
		text_format(out, " AUTH=%.*s", VIEW_ARG(name));
}

static void handle_capability(struct login *l, const char *tag, struct view arguments)
{
	struct text list;

	(void)arguments;
	text_init(&list, CONNECTION_GREETING_MAX);
	capabilities(&list, l->connection.tls.on, login_can_start_tls(l));
	stream_format(&l->stream, "* %s\r\n", list.data);
	tagged(l, tag, "OK done");
	text_free(&list);
}

/* RFC 2971: what the client says of itself is not kept. */
static void handle_id(struct login *l, const char *tag, struct view arguments)
{
	(void)arguments;
	stream_format(&l->stream, "* ID (\"name\" \"posthouse\")\r\n");
	tagged(l, tag, "OK done");
}

static void handle_noop(struct login *l, const char *tag, struct view arguments)
{
	(void)arguments;
	tagged(l, tag, "OK done");
}

static void handle_logout(struct login *l, const char *tag, struct view arguments)
{
	(void)arguments;
	stream_format(&l->stream, "* BYE logging out\r\n");
	tagged(l, tag, "OK done");
	l->over = true;
}

static void handle_starttls(struct login *l, const char *tag, struct view arguments)
{
	(void)arguments;
	if (!login_can_start_tls(l)) {
		bad(l, tag, l->connection.tls.on ? "TLS is on already" : "there is no TLS here");
		return;
	}
	tagged(l, tag, "OK begin TLS");
	login_start_tls(l, &settings);
}

/* ---- logging in ---- */

/* With the response codes of RFC 5530.  On AUTH_OK imapd answers. */
static void say_verdict(struct login *l, const char *tag, enum auth_verdict verdict)
{
	static const char *const texts[] = {
		[AUTH_DENIED] = "NO [AUTHENTICATIONFAILED] wrong user or password",
		[AUTH_FORBIDDEN] = "NO [AUTHORIZATIONFAILED] this account may not use IMAP",
		[AUTH_MALFORMED] = "BAD that is no such exchange",
		[AUTH_TEMPORARY] =
			"NO [UNAVAILABLE] logging in is not possible now, try again later",
	};

	if (verdict != AUTH_OK)
		tagged(l, tag, texts[verdict]);
}

static void handle_login(struct login *l, const char *tag, struct view arguments)
{
	struct text user, password;
	enum auth_verdict verdict;

	text_init(&user, LOGIN_COMMAND_MAX);
	text_init(&password, LOGIN_COMMAND_MAX);
	text_reserve(&password, LOGIN_COMMAND_MAX); /* at once: growing would leave a copy behind */
	if (!login_astring(&arguments, &user) || !login_space(&arguments) ||
	    !login_astring(&arguments, &password) || arguments.len ||
	    memchr(user.data, '\0', user.len) != NULL)
		bad(l, tag, "LOGIN takes a user and a password");
	else if (login_password(l, text_view(&user), text_view(&password), tag, &verdict) == 0)
		say_verdict(l, tag, verdict);
	explicit_bzero(password.data, password.cap);
	text_free(&password);
	text_free(&user);
}

static void handle_authenticate(struct login *l, const char *tag, struct view arguments)
{
	struct view name, initial = { "", 0 };
	enum auth_verdict verdict;
	bool has_initial = view_find(arguments, ' ') < arguments.len;

	view_cut(&arguments, ' ', &name);
	enum auth_mechanism mechanism = auth_mechanism_find(name);

	if (mechanism == AUTH_MECHANISM_COUNT) {
		l->errors++;
		tagged(l, tag, "NO no such mechanism");
	} else if (auth_mechanism_clear_text(mechanism) &&
	           !login_clear_text_allowed(l, &settings)) {
		l->errors++;
		tagged(l, tag, "NO [PRIVACYREQUIRED] this mechanism needs TLS: use STARTTLS first");
	} else if (has_initial && !login_initial(l, arguments, &initial)) {
		bad(l, tag, "that is no base64");
	} else if (login_exchange(l, mechanism, has_initial, initial, tag, &verdict) == 0) {
		say_verdict(l, tag, verdict);
	} else if (!l->over) {
		bad(l, tag, "given up");
	}
}

/* ---- commands ---- */

static const struct command commands[] = {
	{ "CAPABILITY", handle_capability, false, false },
	{ "NOOP", handle_noop, false, false },
	{ "LOGOUT", handle_logout, false, false },
	{ "ID", handle_id, true, false },
	{ "STARTTLS", handle_starttls, false, false },
	{ "LOGIN", handle_login, true, true },
	{ "AUTHENTICATE", handle_authenticate, true, false },
};

static void dispatch(struct login *l, const char *tag, struct view name, struct view arguments)
{
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		const struct command *c = &commands[i];

		if (!view_equal_nocase(name, view_of(c->name)))
			continue;
		if (c->takes_arguments != (arguments.len > 0))
			bad(l, tag,
			    c->takes_arguments ? "arguments are missing"
			                       : "no argument is expected");
		else if (c->shows_password && !login_clear_text_allowed(l, &settings))
			tagged(l, tag, "NO [PRIVACYREQUIRED] this needs TLS: use STARTTLS first");
		else
			c->handle(l, tag, arguments);
		return;
	}
	bad(l, tag, "not a command before login");
}

/* The bytes of a literal, behind its announcement and CRLF. */
static bool read_literal(struct login *l, struct text *line, size_t bytes)
{
	text_add_string(line, "\r\n");
	while (bytes) {
		struct view some;

		if (login_some(l, bytes, &some) != STREAM_OK) {
			l->over = true;
			return false;
		}
		text_add(line, some);
		bytes -= some.len;
	}
	return true;
}

/* One line; what it ends with tells whether the command goes on. */
static enum login_literal read_line(struct login *l, struct text *command, size_t *literal_bytes)
{
	struct view line;

	switch (login_line(l, LOGIN_SASL_LINE_MAX, &line)) {
	case STREAM_OK:
		text_add(command, line);
		return command->full ? LITERAL_TOO_LARGE : login_literal_end(line, literal_bytes);
	case STREAM_TOO_LONG:
	case STREAM_BARE:
	case STREAM_NUL: return LITERAL_BAD;
	default: l->over = true; return LITERAL_BAD;
	}
}

/* A literal that is refused. One that comes unasked (RFC 7888 section 4) cannot be told from
 * commands any more. */
static void refuse_literal(struct login *l, const char *tag, bool comes_unasked)
{
	l->errors++;
	if (comes_unasked) {
		stream_format(&l->stream, "* BYE [TOOBIG] that literal is too large\r\n");
		l->over = true;
	} else {
		tagged(l, tag, "NO [TOOBIG] that literal is too large");
	}
}

/* A whole command with its literals in place; false: it has been answered already. */
static bool read_command(struct login *l, struct text *command)
{
	size_t bytes = 0;

	for (;;) {
		enum login_literal end = read_line(l, command, &bytes);
		struct login_head head;
		bool unasked = end == LITERAL_UNASKED;

		if (l->over)
			return false;
		if (end == LITERAL_BAD || !login_head(text_view(command), &head)) {
			bad(l, "*",
			    "not a command: over-long, without a tag, or with bytes that no line may have");
			return false;
		}
		if (end == LITERAL_NONE)
			return true;
		if (end == LITERAL_TOO_LARGE || bytes > LOGIN_LITERAL_MAX ||
		    command->len + bytes > LOGIN_COMMAND_MAX) {
			refuse_literal(l, head.tag, unasked || end == LITERAL_TOO_LARGE);
			return false;
		}
		if (!unasked)
			stream_format(&l->stream, "+ go on\r\n");
		if (!read_literal(l, command, bytes))
			return false;
	}
}

static void command(struct login *l)
{
	struct text whole;
	struct login_head head;

	text_init(&whole, LOGIN_COMMAND_MAX);
	if (read_command(l, &whole) && login_head(text_view(&whole), &head))
		dispatch(l, head.tag, head.name, head.arguments);
	if (whole.cap)
		explicit_bzero(whole.data, whole.cap);
	text_free(&whole);
}

/* ---- the program ---- */

static void serve(struct wire_in *in, int hub)
{
	static const struct login_words words = {
		.timeout = TIMEOUT_REPLY,
		.stopping = "* BYE the server is going down\r\n",
		.errors = "* BYE too many errors\r\n",
	};

	login_serve(in, hub, &settings, &words, command);
}

static void greeting(char *line, size_t size, bool tls)
{
	struct text t;

	text_init(&t, size - 1);
	text_add_string(&t, "* OK [");
	capabilities(&t, tls, !tls);
	text_add_string(&t, "] posthouse ready\r\n");
	if (!string_copy(line, size, text_view(&t)))
		log_panic("the greeting is longer than porter takes");
	text_free(&t);
}

static void announce(int shared_fd)
{
	struct connection_announce a = {
		.service = CONNECTION_IMAP,
		.busy = "* BYE [UNAVAILABLE] too many connections, try again later\r\n",
		.timeout = TIMEOUT_REPLY,
	};

	greeting(a.clear, sizeof a.clear, false);
	greeting(a.secured, sizeof a.secured, true);
	connection_announce_send(shared_fd, &a);
}

int main(void)
{
	static const struct sandbox_profile profile = { .promises = SANDBOX_FORK };

	program_start("imap-login");
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
