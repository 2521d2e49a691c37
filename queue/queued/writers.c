/* SPDX-License-Identifier: ISC */
/*
 * The writers' side: smtpd, pickup and bounce bring messages (lib/wire/spool.h).
 *
 * What a crash of queued leaves at each step stands in queue/INTERNALS. What a writer says is
 * checked as if it came from a stranger: a captured smtpd must not be able to do more than send
 * mail.
 */
#include "queue/queued/writers.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/wire/hub.h"

struct writers {
	struct writers_setup with;
	struct hub smtpd, pickup, bounce;
	bool stopping;
	bool short_of_space; /* and the log says so */
};

struct writer {
	struct hub_line line;
	int fd; /* -1: no message open */
	struct message *message;
	struct text recipients; /* encoded */
	bool committed;
};

static struct wire_out reply; /* one at a time; its memory is kept */

static struct writers *writers_of(struct hub_line *line)
{
	return line->server->context;
}

static struct writer *writer_of(struct hub_line *line)
{
	return (struct writer *)(void *)line;
}

/* The one end of a message that did not become live. */
static void abandon(struct writer *w)
{
	if (w->fd < 0)
		return;
	journal_remove_file(writers_of(&w->line)->with.journal, w->message->id);
	close(w->fd);
	w->fd = -1;
	w->committed = false;
	message_free(&w->message);
	text_free(&w->recipients);
}

static void refuse(struct writer *w, bool permanent, const char *status, const char *text)
{
	struct spool_refusal r = { .permanent = permanent };

	abandon(w);
	string_put(r.status, sizeof r.status, view_of(status));
	string_put(r.text, sizeof r.text, view_of(text));
	spool_refusal_put(&reply, &r);
	hub_line_send(&w->line, &reply);
}

static void refuse_errno(struct writer *w, const char *what)
{
	log_warn("event=%s reason=\"%m\"", what);
	if (errno == ENOSPC || errno == EDQUOT)
		refuse(w, false, "4.3.1", "the queue's disk is full, try again later");
	else
		refuse(w, false, "4.3.0", "cannot write the message, try again later");
}

/* A writer that does not keep to the protocol is broken or captured. */
static void broken(struct writer *w, const char *why)
{
	abandon(w);
	hub_line_drop(&w->line, why);
}

/* Twice over: the message and what is written meanwhile. The log says once that space is short, and
 * once that it is not. */
static bool space_for(struct writers *ws, uint64_t announced)
{
	uint64_t free_bytes = disk_space(ws->with.disk, loop_now_ms(ws->with.loop));
	bool is_short = free_bytes < (uint64_t)ws->with.settings->queue_space_min_bytes;

	if (is_short != ws->short_of_space)
		log_warn("event=%s free_bytes=%llu queue.space-min=%llu",
		         is_short ? "disk-short" : "disk-again", (unsigned long long)free_bytes,
		         (unsigned long long)ws->with.settings->queue_space_min_bytes);
	ws->short_of_space = is_short;
	return free_bytes >= (uint64_t)ws->with.settings->queue_space_min_bytes + 2 * announced;
}

static void open_message(struct writer *w, struct wire_in *in)
{
	struct writers *ws = writers_of(&w->line);
	struct spool_file file = { .offset = QUEUE_HEADER_BYTES };
	uint64_t announced, id;

	if (!spool_open_get(in, &announced) || w->fd >= 0) {
		broken(w, "unexpected or invalid request for a file");
		return;
	}
	if (ws->stopping) {
		refuse(w, false, "4.3.2", "server shutting down, try again later");
		return;
	}
	if (announced > ws->with.settings->message_size_max_bytes) {
		refuse(w, true, "5.3.4", "message exceeds the size limit");
		return;
	}
	if (!space_for(ws, announced)) {
		refuse(w, false, "4.3.1", "the queue's disk is nearly full, try again later");
		return;
	}
	w->fd = disk_create(ws->with.disk, &id);
	if (w->fd < 0) {
		refuse_errno(w, "create-failed");
		return;
	}
	w->message = message_new(id);
	w->committed = false;
	text_init(&w->recipients, QUEUE_ENVELOPE_MAX - 8192);
	queue_id_text(id, file.id);
	file.fd = w->fd;
	spool_file_put(&reply, &file);
	hub_line_send(&w->line, &reply);
}

static bool add_recipient(struct writer *w, struct wire_in *in)
{
	struct writers *ws = writers_of(&w->line);
	struct envelope_recipient r;

	if (!envelope_recipient_get(in, &r) || r.address[0] == '\0' ||
	    envelope_recipient_has_controls(&r)) {
		broken(w, "invalid recipient");
		return false;
	}
	/* What a writer lets through beyond the setting is its fault, not the sender's. */
	if (w->message->recipient_count >= SPOOL_RECIPIENTS_MAX ||
	    w->message->recipient_count >= (uint32_t)ws->with.settings->recipients_max + 1) {
		broken(w, "too many recipients");
		return false;
	}
	queue_recipient_encode(&w->recipients, &r);
	if (w->recipients.full) {
		broken(w, "recipients too long");
		return false;
	}
	message_add_recipient(w->message, &r);
	return true;
}

/* The rest of the packet; false: the writer is broken. */
static bool add_recipients(struct writer *w, struct wire_in *in)
{
	while (in->rest.len)
		if (!add_recipient(w, in))
			return false;
	return true;
}

static void more_recipients(struct writer *w, struct wire_in *in)
{
	if (w->fd < 0 || w->committed || in->rest.len == 0)
		broken(w, "unexpected recipients");
	else
		add_recipients(w, in);
}

static bool may_claim(const struct writers *ws, const struct hub *hub, enum envelope_origin origin)
{
	if (hub == &ws->smtpd)
		return origin == ENVELOPE_NETWORK || origin == ENVELOPE_AUTHENTICATED ||
		       origin == ENVELOPE_RELAY;
	return origin == (hub == &ws->pickup ? ENVELOPE_MACHINE : ENVELOPE_BOUNCE);
}

static bool envelope_ok(struct writer *w, const struct envelope *e)
{
	return may_claim(writers_of(&w->line), w->line.server, (enum envelope_origin)e->origin) &&
	       !envelope_has_controls(e) && w->message->recipient_count > 0;
}

/* Is the file as long as the writer says? */
static bool size_ok(int fd, uint64_t message_bytes)
{
	struct stat st;

	return fstat(fd, &st) == 0 && message_bytes <= INT64_MAX / 2 &&
	       (uint64_t)st.st_size == QUEUE_HEADER_BYTES + message_bytes && message_bytes > 0;
}

static void log_queued(const struct message *m, const struct envelope *e)
{
	struct view origin = envelope_word(&envelope_fields[ENVELOPE_AT_origin], e->origin);
	char id[QUEUE_ID_CHARS + 1], client[NET_ADDRESS_TEXT_MAX] = "-";

	queue_id_text(m->id, id);
	if (e->client.family)
		net_address_text(&e->client, client);
	log_info(
		"id=%s event=queued from=<%s> bytes=%llu recipients=%u origin=%.*s client=%s account=%s",
		id, log_quote(view_of(e->sender)), (unsigned long long)m->message_bytes,
		m->recipient_count, VIEW_ARG(origin), client,
		e->account[0] ? log_quote(view_of(e->account)) : "-");
}

/*
 * Envelope, then header: between the two writes the file is still an open one. After them it is
 * committed but may be torn by a power cut until the writer has synced it: nobody has been told
 * anything yet.
 */
static void commit(struct writer *w, struct wire_in *in)
{
	struct writers *ws = writers_of(&w->line);
	struct envelope e;
	struct spool_message written;
	struct queue_header header = { 0 };
	static struct text head;

	if (w->fd < 0 || w->committed || !spool_commit_get(in, &e, &written)) {
		broken(w, "invalid or unexpected envelope");
		return;
	}
	if (!add_recipients(w, in))
		return;
	if (!wire_end(in) || !envelope_ok(w, &e)) {
		broken(w, "invalid or unexpected envelope");
		return;
	}
	if (written.bytes > ws->with.settings->message_size_max_bytes + (64 << 10)) {
		refuse(w, true, "5.3.4", "message exceeds the size limit");
		return;
	}
	if (!size_ok(w->fd, written.bytes)) {
		broken(w, "the file does not have the announced length");
		return;
	}
	header.id = w->message->id;
	header.message_bytes = written.bytes;
	header.arrived_us = clock_wall_us();
	memcpy(header.checksum, written.checksum, sizeof header.checksum);
	if (head.max == 0)
		text_init(&head, QUEUE_ENVELOPE_MAX);
	text_clear(&head);
	queue_envelope_encode(&head, &e);
	if (disk_commit(ws->with.disk, w->fd, &header, &head, &w->recipients) < 0) {
		refuse_errno(w, "commit-failed");
		return;
	}
	if (head.cap > WIRE_MESSAGE_MAX)
		text_free(&head);
	text_free(&w->recipients);
	message_take_envelope(w->message, &e, &header);
	w->committed = true;
	log_queued(w->message, &e);
	wire_begin(&reply, SPOOL_COMMITTED);
	hub_line_send(&w->line, &reply);
}

/* The writer has synced: the message is ours from here on, also if the answer does not reach it. */
static void make_live(struct writer *w, struct wire_in *in)
{
	struct writers *ws = writers_of(&w->line);
	struct message *m = w->message;

	if (!wire_end(in) || w->fd < 0 || !w->committed) {
		broken(w, "no committed message");
		return;
	}
	/* Without the byte it is a committed file, which recovery makes live as well. */
	if (queuedir_make_live(w->fd) < 0)
		log_warn("event=live-mark-failed reason=\"%m\"");
	close(w->fd);
	w->fd = -1;
	w->message = NULL;
	w->committed = false;
	wire_begin(&reply, SPOOL_ACCEPTED);
	hub_line_send(&w->line, &reply);
	ws->with.accepted(ws->with.context, m);
}

static void opened(struct hub_line *line)
{
	writer_of(line)->fd = -1;
}

static void closed(struct hub_line *line)
{
	abandon(writer_of(line));
}

static void message(struct hub_line *line, struct wire_in *in)
{
	struct writer *w = writer_of(line);

	switch (in->type) {
	case SPOOL_OPEN: open_message(w, in); break;
	case SPOOL_RECIPIENT: more_recipients(w, in); break;
	case SPOOL_COMMIT: commit(w, in); break;
	case SPOOL_LIVE: make_live(w, in); break;
	case SPOOL_ABANDON: abandon(w); break;
	default: broken(w, "message of an unknown type"); break;
	}
}

static void serve(struct writers *ws, struct hub *hub, const char *wire, const int *workers_max)
{
	*hub = (struct hub){
		.loop = ws->with.loop,
		.protocol = "spool",
		.line_size = sizeof(struct writer),
		.lines_max = WRITERS_MAX,
		.workers_max = workers_max,
		.context = ws,
		.opened = opened,
		.message = message,
		.closed = closed,
	};
	hub_start(hub, program_need_fd(wire));
}

struct writers *writers_start(const struct writers_setup *setup)
{
	struct writers *ws = memory_get(sizeof *ws);

	ws->with = *setup;
	serve(ws, &ws->smtpd, "smtpd.spool", &ws->with.settings->smtpd_sessions_max);
	serve(ws, &ws->pickup, "pickup.spool", NULL);
	serve(ws, &ws->bounce, "bounce.spool", NULL);
	return ws;
}

void writers_stop(struct writers *ws)
{
	ws->stopping = true;
}

/* id 0: of any message. */
static bool any_open(const struct hub *hub, uint64_t id)
{
	LIST_EACH(line, &hub->lines, struct hub_line, all)
		if (writer_of(line)->fd >= 0 && (id == 0 || writer_of(line)->message->id == id))
			return true;
	return false;
}

static void abandon_all(const struct hub *hub)
{
	LIST_EACH(line, &hub->lines, struct hub_line, all)
		abandon(writer_of(line));
}

void writers_end(struct writers *ws)
{
	abandon_all(&ws->smtpd);
	abandon_all(&ws->pickup);
	abandon_all(&ws->bounce);
}

bool writers_have(const struct writers *ws, uint64_t id)
{
	return any_open(&ws->smtpd, id) || any_open(&ws->pickup, id) || any_open(&ws->bounce, id);
}

bool writers_busy(const struct writers *ws)
{
	return writers_have(ws, 0);
}
