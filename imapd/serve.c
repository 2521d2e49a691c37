/* SPDX-License-Identifier: ISC */
#include "imapd/serve.h"

#include "imapd/command.h"
#include "lib/wire/worker.h"

/* ---- reading a command ---- */

/* The literal that the line announced, into the parser's memory; PARSE_ERROR when it has no place
 * there. */
static enum parse_result read_literal(struct session *s, bool *over)
{
	struct parser *p = &s->parser;
	struct view bytes;

	if (!parser_literal_accept(p)) {
		*over = !p->literal_waits && !session_swallow(s, p->literal_bytes);
		return PARSE_ERROR;
	}
	session_take_literal(s);
	while (parser_literal_left(p)) {
		if (!session_some(s, parser_literal_left(p), &bytes)) {
			*over = true;
			return PARSE_ERROR;
		}
		parser_literal(p, bytes);
	}
	return PARSE_LITERAL;
}

/* Does the literal that was announced belong to the handler? */
static bool is_streamed(const struct parser *p)
{
	const struct command *c = command_find(p->name);

	return c != NULL && c->flags & COMMAND_STREAMS && p->depth == 0 && p->top_level >= 1;
}

/* A whole command (PARSE_DONE), or all but the literal that its handler takes (PARSE_LITERAL), or
 * PARSE_ERROR; *over: the session ended meanwhile. */
static enum parse_result read_command(struct session *s, bool *over)
{
	enum parse_result result = PARSE_LITERAL;
	struct view line;
	bool good;

	while (result == PARSE_LITERAL) {
		if (!session_line(s, SESSION_LINE_MAX, &line, &good)) {
			*over = true;
			return PARSE_ERROR;
		}
		if (!good) {
			parser_tag(&s->parser, line);
			s->parser.error = "Line too long, or with a bare CR, bare LF or NUL";
			*over = !session_swallow_announced(s, line, good);
			return PARSE_ERROR;
		}
		result = parser_line(&s->parser, line);
		if (result == PARSE_ERROR) {
			*over = !session_swallow_announced(s, line, good);
			return PARSE_ERROR;
		}
		if (result == PARSE_LITERAL && is_streamed(&s->parser))
			return PARSE_LITERAL;
		if (result == PARSE_LITERAL)
			result = read_literal(s, over);
	}
	return result;
}

/* ---- one command after another ---- */

static void send_tagged(struct session *s)
{
	struct view tag = s->parser.tag;

	stream_write(&s->stream, tag.len ? tag : VIEW("*"));
	stream_write(&s->stream, VIEW(" "));
	stream_write(&s->stream, text_view(&s->tagged));
	stream_write(&s->stream, VIEW("\r\n"));
}

static void count_errors(struct session *s)
{
	s->errors = s->bad ? s->errors + 1 : 0;
	if (s->errors >= SESSION_ERRORS_MAX)
		session_bye(s, "Too many errors");
}

/* What a handler did not take of a literal that its client sends anyway. */
static void drop_literal(struct session *s)
{
	if (s->literal_waiting && !s->parser.literal_waits)
		session_swallow(s, s->parser.literal_bytes);
	s->literal_waiting = false;
}

static void serve_one(struct session *s)
{
	bool over = false;

	parser_start(&s->parser);
	s->bad = false;
	text_clear(&s->tagged);
	enum parse_result result = read_command(s, &over);

	if (over)
		return;
	s->literal_waiting = result == PARSE_LITERAL;
	if (result == PARSE_ERROR)
		session_bad(s, "%s", s->parser.error);
	else
		command_dispatch(s);
	drop_literal(s);
	if (s->tagged.len)
		send_tagged(s);
	count_errors(s);
}

static void greet(struct session *s)
{
	struct text list;

	text_init(&list, COMMAND_CAPABILITIES_MAX);
	command_capabilities(&list);
	stream_format(&s->stream, "%s OK [CAPABILITY%s] Logged in\r\n", s->who.tag,
	              text_string(&list));
	text_free(&list);
}

void serve_session(struct session *s)
{
	worker_session(s->stream.fd);
	greet(s);
	while (s->state != SESSION_LOGOUT && session_wait(s, -1, NULL)) {
		serve_one(s);
		/* Before the wait: an idle session holds no memory for a command. */
		parser_clear(&s->parser);
	}
	session_unselect(s);
	stream_flush(&s->stream);
}
