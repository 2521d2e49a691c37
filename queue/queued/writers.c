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
#include "lib/base/pace.h"
#include "lib/wire/hub.h"
#include "queue/queued/room.h"

enum {
	/* For recipients of all messages that are not committed, beside one that has as many as one
	 * may, each with the longest parameters. */
	MEMORY_MAX_BYTES = 64 << 20,
	RECIPIENT_MAX_BYTES = 4096,
	ENDS_LOGGED_PER_SECOND = 4
};

struct writers {
	struct writers_setup with;
	struct hub smtpd, pickup, bounce;
	struct room room;
	size_t memory_bytes; /* of recipients */
	struct pace ends;
	bool stopping;
};

struct writer {
	struct hub_line line;
	int fd;           /* -1: no message open */
	uint64_t next_id; /* that it has been told for its next message; 0: none */
	struct message *message;
	struct text recipients; /* encoded */
	struct room_part part;
	size_t memory_bytes;
	bool committed;
	bool ended; /* the message was, and its writer may not know yet */
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

/* Of the recipients, which a writer may send without ever committing them. */
static void count_memory(struct writer *w, size_t bytes)
{
	struct writers *ws = writers_of(&w->line);

	ws->memory_bytes = ws->memory_bytes - w->memory_bytes + bytes;
	w->memory_bytes = bytes;
}

/* The one end of a message that did not become live. Its writer may keep the descriptor. */
static void abandon(struct writer *w)
{
	if (w->fd < 0)
		return;
	if (w->committed)
		log_info("id=%s event=abandoned", message_name(w->message));
	if (ftruncate(w->fd, 0) < 0)
		log_warn("id=%s event=truncate-failed reason=\"%m\"", message_name(w->message));
	journal_remove_file(writers_of(&w->line)->with.journal, w->message->id);
	close(w->fd);
	w->fd = -1;
	w->committed = false;
	room_give_back(&writers_of(&w->line)->room, &w->part, true);
	count_memory(w, 0);
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

/* ---- room ---- */

/* Others need the room. */
static void end_message(struct writer *w, const char *reason)
{
	struct spool_refusal r = { .status = "4.3.1" };
	struct writers *ws = writers_of(&w->line);
	unsigned more;

	if (pace_says(&ws->ends, loop_now_ms(ws->with.loop), ENDS_LOGGED_PER_SECOND, &more))
		log_warn(
			"id=%s event=message-ended bytes=%llu free_bytes=%llu reserved_bytes=%llu reason=\"%s\" more=%u",
			message_name(w->message),
			(unsigned long long)w->part.reserved.written_bytes,
			(unsigned long long)ws->room.reserve.free_bytes,
			(unsigned long long)ws->room.reserve.unwritten_bytes,
			log_text(view_of(reason)), more);
	string_print(r.text, sizeof r.text, "%s, try again later", reason);
	spool_ended_put(&reply, message_name(w->message), &r);
	abandon(w);
	w->ended = true;
	hub_line_send(&w->line, &reply);
}

static struct writer *writer_at(struct room_part *part)
{
	return list_owner(part, struct writer, part);
}

static void end_part(struct room_part *part, const char *reason)
{
	end_message(writer_at(part), reason);
}

/* Whose message it is, where room is shared out. */
static void owner_of(const struct writer *w, const struct spool_open *o, struct share_path *out)
{
	const struct writers *ws = writers_of((struct hub_line *)&w->line);
	const char *wire = w->line.server == &ws->pickup ? "pickup" : "bounce";

	if (w->line.server == &ws->smtpd) {
		net_address_owners(&o->client, out);
		return;
	}
	*out = (struct share_path){ 0 };
	share_path_add(out, wire, strlen(wire));
	while (out->levels < NET_OWNERS)
		share_path_add(out, &o->uid, sizeof o->uid);
}

static bool take_room(struct writer *w, const struct spool_open *o)
{
	struct share_path owner;

	owner_of(w, o, &owner);
	return room_take(&writers_of(&w->line)->room, &w->part, o->announced_bytes, &owner);
}

/* true: refused. */
static bool refuse_open(struct writer *w, const struct spool_open *o)
{
	struct writers *ws = writers_of(&w->line);

	if (ws->stopping && o->id[0] == '\0') /* who has an id may have begun */
		refuse(w, false, "4.3.2", "server shutting down, try again later");
	else if (o->announced_bytes > ws->with.settings->message_size_max_bytes)
		refuse(w, true, "5.3.4", "message exceeds the size limit");
	else if (!take_room(w, o))
		refuse(w, false, "4.3.1", "the queue's disk is nearly full, try again later");
	else
		return false;
	return true;
}

/* It may ask for the id that it was told, and no other; once. */
static bool id_ok(struct writer *w, const struct spool_open *o, uint64_t *id)
{
	uint64_t told = w->next_id;

	w->next_id = *id = 0;
	return o->id[0] == '\0' || (told != 0 && queue_id_parse(view_of(o->id), id) && *id == told);
}

/* Empty: there is to be no next one. */
static void tell_next(struct writer *w, char out[SPOOL_ID_MAX])
{
	struct writers *ws = writers_of(&w->line);

	out[0] = '\0';
	if (ws->stopping)
		return;
	w->next_id = disk_next_id(ws->with.disk);
	queue_id_text(w->next_id, out);
}

/* id: as disk_create wants it. false: refused. */
static bool make_file(struct writer *w, const struct spool_open *open, uint64_t id)
{
	struct writers *ws = writers_of(&w->line);

	if (refuse_open(w, open))
		return false;
	w->fd = disk_create(ws->with.disk, &id);
	if (w->fd < 0) {
		room_give_back(&ws->room, &w->part, true);
		refuse_errno(w, "create-failed");
		return false;
	}
	w->part.fd = w->fd;
	w->message = message_new(id);
	w->committed = false;
	text_init(&w->recipients, QUEUE_ENVELOPE_MAX - 8192);
	return true;
}

static void open_message(struct writer *w, struct wire_in *in)
{
	struct spool_file file = { .offset = QUEUE_HEADER_BYTES };
	struct spool_open open;
	uint64_t id;

	w->ended = false;
	if (!spool_open_get(in, &open) || w->fd >= 0 || !id_ok(w, &open, &id)) {
		broken(w, "unexpected or invalid request for a file");
		return;
	}
	if (!make_file(w, &open, id))
		return;
	queue_id_text(w->message->id, file.id);
	tell_next(w, file.next);
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
	count_memory(w, message_memory(w->message) + w->recipients.cap);
	return true;
}

static size_t memory_max(const struct writers *ws)
{
	return MEMORY_MAX_BYTES + (size_t)ws->with.settings->recipients_max * RECIPIENT_MAX_BYTES;
}

/* Who holds the most is ended. An honest writer sends recipients and commits. */
static bool bound_memory(struct writer *w)
{
	struct writers *ws = writers_of(&w->line);

	while (ws->memory_bytes > memory_max(ws)) {
		struct writer *most = w;

		LIST_EACH(part, &ws->room.reserve.all, struct room_part, reserved.link)
			if (writer_at(part)->memory_bytes > most->memory_bytes)
				most = writer_at(part);
		end_message(most, "too many recipients are being taken");
	}
	return w->fd >= 0;
}

/* The rest of the packet; false: the writer is broken. */
static bool add_recipients(struct writer *w, struct wire_in *in)
{
	while (in->rest.len)
		if (!add_recipient(w, in))
			return false;
	return bound_memory(w);
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

/* Static, until the next one. */
static struct text *encode_head(const struct envelope *e)
{
	static struct text head;

	if (head.max == 0)
		text_init(&head, QUEUE_ENVELOPE_MAX);
	text_clear(&head);
	queue_envelope_encode(&head, e);
	return &head;
}

/* Is the file as long as the writer says, with the envelope or without? */
static bool size_ok(int fd, uint64_t message_bytes, uint64_t envelope_bytes, bool *has_envelope)
{
	uint64_t bytes = QUEUE_HEADER_BYTES + message_bytes, size;
	struct stat st;

	if (message_bytes == 0 || message_bytes > INT64_MAX / 2 || fstat(fd, &st) < 0)
		return false;
	size = (uint64_t)st.st_size;
	*has_envelope = size == bytes + envelope_bytes;
	return *has_envelope || size == bytes;
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

static struct queue_header header_of(const struct writer *w, const struct spool_message *written)
{
	struct queue_header header = { .id = w->message->id,
		                       .message_bytes = written->bytes,
		                       .arrived_us = clock_wall_us() };

	memcpy(header.checksum, written->checksum, sizeof header.checksum);
	return header;
}

static void take_committed(struct writer *w, const struct envelope *e,
                           const struct queue_header *header, struct text *head)
{
	if (head->cap > WIRE_MESSAGE_MAX)
		text_free(head);
	text_free(&w->recipients);
	count_memory(w, 0);
	room_give_back(&writers_of(&w->line)->room, &w->part, false);
	message_take_envelope(w->message, e, header);
	w->committed = true;
	log_queued(w->message, e);
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
	struct queue_header header;
	bool has_envelope;

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
	struct text *head = encode_head(&e);

	if (!size_ok(w->fd, written.bytes, head->len + w->recipients.len, &has_envelope)) {
		broken(w, "the file does not have the announced length");
		return;
	}
	header = header_of(w, &written);
	if (disk_commit(ws->with.disk, w->fd, &header, head, &w->recipients, has_envelope) < 0) {
		refuse_errno(w, "commit-failed");
		return;
	}
	take_committed(w, &e, &header, head);
	wire_begin(&reply, SPOOL_COMMITTED);
	hub_line_send(&w->line, &reply);
}

/*
 * All in one: the writer has the message still, and gets the header for it. What it writes is as
 * good as what it says: if that is not what is sealed it has damaged its own message.
 */
static void seal_whole(struct writer *w, struct wire_in *in)
{
	struct writers *ws = writers_of(&w->line);
	struct spool_sealed sealed;
	struct spool_message written;
	struct spool_open open;
	struct envelope e;
	uint64_t id;

	w->ended = false;
	if (w->fd >= 0 || !spool_whole_get(in, &open, &e, &written) || !id_ok(w, &open, &id) ||
	    id == 0 || written.bytes == 0 || written.bytes > SPOOL_WHOLE_MAX_BYTES) {
		broken(w, "invalid or unexpected message");
		return;
	}
	open.announced_bytes = written.bytes;
	if (!make_file(w, &open, id) || !add_recipients(w, in))
		return;
	if (!wire_end(in) || !envelope_ok(w, &e)) {
		broken(w, "invalid or unexpected envelope");
		return;
	}
	struct text *head = encode_head(&e);
	struct queue_header header = header_of(w, &written);

	if (disk_seal(ws->with.disk, &header, head, &w->recipients, sealed.header) < 0) {
		refuse_errno(w, "commit-failed");
		return;
	}
	take_committed(w, &e, &header, head);
	queue_id_text(w->message->id, sealed.id);
	tell_next(w, sealed.next);
	sealed.fd = w->fd;
	spool_sealed_put(&reply, &sealed);
	hub_line_send(&w->line, &reply);
}

/* The writer has synced: the message is ours from here on, and its client may know. */
static struct message *make_live(struct writer *w)
{
	struct message *m = w->message;

	/* Without the byte it is a committed file, which recovery makes live as well. */
	if (queuedir_make_live(w->fd) < 0)
		log_warn("event=live-mark-failed reason=\"%m\"");
	close(w->fd);
	w->fd = -1;
	w->message = NULL;
	w->committed = false;
	return m;
}

static void hand_on(struct writer *w)
{
	struct writers *ws = writers_of(&w->line);

	ws->with.accepted(ws->with.context, make_live(w));
}

static void live(struct writer *w, struct wire_in *in)
{
	if (!wire_end(in) || w->fd < 0 || !w->committed)
		broken(w, "no committed message");
	else
		hand_on(w);
}

static bool is_written(const struct writer *w)
{
	bool whole;

	return size_ok(w->fd, w->message->message_bytes, w->message->envelope_bytes, &whole) &&
	       whole;
}

/* The line has ended, with something that its writer could still send: it has said 250 then. So it
 * may have where nobody can tell, and all is there. */
static bool has_synced(const struct writer *w)
{
	if (w->fd < 0 || !w->committed)
		return false;
	return w->line.unheard == SPOOL_LIVE || (w->line.unheard == WIRE_UNREAD && is_written(w));
}

static void opened(struct hub_line *line)
{
	writer_of(line)->fd = -1;
}

static void closed(struct hub_line *line)
{
	struct writer *w = writer_of(line);

	if (has_synced(w))
		hand_on(w);
	else
		abandon(w);
}

static void message(struct hub_line *line, struct wire_in *in)
{
	struct writer *w = writer_of(line);

	/* Of the message that was ended: its writer hears that as the answer. */
	if (w->ended && in->type != SPOOL_OPEN && in->type != SPOOL_WHOLE)
		return;
	switch (in->type) {
	case SPOOL_OPEN: open_message(w, in); break;
	case SPOOL_RECIPIENT: more_recipients(w, in); break;
	case SPOOL_COMMIT: commit(w, in); break;
	case SPOOL_WHOLE: seal_whole(w, in); break;
	case SPOOL_LIVE: live(w, in); break;
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
	ws->room = (struct room){ .loop = setup->loop,
		                  .settings = setup->settings,
		                  .disk = setup->disk,
		                  .end = end_part };
	room_start(&ws->room);
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

/* Nothing more can be said by then. */
static void end_all(const struct hub *hub)
{
	LIST_EACH(line, &hub->lines, struct hub_line, all) {
		struct writer *w = writer_of(line);

		hub_line_drop(line, NULL);
		if (has_synced(w)) {
			struct message *m = make_live(w);

			message_free(&m); /* the next start takes it */
		} else {
			abandon(w);
		}
	}
}

void writers_end(struct writers *ws)
{
	end_all(&ws->smtpd);
	end_all(&ws->pickup);
	end_all(&ws->bounce);
}

bool writers_have(const struct writers *ws, uint64_t id)
{
	return any_open(&ws->smtpd, id) || any_open(&ws->pickup, id) || any_open(&ws->bounce, id);
}

bool writers_busy(const struct writers *ws)
{
	return writers_have(ws, 0);
}
