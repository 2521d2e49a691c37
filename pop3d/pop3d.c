/* SPDX-License-Identifier: ISC */
/*
 * pop3d: a POP3 client's session from its login to its end (RFC 1939, the TRANSACTION and UPDATE
 * states).
 *
 * It runs under the mailbox owner's uid. authd, after it has checked a password, has master hand
 * over the client's socket and says whose mailbox it is; a process is forked for each session and
 * shuts itself into that one home before it reads the first byte. TLS, if any, is porter's.
 *
 * It trusts authd for the name of the home and nothing that the client sends. It reads and removes
 * messages of the INBOX through lib/store; what a client marks is removed at QUIT alone. One POP3
 * session may have a mailbox at a time; IMAP sessions and deliveries go on beside it, and what they
 * add is for the next session.
 *
 * Whoever owns a session has the one mailbox that its client logged in to; whoever owns the parent
 * has those of the same uid.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/conf/settings.h"
#include "lib/net/stream.h"
#include "lib/store/folder.h"
#include "lib/wire/owner.h"
#include "lib/wire/worker.h"
#include "pop3d/command.h"

enum {
	ERRORS_MAX = 50,
	QUIT_IDLE_MS = 60000,
	DESCRIPTORS_MAX = 256,
	MEMORY_MAX_BYTES = 1 << 30 /* beside a message: the list of a large mailbox */
};

enum mark { MARK_NONE = 0, MARK_DELETED = 1, MARK_READ = 2 };

struct session {
	struct stream stream;
	const struct owner_session *who;
	const char *command; /* the one in work, for the log */
	struct store *store;
	struct folder *inbox;
	uint32_t count;       /* messages of this session: numbers never change */
	unsigned char *marks; /* enum mark, by message */
	unsigned errors;
	uint64_t retrieved;
	uint32_t removed;
	bool begun, over;
};

static struct settings settings;

/* ---- answers ---- */

/* For the log. */
static const char *account_of(const struct session *s)
{
	return log_quote(view_of(s->who->address));
}

static void bad(struct session *s, const char *text)
{
	stream_format(&s->stream, "-ERR %s\r\n", text);
	if (++s->errors >= ERRORS_MAX) {
		stream_format(&s->stream, "-ERR too many errors\r\n");
		s->over = true;
	}
}

static void log_store_failed(const struct session *s, const struct reason *why)
{
	log_warn("event=store-failed account=%s command=%s reason=%s", account_of(s), s->command,
	         log_quote(view_of(why->text)));
}

/* The world's fault, not the client's (RFC 3206). */
static void say_unavailable(struct session *s)
{
	stream_format(&s->stream, "-ERR [SYS/TEMP] mailbox temporarily unavailable\r\n");
}

static void trouble(struct session *s, const struct reason *why)
{
	log_store_failed(s, why);
	say_unavailable(s);
}

/* The same before the session has begun. */
static void refuse(struct session *s, const struct reason *why)
{
	log_warn("event=session-refused account=%s reason=%s", account_of(s),
	         log_quote(view_of(why->text)));
	say_unavailable(s);
}

static bool is_deleted(const struct session *s, uint32_t seq)
{
	return s->marks[seq - 1] & MARK_DELETED;
}

/* ---- STAT, LIST, UIDL ---- */

/* A message that another session removed keeps its number and the size it had. */
static bool size_of(struct session *s, uint32_t seq, uint64_t *size)
{
	struct store_message m;
	struct reason why;
	enum store_result result = folder_message(s->inbox, seq, STORE_WANT_SIZE, &m, &why);

	*size = m.size;
	if (result == STORE_OK || result == STORE_GONE)
		return true;
	trouble(s, &why);
	return false;
}

static void handle_stat(struct session *s, const struct pop3_command *c)
{
	uint64_t total = 0, size;
	uint32_t left = 0;

	(void)c;
	for (uint32_t seq = 1; seq <= s->count; seq++) {
		if (is_deleted(s, seq))
			continue;
		if (!size_of(s, seq, &size))
			return;
		total += size;
		left++;
	}
	folder_cache_flush(s->inbox);
	stream_format(&s->stream, "+OK %" PRIu32 " %" PRIu64 "\r\n", left, total);
}

static void handle_list(struct session *s, const struct pop3_command *c)
{
	uint64_t size;

	if (c->has_message) {
		if (size_of(s, c->message, &size))
			stream_format(&s->stream, "+OK %" PRIu32 " %" PRIu64 "\r\n", c->message,
			              size);
		return;
	}
	/* Once before anything is said: a failure in the middle of a list could not be told. */
	for (uint32_t seq = 1; seq <= s->count; seq++)
		if (!size_of(s, seq, &size))
			return;
	folder_cache_flush(s->inbox);
	stream_write(&s->stream, VIEW("+OK\r\n"));
	for (uint32_t seq = 1; seq <= s->count; seq++)
		if (!is_deleted(s, seq) && size_of(s, seq, &size))
			stream_format(&s->stream, "%" PRIu32 " %" PRIu64 "\r\n", seq, size);
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

	if (!open_message(s, c->message, &m, &bytes))
		return;
	stream_format(&s->stream, "+OK %" PRIu64 " octets\r\n", m.size);
	bool has_dots = bytes.len &&
	                (bytes.data[0] == '.' || memmem(bytes.data, bytes.len, "\n.", 2) != NULL);

	if (has_dots || m.converts || bytes.len < STREAM_BUFFER_BYTES)
		write_stuffed(&s->stream, bytes);
	else
		stream_send_file(&s->stream, m.fd, 0, m.size);
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

static void dispatch(struct session *s, struct view line)
{
	struct pop3_command command;
	const char *wrong = pop3_parse(line, &command);

	if (wrong == NULL && command.has_message &&
	    (command.message > s->count || is_deleted(s, command.message)))
		wrong = "no such message";
	if (wrong != NULL) {
		bad(s, wrong);
		return;
	}
	s->command = pop3_table[command.verb].name;
	handlers[command.verb](s, &command);
}

/* ---- a session ---- */

static void converse(struct session *s)
{
	struct view line;

	while (!s->over) {
		switch (stream_line(&s->stream, POP3_LINE_MAX, &line)) {
		case STREAM_OK: dispatch(s, line); break;
		case STREAM_TOO_LONG:
		case STREAM_BARE:
		case STREAM_NUL:
			bad(s, "invalid line: too long, or with a bare CR, bare LF or NUL");
			break;
		case STREAM_TIMEOUT:
			/* RFC 1939 section 3: nothing is removed, nothing is said. */
			log_info("event=timeout account=%s", account_of(s));
			return;
		default:
			if (worker_stopping())
				stream_write(&s->stream,
				             VIEW("-ERR [SYS/TEMP] server shutting down\r\n"));
			return;
		}
	}
}

static void log_begin(struct session *s)
{
	char client[NET_ADDRESS_TEXT_MAX];

	s->begun = true;
	log_info("event=login service=pop3 account=%s client=%s tls=%d session=%" PRIu64,
	         account_of(s), net_address_text(&s->who->client, client), s->who->tls.on,
	         s->who->id);
}

static void log_end(const struct session *s)
{
	log_info("event=logout service=pop3 account=%s bytes_in=%" PRIu64 " bytes_out=%" PRIu64
	         " retrieved=%" PRIu64 " removed=%" PRIu32,
	         account_of(s), s->stream.bytes_in, s->stream.bytes_out, s->retrieved, s->removed);
}

static void open_inbox(struct session *s)
{
	struct reason why;

	if (folder_open(s->store, VIEW("INBOX"), false, &s->inbox, &why) != STORE_OK) {
		refuse(s, &why);
		return;
	}
	s->count = folder_count(s->inbox);
	s->marks = memory_get(s->count + 1);
	stream_write(&s->stream, VIEW("+OK logged in\r\n"));
	log_begin(s);
	converse(s);
	free(s->marks);
	folder_close(&s->inbox);
}

/* RFC 1939 section 3: the maildrop is locked, or the session does not begin. */
static void open_maildrop(struct session *s)
{
	int lock = store_lock_session(s->store);

	if (lock < 0 && errno == EWOULDBLOCK) {
		log_info("event=in-use account=%s", account_of(s));
		stream_write(&s->stream,
		             VIEW("-ERR [IN-USE] mailbox in use by another POP3 session\r\n"));
		return;
	}
	if (lock < 0) {
		struct reason why;

		fail_errno(&why, "lock the mailbox");
		refuse(s, &why);
		return;
	}
	open_inbox(s);
	close(lock);
}

/* The home and nothing else, for good, before the client's first byte is read. */
static void narrow(const char *home)
{
	const struct sandbox_profile profile = {
		.promises = SANDBOX_FILES,
		.paths = { { .path = home, .writable = true } },
		.descriptors_max = DESCRIPTORS_MAX,
		.memory_max = MEMORY_MAX_BYTES + (unsigned long)settings.message_size_max_bytes,
		.worker = true
	};

	sandbox_enter(&profile);
}

static void work(struct wire_in *in, int hub)
{
	struct owner_session o;
	struct session s = { 0 };
	struct reason why;

	(void)hub;
	if (!owner_session_get(in, &o)) {
		log_warn("event=bad-message peer=master reason=\"not a session\"");
		return;
	}
	stream_open(&s.stream, o.fd, (int)settings.pop3d_timeout_ms);
	worker_session(o.fd);
	stream_preload(&s.stream, o.pending);
	s.who = &o;
	if (!store_home_allowed(settings.mail_root, o.home)) {
		fail(&why, "home %s is not below mail.root", log_quote(view_of(o.home)));
		refuse(&s, &why);
	} else if (store_open(o.home, true, o.quota_bytes, &s.store, &why) != STORE_OK) {
		refuse(&s, &why);
	} else {
		narrow(o.home);
		open_maildrop(&s);
		store_close(&s.store);
	}
	stream_flush(&s.stream);
	if (s.begun)
		log_end(&s);
	stream_close(&s.stream);
	/* porter sees the session's end by its token. */
	if (o.token >= 0)
		close(o.token);
}

int main(void)
{
	static struct sandbox_profile profile = { .promises = SANDBOX_FILES | SANDBOX_FORK };
	static struct worker_service service = { .wire = "master",
		                                 .forks = true,
		                                 .confines_itself = true,
		                                 .quit_when_idle_ms = QUIT_IDLE_MS,
		                                 .work = work };

	program_start("pop3d");
	settings_inherit(&settings);
	store_begin();
	profile.paths[0] = (struct sandbox_path){ .path = settings.mail_root, .writable = true };
	program_confine(&profile);
	service.workers_max = (unsigned)settings.pop3d_sessions_max;
	worker_run(&service);
}
