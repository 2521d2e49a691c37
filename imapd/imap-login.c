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

#include "imapd/extension.h"
#include "imapd/login-command.h"
#include "lib/login/login.h"

struct command {
	const char *name;
	void (*handle)(struct login *l, const char *tag, struct view arguments);
	bool takes_arguments;
	bool shows_password; /* needs TLS, unless auth.without-tls */
	struct capability capability;
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

static void capabilities(struct capability_writer w, struct text *out);

static void handle_capability(struct login *l, const char *tag, struct view arguments)
{
	struct text list;

	(void)arguments;
	text_init(&list, CONNECTION_GREETING_MAX);
	capabilities(login_capabilities(l), &list);
	stream_format(&l->stream, "* CAPABILITY%s\r\n", text_string(&list));
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
		bad(l, tag,
		    l->connection.tls.on ? "TLS is already active" : "TLS is not available");
		return;
	}
	tagged(l, tag, "OK begin TLS");
	login_start_tls(l);
}

/* ---- logging in ---- */

/* With the response codes of RFC 5530.  On success imapd answers. */
static void say_outcome(struct login *l, const char *tag, enum login_outcome outcome)
{
	static const char *const texts[LOGIN_OUTCOMES] = {
		[LOGIN_DENIED] = "NO [AUTHENTICATIONFAILED] wrong user or password",
		[LOGIN_FORBIDDEN] = "NO [AUTHORIZATIONFAILED] this account may not use IMAP",
		[LOGIN_INVALID] = "BAD invalid response",
		[LOGIN_TEMPORARY] =
			"NO [UNAVAILABLE] authentication is temporarily unavailable, try again later",
		[LOGIN_NO_MECHANISM] = "NO unsupported mechanism",
		[LOGIN_NEEDS_TLS] =
			"NO [PRIVACYREQUIRED] this mechanism requires TLS: use STARTTLS first",
		[LOGIN_MALFORMED] = "BAD malformed base64",
		[LOGIN_CANCELLED] = "BAD authentication cancelled",
	};

	if (outcome != LOGIN_NOTHING_TO_SAY)
		tagged(l, tag, texts[outcome]);
}

static void handle_login(struct login *l, const char *tag, struct view arguments)
{
	struct text user, password;

	text_init(&user, LOGIN_COMMAND_MAX);
	text_init(&password, LOGIN_COMMAND_MAX);
	text_reserve(&password, LOGIN_COMMAND_MAX); /* at once: growing would leave a copy behind */
	if (!login_astring(&arguments, &user) || !login_space(&arguments) ||
	    !login_astring(&arguments, &password) || arguments.len ||
	    memchr(user.raw, '\0', user.len) != NULL)
		bad(l, tag, "LOGIN requires a user name and a password");
	else
		say_outcome(l, tag, login_password(l, text_view(&user), text_view(&password), tag));
	explicit_bzero(password.raw, password.cap);
	text_free(&password);
	text_free(&user);
}

static void handle_authenticate(struct login *l, const char *tag, struct view arguments)
{
	say_outcome(l, tag, login_sasl(l, arguments, tag));
}

/* ---- commands ---- */

static const struct command commands[] = {
	{ "CAPABILITY", handle_capability, false, false, { 0 } },
	{ "NOOP", handle_noop, false, false, { 0 } },
	{ "LOGOUT", handle_logout, false, false, { 0 } },
	{ "ID", handle_id, true, false, { "ID", CAPABILITY_BEFORE_LOGIN, CAPABILITY_WORD } },
	{ "STARTTLS",
	  handle_starttls,
	  false,
	  false,
	  { "STARTTLS", CAPABILITY_CAN_START_TLS, CAPABILITY_WORD } },
	{ "LOGIN",
	  handle_login,
	  true,
	  true,
	  { "LOGINDISABLED", CAPABILITY_PASSWORD_UNSAFE, CAPABILITY_WORD } },
	{ "AUTHENTICATE",
	  handle_authenticate,
	  true,
	  false,
	  { "AUTH=", CAPABILITY_BEFORE_LOGIN, CAPABILITY_EACH_MECHANISM } },
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

/* " IMAP4rev1 ..." */
static void capabilities(struct capability_writer w, struct text *out)
{
	w.out = out;
	w.before = " ";
	w.after = "";
	extensions_write(&w);
	for (size_t i = 0; i < COMMANDS; i++)
		capability_write(&w, &commands[i].capability);
}

static void dispatch(struct login *l, const char *tag, struct view name, struct view arguments)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		const struct command *c = &commands[i];

		if (!view_equal_nocase(name, view_of(c->name)))
			continue;
		if (c->takes_arguments != (arguments.len > 0))
			bad(l, tag,
			    c->takes_arguments ? "missing argument" : "unexpected argument");
		else if (c->shows_password && !login_clear_text_allowed(l))
			tagged(l, tag,
			       "NO [PRIVACYREQUIRED] this command requires TLS: use STARTTLS first");
		else
			c->handle(l, tag, arguments);
		return;
	}
	bad(l, tag, "unknown command, or not allowed before login");
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

/* The last line of a command. Blanks at its end are of no meaning; a literal may end in some, but
 * it is no line. */
static struct view without_blanks(struct view line)
{
	while (line.len && line.data[line.len - 1] == ' ')
		line.len--;
	return line;
}

/* One line; what it ends with tells whether the command goes on. */
static enum login_literal read_line(struct login *l, struct text *command, size_t *literal_bytes)
{
	enum login_literal end;
	struct view line;

	switch (login_line(l, LOGIN_SASL_LINE_MAX, &line)) {
	case STREAM_OK:
		end = login_literal_end(line, literal_bytes);
		text_add(command, end == LITERAL_NONE ? without_blanks(line) : line);
		return command->full ? LITERAL_TOO_LARGE : end;
	case STREAM_TOO_LONG:
	case STREAM_BARE:
	case STREAM_NUL: text_add(command, line); return LITERAL_BAD;
	default: l->over = true; return LITERAL_BAD;
	}
}

/* A literal that is refused. One that comes unasked (RFC 7888 section 4) cannot be told from
 * commands any more. */
static void refuse_literal(struct login *l, const char *tag, bool comes_unasked)
{
	l->errors++;
	if (comes_unasked) {
		stream_format(&l->stream, "* BYE [TOOBIG] literal too large\r\n");
		l->over = true;
	} else {
		tagged(l, tag, "NO [TOOBIG] literal too large");
	}
}

/* What is wrong with a line is told with its tag, when it has one (RFC 3501 section 7.1.3); of a
 * command that is too long only that is read. */
static void refuse_line(struct login *l, const struct text *command)
{
	char tag[AUTH_TAG_MAX];

	bad(l, login_tag(text_view_cut(command), tag) ? tag : "*",
	    "invalid command: line too long, missing tag or invalid character");
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
		if (end == LITERAL_BAD || !login_head(text_view_cut(command), &head)) {
			refuse_line(l, command);
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
			stream_format(&l->stream, "+ ready\r\n");
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
		explicit_bzero(whole.raw, whole.cap);
	text_free(&whole);
}

/* ---- the program ---- */

static void greeting(const struct settings *settings, bool tls, struct text *out)
{
	text_add_string(out, "* OK [CAPABILITY");
	capabilities(login_greeting_capabilities(settings, tls), out);
	text_add_string(out, "] posthouse ready\r\n");
}

static const struct login_protocol protocol = {
	.program = "imap-login",
	.service = CONNECTION_IMAP,
	.timeout = "* BYE timeout, closing connection\r\n",
	.stopping = "* BYE server shutting down\r\n",
	.errors = "* BYE too many errors\r\n",
	.busy = "* BYE [UNAVAILABLE] too many connections, try again later\r\n",
	.unavailable = "* BYE [UNAVAILABLE] service not available, try again later\r\n",
	.early = "* BYE protocol error: command before the greeting\r\n",
	.greeting = greeting,
	.command = command,
};

int main(void)
{
	login_main(&protocol);
}
