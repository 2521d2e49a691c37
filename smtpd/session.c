/* SPDX-License-Identifier: ISC */
#include "smtpd/session.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/wire/worker.h"

/* ---- answers ---- */

static void write_reply(struct session *s, int code, const char *status, const char *text)
{
	stream_format(&s->client, "%d %s%s%s\r\n", code, status ? status : "", status ? " " : "",
	              text);
}

void reply(struct session *s, int code, const char *status, const char *format, ...)
{
	char text[512];
	va_list list;

	va_start(list, format);
	string_print_cut_list(text, sizeof text, format, list);
	va_end(list);
	write_reply(s, code, status, text);
}

/* A client that errs again and again waits for its answers; one that goes away is not waited
 * for. */
static void delay_errors(struct session *s)
{
	int delay_ms = (int)(s->errors - ERRORS_FREE) * ERROR_DELAY_MS;
	struct pollfd gone = { .fd = s->client.fd, .events = POLLRDHUP };

	if (s->errors <= ERRORS_FREE)
		return;
	if (delay_ms > ERROR_DELAY_MAX_MS)
		delay_ms = ERROR_DELAY_MAX_MS;
	stream_flush(&s->client);
	poll(&gone, 1, delay_ms);
	credit_wait(&s->credit, delay_ms);
}

const char *or_dash(const char *word)
{
	return word[0] ? log_quote(view_of(word)) : "-";
}

/* Of MAIL FROM: the MAIL, as a value in the log. */
static struct view command_word(const struct session *s)
{
	struct view command = view_of(s->command);

	return view_take(command, view_find(command, ' '));
}

void refuse(struct session *s, int code, const char *status, const char *format, ...)
{
	char text[512];
	va_list list;

	va_start(list, format);
	string_print_cut_list(text, sizeof text, format, list);
	va_end(list);
	log_info(
		"event=refuse client=%s helo=%s account=%s command=%.*s argument=%s from=<%s> code=%d status=%s text=\"%s\"",
		s->name, or_dash(s->helo), or_dash(s->account), VIEW_ARG(command_word(s)),
		s->argument.len ? log_quote(s->argument) : "-",
		s->transaction ? log_quote(view_of(s->transaction->envelope.sender)) : "", code,
		status, log_text(view_of(text)));
	s->errors++;
	delay_errors(s);
	write_reply(s, code, status, text);
}

/* ---- what the handlers share ---- */

enum session_state session_state(const struct session *s)
{
	if (s->helo[0] == '\0')
		return STATE_NEW;
	if (s->transaction == NULL)
		return STATE_READY;
	return s->transaction->recipients ? STATE_RECIPIENTS : STATE_MAIL;
}

bool session_submits(const struct session *s)
{
	return s->connection.service == CONNECTION_SUBMISSION || s->account[0];
}

void session_progress(struct session *s, bool progress)
{
	if (progress)
		s->progress_ms = clock_ms();
	if ((s->progress == progress && !s->busy) || (!progress && s->account[0]))
		return;
	s->progress = progress;
	s->busy = false;
	s->spoke_ms = clock_ms();
	connection_progress(s->hub, progress ? CONNECTION_GETS_ON : CONNECTION_STANDS);
}

void session_busy(struct session *s)
{
	if (s->progress || s->busy)
		return;
	s->busy = true;
	connection_progress(s->hub, CONNECTION_BUSY);
}

static void client_is_quiet(void *session)
{
	session_progress(session, false);
}

int64_t session_quiet_ms(const struct session *s)
{
	return s->settings->smtpd_timeout_ms / QUIET_PART;
}

/* Whoever goes on talking may get nowhere all the same. */
static void look_for_progress(struct session *s)
{
	if (s->progress && clock_ms() - s->progress_ms >= session_quiet_ms(s))
		session_progress(s, false);
}

void session_open(struct session *s, int fd)
{
	stream_open(&s->client, fd, (int)session_quiet_ms(s));
	stream_set_quiet(&s->client, (int)s->settings->smtpd_timeout_ms, (int)session_quiet_ms(s),
	                 client_is_quiet, s);
	worker_session(fd);
}

void session_question(const struct session *s, struct resolve_question *q)
{
	*q = (struct resolve_question){ .client = s->connection.client,
		                        .submission = session_submits(s) };
	string_put(q->account, sizeof q->account, view_of(s->account));
	string_put(q->client_name, sizeof q->client_name, view_of(s->client_name));
}

void transaction_end(struct session *s)
{
	if (s->transaction == NULL)
		return;
	spool_abandon(&s->worker->writer);
	arena_clear(&s->transaction->arena);
	free(s->transaction);
	s->transaction = NULL;
}

bool session_read_failed(struct session *s, enum stream_result result)
{
	switch (result) {
	case STREAM_OK: return false;
	case STREAM_TIMEOUT:
		log_info("event=timeout client=%s command=%.*s", s->name,
		         VIEW_ARG(command_word(s)));
		reply(s, 421, "4.4.2", "%s timeout, closing", s->settings->host_name);
		break;
	default:
		if (worker_stopping())
			reply(s, 421, "4.3.2", "%s %s", s->settings->host_name,
			      worker_session_ended() ? "session ended by the administrator"
			                             : "is shutting down");
		else
			log_info("event=lost client=%s command=%.*s", s->name,
			         VIEW_ARG(command_word(s)));
	}
	s->over = true;
	return true;
}

/* ---- commands that need no file of their own ---- */

static void command_rset(struct session *s, struct view argument)
{
	(void)argument;
	transaction_end(s);
	reply(s, 250, "2.0.0", "ok");
}

static void command_noop(struct session *s, struct view argument)
{
	(void)argument;
	reply(s, 250, "2.0.0", "ok");
}

static void command_quit(struct session *s, struct view argument)
{
	(void)argument;
	reply(s, 221, "2.0.0", "%s closing", s->settings->host_name);
	s->over = true;
}

/* RFC 5321 section 3.5.3: who asks for names learns nothing. */
static void command_vrfy(struct session *s, struct view argument)
{
	(void)argument;
	reply(s, 252, "2.5.2", "cannot verify the user, but will accept mail and attempt delivery");
}

static void command_expn(struct session *s, struct view argument)
{
	(void)argument;
	refuse(s, 502, "5.5.1", "EXPN disabled");
}

static void command_help(struct session *s, struct view argument)
{
	(void)argument;
	reply(s, 214, "2.0.0", "the commands are those of RFC 5321; for help, write to postmaster");
}

static void command_unclear(struct session *s, struct view argument)
{
	(void)argument;
	refuse(s, 501, "5.5.4", "syntax: MAIL FROM:<address>, RCPT TO:<address>");
}

enum argument_rule { ARGUMENT_NONE, ARGUMENT_MAY, ARGUMENT_MUST };

enum command_flag {
	LAST_IN_PIPELINE = 1, /* RFC 2920 section 3.1, RFC 3207 section 4.2, RFC 4954: nothing may
	                         be sent behind it */
	SECRET = 2,           /* its argument is not logged */
	BUSY = 4,             /* does not count as idle; is progress where it is not refused, while
	                         that counts (credit.h) */
	LONG = 8              /* AUTH_LINE_MAX */
};

static const struct command {
	const char *name; /* with the colon that MAIL and RCPT need */
	void (*run)(struct session *s, struct view argument);
	unsigned states;
	enum argument_rule argument;
	unsigned flags;
	const char *out_of_order; /* what is told in other states */
} commands[] = {
	{ "HELO", command_helo, STATE_ANY, ARGUMENT_MUST, LAST_IN_PIPELINE, NULL },
	{ "EHLO", command_ehlo, STATE_ANY, ARGUMENT_MUST, LAST_IN_PIPELINE, NULL },
	{ "STARTTLS", command_starttls, STATE_READY, ARGUMENT_NONE, LAST_IN_PIPELINE,
	  "send EHLO first, and not during a transaction" },
	{ "AUTH", command_auth, STATE_READY, ARGUMENT_MUST, LAST_IN_PIPELINE | SECRET | LONG,
	  "send EHLO first, and not during a transaction" },
	{ "MAIL FROM:", command_mail, STATE_READY, ARGUMENT_MUST, BUSY,
	  "send HELO or EHLO first, and one MAIL at a time" },
	{ "RCPT TO:", command_rcpt, STATE_MAIL | STATE_RECIPIENTS, ARGUMENT_MUST, BUSY,
	  "send MAIL first" },
	{ "MAIL", command_unclear, STATE_ANY, ARGUMENT_MAY, 0,
	  NULL }, /* behind the row with FROM: */
	{ "RCPT", command_unclear, STATE_ANY, ARGUMENT_MAY, 0, NULL },
	{ "DATA", command_data, STATE_RECIPIENTS, ARGUMENT_NONE, BUSY | LAST_IN_PIPELINE,
	  "no valid recipients" },
	{ "RSET", command_rset, STATE_ANY, ARGUMENT_NONE, 0, NULL },
	{ "NOOP", command_noop, STATE_ANY, ARGUMENT_MAY, 0, NULL },
	{ "QUIT", command_quit, STATE_ANY, ARGUMENT_NONE, BUSY, NULL },
	{ "VRFY", command_vrfy, STATE_ANY, ARGUMENT_MUST, 0, NULL },
	{ "EXPN", command_expn, STATE_ANY, ARGUMENT_MAY, 0, NULL },
	{ "HELP", command_help, STATE_ANY, ARGUMENT_MAY, 0, NULL },
};

/* The command that the line begins with, and what follows its name. "MAIL FROM:" may have blanks
 * around its words, since clients have them. */
static const struct command *find_command(struct view line, struct view *argument)
{
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		struct view name = view_of(commands[i].name), rest = line, word;
		bool matches = true;

		while (matches && view_cut(&name, ' ', &word)) {
			matches = view_starts_nocase(rest, word);
			rest = view_skip(rest, word.len);
			bool ended = rest.len == 0 || byte_is_space(rest.data[0]) ||
			             word.data[word.len - 1] == ':';

			matches = matches && ended;
			rest = view_trim(rest);
		}
		if (matches) {
			*argument = rest;
			return &commands[i];
		}
	}
	return NULL;
}

/* The columns of the table. false: the command was refused. */
static bool may_run(struct session *s, const struct command *c, struct view line,
                    struct view argument)
{
	if (line.len > COMMAND_LINE_MAX && !(c->flags & LONG)) {
		refuse(s, 500, "5.5.6", "line longer than %d bytes", COMMAND_LINE_MAX);
	} else if ((c->argument == ARGUMENT_NONE && argument.len) ||
	           (c->argument == ARGUMENT_MUST && argument.len == 0)) {
		refuse(s, 501, "5.5.4", "%s %s", c->name,
		       argument.len ? "takes no argument" : "requires an argument");
	} else if (!(session_state(s) & c->states)) {
		refuse(s, 503, "5.5.1", "%s", c->out_of_order);
	} else if ((c->flags & LAST_IN_PIPELINE) && stream_has_input(&s->client)) {
		/* Whoever sends on without the answer does not talk with us (RFC 2920 section 3.1):
		 * what follows may be a message body, or commands injected before TLS
		 * (CVE-2011-0411). */
		refuse(s, 554, "5.5.0", "commands pipelined after %s, closing", c->name);
		s->over = true;
	} else {
		return true;
	}
	return false;
}

static void dispatch(struct session *s, struct view line)
{
	struct view argument = { "", 0 };
	const struct command *c = find_command(line, &argument);

	/* A line that is no command may be what a client sends on after its AUTH was refused: a
	 * password. */
	bool secret = c == NULL || (c->flags & SECRET);

	s->command = c != NULL ? c->name : "?";
	s->argument = secret ? VIEW("...") : argument;
	log_debug("event=command client=%s line=%s", s->name,
	          secret ? s->command : log_quote(line));
	if (c == NULL) {
		refuse(s, 500, "5.5.1", "unknown command");
		return;
	}
	if (!(c->flags & BUSY) && ++s->idle_commands > IDLE_COMMANDS_MAX)
		s->errors++;
	unsigned errors = s->errors;
	bool progress = s->progress;

	if (may_run(s, c, line, argument))
		c->run(s, argument);
	bool accepted =
		(c->flags & BUSY) && s->errors <= errors && credit_lasts(&s->credit, clock_ms());

	if (!s->over && (accepted || !progress))
		session_progress(s, accepted);
}

static int line_max(struct view line)
{
	struct view argument;
	const struct command *c = find_command(line, &argument);

	return c != NULL && (c->flags & LONG) ? AUTH_LINE_MAX : COMMAND_LINE_MAX;
}

/* A line that is no command, whatever is in it. line: of one that is too long, the beginning. */
static void refuse_line(struct session *s, enum stream_result result, struct view line)
{
	s->command = "?";
	s->argument = VIEW("");
	switch (result) {
	case STREAM_TOO_LONG:
		refuse(s, 500, "5.5.6", "line longer than %d bytes", line_max(line));
		break;
	case STREAM_BARE:
		refuse(s, 500, "5.5.2", "bare CR or bare LF, lines must end with CR LF");
		break;
	default: refuse(s, 500, "5.5.2", "NUL in command");
	}
}

static void serve(struct session *s)
{
	while (!s->over) {
		struct view line;
		enum stream_result result = stream_line(&s->client, AUTH_LINE_MAX, &line);

		if (result == STREAM_OK && !s->progress)
			connection_spoken(s->hub, &s->spoke_ms);
		if (result == STREAM_OK)
			dispatch(s, line);
		else if (result == STREAM_TOO_LONG || result == STREAM_BARE || result == STREAM_NUL)
			refuse_line(s, result, line);
		else
			session_read_failed(s, result);
		look_for_progress(s);
		if (!s->over && s->errors > ERRORS_MAX) {
			log_info("event=too-many-errors client=%s", s->name);
			reply(s, 421, "4.7.0", "%s too many errors, closing",
			      s->settings->host_name);
			s->over = true;
		}
	}
	stream_flush(&s->client);
}

void session_run(struct worker *worker, struct connection *connection, int hub)
{
	struct session s = { .worker = worker,
		             .settings = worker->settings,
		             .connection = *connection,
		             .hub = hub,
		             .spoke_ms = clock_ms(),
		             .command = "" };

	net_address_text(&connection->client, s.name);
	session_open(&s, connection->fd);
	serve(&s);
	transaction_end(&s);
	stream_close(&s.client);
	log_info("event=session client=%s service=%s tls=%s messages=%u errors=%u bytes_in=%llu",
	         s.name, connection_service_name(connection->service),
	         s.connection.tls.on ? s.connection.tls.version : "-", s.messages, s.errors,
	         (unsigned long long)s.client.bytes_in);
}
