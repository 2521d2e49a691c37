/* SPDX-License-Identifier: ISC */
/* The commands of the TRANSACTION state, and QUIT, which is the UPDATE state. */
#include "pop3d/session.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "pop3d/command.h"

enum { ERRORS_MAX = 50 };

/* ---- answers ---- */

const char *session_account(const struct session *s)
{
	return log_quote(view_of(s->who->address));
}

void session_bad(struct session *s, const char *text)
{
	stream_format(&s->stream, "-ERR %s\r\n", text);
	if (++s->errors >= ERRORS_MAX) {
		stream_format(&s->stream, "-ERR too many errors\r\n");
		s->over = true;
	}
}

static void log_store_failed(const struct session *s, const struct reason *why)
{
	log_warn("event=store-failed account=%s command=%s reason=%s", session_account(s),
	         s->command, log_quote(view_of(why->text)));
}

void session_say_unavailable(struct session *s)
{
	stream_format(&s->stream, "-ERR [SYS/TEMP] mailbox temporarily unavailable\r\n");
}

static void trouble(struct session *s, const struct reason *why)
{
	log_store_failed(s, why);
	session_say_unavailable(s);
}

static bool is_deleted(const struct session *s, uint32_t seq)
{
	return s->marks[seq - 1] & MARK_DELETED;
}

/* ---- STAT, LIST, UIDL ---- */

/* A message that another session removed keeps its number and the size it had. One that cannot be
 * read keeps nobody from the others: it has the size of its file, and RETR says what is wrong. */
static uint64_t size_of(struct session *s, uint32_t seq)
{
	struct store_message m;
	struct reason why;
	enum store_result result = folder_message(s->inbox, seq, STORE_WANT_SIZE, &m, &why);

	if (result == STORE_OK || result == STORE_GONE)
		return m.size;
	if (!(s->marks[seq - 1] & MARK_UNREADABLE))
		log_store_failed(s, &why);
	s->marks[seq - 1] |= MARK_UNREADABLE;
	return folder_file_bytes(s->inbox, seq, &m.size) ? m.size : 0;
}

static void handle_stat(struct session *s, const struct pop3_command *c)
{
	uint64_t total = 0;
	uint32_t left = 0;

	(void)c;
	for (uint32_t seq = 1; seq <= s->count; seq++) {
		if (is_deleted(s, seq))
			continue;
		total += size_of(s, seq);
		left++;
	}
	folder_cache_flush(s->inbox);
	stream_format(&s->stream, "+OK %" PRIu32 " %" PRIu64 "\r\n", left, total);
}

static void handle_list(struct session *s, const struct pop3_command *c)
{
	if (c->has_message) {
		stream_format(&s->stream, "+OK %" PRIu32 " %" PRIu64 "\r\n", c->message,
		              size_of(s, c->message));
		return;
	}
	stream_write(&s->stream, VIEW("+OK\r\n"));
	for (uint32_t seq = 1; seq <= s->count; seq++)
		if (!is_deleted(s, seq))
			stream_format(&s->stream, "%" PRIu32 " %" PRIu64 "\r\n", seq,
			              size_of(s, seq));
	folder_cache_flush(s->inbox);
	stream_write(&s->stream, VIEW(".\r\n"));
}

/* UIDVALIDITY and UID: the same for as long as the message is there (RFC 1939 section 7). */
static void say_uid(struct session *s, const char *before, uint32_t seq)
{
	stream_format(&s->stream, "%s%" PRIu32 " %08" PRIx32 ".%" PRIu32 "\r\n", before, seq,
	              folder_uidvalidity(s->inbox), folder_uid(s->inbox, seq));
}

static void handle_uidl(struct session *s, const struct pop3_command *c)
{
	if (c->has_message) {
		say_uid(s, "+OK ", c->message);
		return;
	}
	stream_write(&s->stream, VIEW("+OK\r\n"));
	for (uint32_t seq = 1; seq <= s->count; seq++)
		if (!is_deleted(s, seq))
			say_uid(s, "", seq);
	stream_write(&s->stream, VIEW(".\r\n"));
}

/* ---- RETR, TOP ---- */

/* The rest goes out in pieces as large as can be. */
static void write_stuffed(struct stream *out, struct view bytes)
{
	bool line_start = true;

	stream_write_stuffed(out, bytes, &line_start);
}

static void write_end(struct stream *out, struct view bytes)
{
	if (bytes.len && (bytes.len < 2 || memcmp(bytes.data + bytes.len - 2, "\r\n", 2) != 0))
		stream_write(out, VIEW("\r\n"));
	stream_write(out, VIEW(".\r\n"));
}

/* Opens and reads it before a word is said. */
static bool open_message(struct session *s, uint32_t seq, struct message *m, struct view *bytes)
{
	struct reason why;
	enum store_result result = message_open(s->inbox, seq, m, &why);

	if (result == STORE_OK)
		result = message_view(m, bytes, &why);
	if (result == STORE_OK)
		return true;
	if (result == STORE_GONE)
		stream_format(&s->stream, "-ERR [SYS/TEMP] message removed by another session\r\n");
	else
		trouble(s, &why);
	message_close(m);
	return false;
}

static void handle_retr(struct session *s, const struct pop3_command *c)
{
	struct message m;
	struct view bytes;
	struct reason why;

	if (!open_message(s, c->message, &m, &bytes))
		return;
	stream_format(&s->stream, "+OK %" PRIu64 " octets\r\n", m.size);
	if (m.converts || bytes.len < STREAM_BUFFER_BYTES || stream_needs_stuffing(bytes))
		write_stuffed(&s->stream, bytes);
	else if (stream_send_file(&s->stream, m.fd, 0, m.size) == STREAM_ERROR) {
		fail_errno(&why, "send message");
		log_store_failed(s, &why);
	}
	write_end(&s->stream, bytes);
	message_close(&m);
	s->marks[c->message - 1] |= MARK_READ;
	s->retrieved++;
}

/* The header with its empty line, and so many lines of the body. */
static struct view top_of(struct view bytes, uint32_t lines)
{
	struct view rest = bytes, line;
	bool in_body = false;

	while (rest.len) {
		if (in_body && lines-- == 0)
			break;
		view_cut(&rest, '\n', &line);
		if (!in_body && (line.len == 0 || view_equal(line, VIEW("\r"))))
			in_body = true;
	}
	return view_take(bytes, bytes.len - rest.len);
}

static void handle_top(struct session *s, const struct pop3_command *c)
{
	struct message m;
	struct view bytes;

	if (!open_message(s, c->message, &m, &bytes))
		return;
	struct view top = top_of(bytes, c->lines);

	stream_write(&s->stream, VIEW("+OK\r\n"));
	write_stuffed(&s->stream, top);
	write_end(&s->stream, top);
	message_close(&m);
}

/* ---- the rest ---- */

static void handle_dele(struct session *s, const struct pop3_command *c)
{
	s->marks[c->message - 1] |= MARK_DELETED;
	stream_write(&s->stream, VIEW("+OK\r\n"));
}

static void handle_rset(struct session *s, const struct pop3_command *c)
{
	(void)c;
	for (uint32_t i = 0; i < s->count; i++)
		s->marks[i] &= (unsigned char)~MARK_DELETED;
	stream_write(&s->stream, VIEW("+OK\r\n"));
}

static void handle_noop(struct session *s, const struct pop3_command *c)
{
	(void)c;
	stream_write(&s->stream, VIEW("+OK\r\n"));
}

static void handle_capa(struct session *s, const struct pop3_command *c)
{
	struct text answer;
	struct capability_writer w = { .out = &answer, .states = CAPABILITY_LOGGED_IN };

	(void)c;
	text_init(&answer, POP3_CAPA_MAX);
	pop3_capabilities_begin(&w);
	pop3_capabilities_end(&w);
	stream_write(&s->stream, text_view(&answer));
	text_free(&answer);
}

/* The numbers (or, for removal, the UIDs) of the messages with this mark. */
static uint32_t *marked(struct session *s, enum mark mark, enum mark without, bool uids,
                        uint32_t *count)
{
	uint32_t *list = memory_get((s->count + 1) * sizeof *list);

	*count = 0;
	for (uint32_t seq = 1; seq <= s->count; seq++)
		if (s->marks[seq - 1] & mark && !(s->marks[seq - 1] & without))
			list[(*count)++] = uids ? folder_uid(s->inbox, seq) : seq;
	return list;
}

/* The UPDATE state.  What was read is \Seen for the other ways to the same mailbox. */
static void handle_quit(struct session *s, const struct pop3_command *c)
{
	uint32_t gone_count, read_count;
	uint32_t *gone = marked(s, MARK_DELETED, 0, true, &gone_count);
	uint32_t *seen = marked(s, MARK_READ, MARK_DELETED, false, &read_count);
	enum store_result result = STORE_OK;
	struct reason why;

	(void)c;
	if (gone_count)
		result = folder_remove(s->inbox, gone, gone_count, &why);
	if (result == STORE_OK && read_count &&
	    folder_store(s->inbox, seen, read_count, STORE_ADD, STORE_FLAG_SEEN, 0, &why) !=
	            STORE_OK)
		log_store_failed(s, &why);
	free(gone);
	free(seen);
	if (result == STORE_OK) {
		s->removed = gone_count;
		stream_write(&s->stream, VIEW("+OK bye\r\n"));
	} else {
		log_store_failed(s, &why);
		stream_write(&s->stream,
		             VIEW("-ERR [SYS/TEMP] some deleted messages were not removed\r\n"));
	}
	s->over = true;
}

static void (*const handlers[POP3_VERBS])(struct session *s, const struct pop3_command *c) = {
	[POP3_STAT] = handle_stat, [POP3_LIST] = handle_list, [POP3_RETR] = handle_retr,
	[POP3_DELE] = handle_dele, [POP3_NOOP] = handle_noop, [POP3_RSET] = handle_rset,
	[POP3_QUIT] = handle_quit, [POP3_TOP] = handle_top,   [POP3_UIDL] = handle_uidl,
	[POP3_CAPA] = handle_capa,
};

void session_command(struct session *s, struct view line)
{
	struct pop3_command command;
	const char *wrong = pop3_parse(line, &command);

	if (wrong == NULL && command.has_message &&
	    (command.message > s->count || is_deleted(s, command.message)))
		wrong = "no such message";
	if (wrong != NULL) {
		session_bad(s, wrong);
		return;
	}
	s->command = pop3_table[command.verb].name;
	handlers[command.verb](s, &command);
}
