/* SPDX-License-Identifier: ISC */
#include "lib/queue/spooling.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/queue/checksum.h"
#include "lib/queue/queuefile.h"
#include "lib/wire/dial.h"

static int refuse(struct spool_refusal *refusal, const char *status, const char *text)
{
	refusal->permanent = refusal->own_fault = false;
	string_put(refusal->status, sizeof refusal->status, view_of(status));
	string_put(refusal->text, sizeof refusal->text, view_of(text));
	return -1;
}

static bool is_begun(const struct spool_writer *w)
{
	return w->fd >= 0 || w->waits;
}

static void forget_file(struct spool_writer *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
	w->waits = false;
	text_clear(&w->buffer);
	text_clear(&w->lines);
	wire_begin(&w->recipients, SPOOL_RECIPIENT);
}

static void hang_up(struct spool_writer *w)
{
	if (w->queued >= 0)
		close(w->queued);
	w->queued = -1;
	w->next_id[0] = '\0';
}

/* The line is lost or out of step: queued removes the file when it sees the end of the line. */
static int line_lost(struct spool_writer *w, enum wire_result r, struct spool_refusal *refusal)
{
	const char *reason = wire_reason(r);

	if (is_begun(w))
		log_warn("id=%s event=spool-lost reason=\"%s\"", w->id, log_text(view_of(reason)));
	else
		log_warn("event=spool-lost reason=\"%s\"", log_text(view_of(reason)));
	hang_up(w);
	forget_file(w);
	refuse(refusal, "4.3.0", "queued does not respond, try again later");
	refusal->own_fault = true;
	return -1;
}

/* SO_RCVTIMEO instead of wire_call's poll: one system call less for every answer. */
static void dial_up(struct spool_writer *w)
{
	struct timeval t = { SPOOL_ANSWER_TIMEOUT_MS / 1000, 0 };

	if (w->queued >= 0)
		return;
	w->queued = dial("queued.spool", "spool");
	if (w->queued < 0)
		return;
	setsockopt(w->queued, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
	setsockopt(w->queued, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
}

/* Has this message been ended? Else it is an older one, which was over when that came. It may have
 * another id than the one that was named for it, and a greater one. */
static bool is_ended(const struct spool_writer *w, struct wire_in *in,
                     struct spool_refusal *refusal)
{
	char id[SPOOL_ID_MAX];

	return spool_ended_get(in, id, refusal) && is_begun(w) && strcmp(id, w->id) >= 0;
}

/* Sends `out` and takes the answer. *ended: that is that the message was ended, with the refusal.
 */
static enum wire_result ask(struct spool_writer *w, const struct wire_out *out, struct wire_in *in,
                            bool *ended, struct spool_refusal *refusal)
{
	*in = (struct wire_in){ 0 };
	*ended = false;
	enum wire_result r = w->queued < 0 ? WIRE_ERROR : wire_send(w->queued, out);

	if (r == WIRE_OK)
		r = wire_receive(w->queued, in);
	while (r == WIRE_OK && in->type == SPOOL_ENDED && !(*ended = is_ended(w, in, refusal))) {
		wire_in_close(in);
		r = wire_receive(w->queued, in);
	}
	return r;
}

/* An answer that is not the one wanted: queued's refusal, or nonsense. */
static int refused(struct spool_writer *w, struct wire_in *in, bool ended,
                   struct spool_refusal *refusal)
{
	bool told = ended || (in->type == SPOOL_REFUSED && spool_refusal_get(in, refusal));

	wire_in_close(in);
	if (!told)
		return line_lost(w, WIRE_OK, refusal);
	forget_file(w);
	return -1;
}

static void writer_prepare(struct spool_writer *w)
{
	if (w->buffer.max == 0)
		text_init(&w->buffer, SPOOL_HEADER_BYTES + SPOOL_BUFFER_BYTES);
	if (w->lines.max == 0)
		text_init(&w->lines, SPOOL_LINES_BYTES);
	if (w->hash == NULL)
		w->hash = checksum_new();
	checksum_begin(w->hash);
	text_clear(&w->buffer);
	text_clear(&w->lines);
	wire_begin(&w->recipients, SPOOL_RECIPIENT);
	w->written = w->unheard = 0;
}

static void take_next(struct spool_writer *w, const char *next)
{
	string_put(w->next_id, sizeof w->next_id, view_of(next));
	w->next_id_ms = clock_ms();
}

/* May the message wait for its file until all of it is there? */
static bool may_wait(const struct spool_writer *w)
{
	return w->queued >= 0 && w->next_id[0] && w->open.announced_bytes < SPOOL_BUFFER_BYTES &&
	       clock_ms() - w->next_id_ms <= SPOOL_ID_FRESH_MS;
}

static int wait(struct spool_writer *w)
{
	static const char no_header[SPOOL_HEADER_BYTES];

	w->waits = true;
	memcpy(w->id, w->next_id, sizeof w->id);
	memcpy(w->open.id, w->next_id, sizeof w->open.id);
	w->next_id[0] = '\0';
	text_add(&w->buffer, (struct view){ no_header, sizeof no_header });
	return 0;
}

/* The id that was named, if any, is of this line alone, and used up. */
static enum wire_result ask_for_file(struct spool_writer *w, struct wire_in *in, bool *ended,
                                     struct spool_refusal *refusal)
{
	struct spool_open open = w->open;
	struct wire_out out = { 0 };

	if (w->queued < 0)
		open.id[0] = '\0';
	w->next_id[0] = '\0';
	dial_up(w);
	spool_open_put(&out, &open);
	enum wire_result r = ask(w, &out, in, ended, refusal);

	wire_out_free(&out);
	return r;
}

static int open_file(struct spool_writer *w, struct spool_refusal *refusal)
{
	struct spool_file file;
	struct wire_in in;
	bool ended, fresh = w->queued < 0;
	enum wire_result r = ask_for_file(w, &in, &ended, refusal);

	if (r == WIRE_CLOSED && !fresh) { /* queued was started again since the last message */
		hang_up(w);
		r = ask_for_file(w, &in, &ended, refusal);
	}
	if (r != WIRE_OK)
		return line_lost(w, r, refusal);
	if (in.type != SPOOL_FILE)
		return refused(w, &in, ended, refusal);
	if (!spool_file_get(&in, &file)) {
		wire_in_close(&in);
		return line_lost(w, WIRE_OK, refusal);
	}
	memcpy(w->id, file.id, sizeof w->id);
	take_next(w, file.next);
	w->offset = file.offset;
	w->fd = file.fd;
	w->waits = false;
	return 0;
}

int spool_begin(struct spool_writer *w, const struct spool_open *open,
                struct spool_refusal *refusal)
{
	spool_abandon(w);
	writer_prepare(w);
	w->open = *open;
	w->open.id[0] = '\0';
	return may_wait(w) ? wait(w) : open_file(w, refusal);
}

static bool has_begun(const struct spool_writer *w, struct spool_refusal *refusal)
{
	if (is_begun(w))
		return true;
	refuse(refusal, "4.3.0", "the message has no file");
	return false;
}

/* Now and then, and not before what is small has been written whole. */
static int listen_to_queued(struct spool_writer *w, struct spool_refusal *refusal)
{
	struct wire_in in;

	if (w->unheard < SPOOL_LISTEN_BYTES)
		return 0;
	w->unheard = 0;
	for (;;) {
		enum wire_result r = wire_receive_now(w->queued, &in);

		if (r == WIRE_AGAIN)
			return 0;
		if (r != WIRE_OK)
			return line_lost(w, r, refusal);
		if (in.type != SPOOL_ENDED || is_ended(w, &in, refusal))
			return refused(w, &in, in.type == SPOOL_ENDED, refusal);
		wire_in_close(&in);
	}
}

static int write_failed(struct spool_writer *w, const char *event, struct spool_refusal *refusal)
{
	bool full = errno == ENOSPC || errno == EDQUOT;

	if (errno == EFBIG)
		limit_reached(LIMIT_FILE);
	log_warn("id=%s event=%s reason=\"%m\"", w->id, event);
	spool_abandon(w);
	return refuse(refusal, full ? "4.3.1" : "4.3.0",
	              full ? "the queue's disk is full, try again later"
	                   : "cannot write the message, try again later");
}

/* All of it, or the disk is full or broken. */
static int write_all(struct spool_writer *w, struct view v, struct spool_refusal *refusal)
{
	if (listen_to_queued(w, refusal) != 0)
		return -1;
	if (pwrite_whole(w->fd, v.data, v.len, w->offset) == 0) {
		w->offset += v.len;
		w->unheard += v.len;
		return 0;
	}
	return write_failed(w, "spool-write-failed", refusal);
}

/* The file of one that can wait no longer. */
static int end_waiting(struct spool_writer *w, struct spool_refusal *refusal)
{
	if (!w->waits)
		return 0;
	text_drop_front(&w->buffer, SPOOL_HEADER_BYTES);
	return open_file(w, refusal);
}

static int flush(struct spool_writer *w, struct spool_refusal *refusal)
{
	if (end_waiting(w, refusal) != 0)
		return -1;
	int result = write_all(w, text_view(&w->buffer), refusal);

	text_clear(&w->buffer);
	return result;
}

int spool_write(struct spool_writer *w, struct view bytes, struct spool_refusal *refusal)
{
	if (!has_begun(w, refusal))
		return -1;
	checksum_add(w->hash, bytes);
	w->written += bytes.len;
	if (!text_has_room(&w->buffer, bytes.len) && flush(w, refusal) != 0)
		return -1;
	if (!text_has_room(&w->buffer, bytes.len))
		return write_all(w, bytes, refusal);
	text_add(&w->buffer, bytes);
	return 0;
}

int spool_add_recipient(struct spool_writer *w, const struct envelope_recipient *r,
                        struct spool_refusal *refusal)
{
	if (!has_begun(w, refusal))
		return -1;
	if (!w->lines.full)
		queue_recipient_encode(&w->lines, r);
	envelope_recipient_put(&w->recipients, r);
	if (w->recipients.bytes.len < SPOOL_PACKET_BYTES)
		return 0;
	if (end_waiting(w, refusal) != 0)
		return -1;
	enum wire_result sent = wire_send(w->queued, &w->recipients);

	wire_begin(&w->recipients, SPOOL_RECIPIENT);
	return sent == WIRE_OK ? 0 : line_lost(w, sent, refusal);
}

/* One step of the end: says it and waits for the one answer that lets us go on. */
static int step(struct spool_writer *w, const struct wire_out *out, enum spool_type wanted,
                struct spool_refusal *refusal)
{
	struct wire_in in;
	bool ended;
	enum wire_result r = ask(w, out, &in, &ended, refusal);

	if (r != WIRE_OK)
		return line_lost(w, r, refusal);
	if (in.type != wanted || !wire_end(&in))
		return refused(w, &in, ended, refusal);
	return 0;
}

/* The envelope behind the last of the text, as queued would write it there: then it need not.
 * false: it is too long, and queued does. */
static bool add_envelope(struct spool_writer *w, const struct envelope *e)
{
	size_t before = w->buffer.len;

	queue_envelope_encode(&w->buffer, e);
	if (!w->lines.full && !w->buffer.full && text_add(&w->buffer, text_view(&w->lines)))
		return true;
	text_cut_back(&w->buffer, before);
	return false;
}

/*
 * What a crash leaves after each call: up to COMMITTED an open file, which recovery moves to torn/;
 * after it a file whose header says committed but whose bytes may be torn (moved there, by its
 * checksums) or whole (live again: at worst a duplicate, since the client was told nothing); after
 * the sync a whole one. After the sync every start takes it, and a queued that runs hears that it
 * is to be taken, or the sending fails (spool.h): no answer is waited for.
 */
static int sync_and_say(struct spool_writer *w, struct wire_out *out, struct spool_refusal *refusal)
{
	if (fsync(w->fd) < 0)
		return write_failed(w, "spool-sync-failed", refusal);
	wire_begin(out, SPOOL_LIVE);
	enum wire_result sent = wire_send(w->queued, out);

	return sent == WIRE_OK ? 0 : line_lost(w, sent, refusal);
}

static void add_recipients(const struct spool_writer *w, struct wire_out *out)
{
	text_add(&out->bytes, view_skip(text_view(&w->recipients.bytes), 1));
}

static int finish_steps(struct spool_writer *w, const struct envelope *e,
                        const struct spool_message *m, struct wire_out *out,
                        struct spool_refusal *refusal)
{
	if (flush(w, refusal) != 0)
		return -1;
	spool_commit_put(out, e, m);
	add_recipients(w, out);
	if (step(w, out, SPOOL_COMMITTED, refusal) != 0)
		return -1;
	return sync_and_say(w, out, refusal);
}

/* The same of one that has waited: the file is empty until all that belongs into it is written. */
static int finish_whole(struct spool_writer *w, const struct envelope *e,
                        const struct spool_message *m, struct wire_out *out,
                        struct spool_refusal *refusal)
{
	struct spool_sealed sealed;
	struct wire_in in;
	bool ended;

	spool_whole_put(out, &w->open, e, m);
	add_recipients(w, out);
	enum wire_result r = ask(w, out, &in, &ended, refusal);

	/* queued was started again since it named the id; or it is broken with us, and says so once
	 * more. */
	if (r == WIRE_CLOSED) {
		hang_up(w);
		return finish_steps(w, e, m, out, refusal);
	}
	if (r != WIRE_OK)
		return line_lost(w, r, refusal);
	if (in.type != SPOOL_SEALED)
		return refused(w, &in, ended, refusal);
	if (!spool_sealed_get(&in, &sealed)) {
		wire_in_close(&in);
		return line_lost(w, WIRE_OK, refusal);
	}
	memcpy(w->id, sealed.id, sizeof w->id);
	w->fd = sealed.fd;
	w->waits = false;
	take_next(w, sealed.next);
	text_put_front(&w->buffer, (struct view){ sealed.header, sizeof sealed.header });
	struct view file = text_view(&w->buffer);

	if (pwrite_whole(w->fd, file.data, file.len, 0) < 0)
		return write_failed(w, "spool-write-failed", refusal);
	return sync_and_say(w, out, refusal);
}

int spool_finish(struct spool_writer *w, const struct envelope *e, struct spool_refusal *refusal)
{
	struct wire_out out = { 0 };

	if (!has_begun(w, refusal))
		return -1;
	struct spool_message m = { .bytes = w->written };

	checksum_end(w->hash, m.checksum);
	bool whole = add_envelope(w, e) && w->waits;
	int result = whole ? finish_whole(w, e, &m, &out, refusal)
	                   : finish_steps(w, e, &m, &out, refusal);

	if (result == 0 && w->open.id[0] && strcmp(w->id, w->open.id) != 0)
		log_info("id=%s event=id-changed was=%s", w->id, w->open.id);
	wire_out_free(&out);
	forget_file(w);
	return result;
}

void spool_abandon(struct spool_writer *w)
{
	struct wire_out out = { 0 };

	if (w->fd < 0) {
		forget_file(w); /* queued knows nothing of one that waits */
		return;
	}
	wire_begin(&out, SPOOL_ABANDON);
	if (w->queued >= 0 && wire_send(w->queued, &out) != WIRE_OK)
		hang_up(w);
	wire_out_free(&out);
	forget_file(w);
}

void spool_writer_free(struct spool_writer *w)
{
	spool_abandon(w);
	hang_up(w);
	text_free(&w->buffer);
	text_free(&w->lines);
	wire_out_free(&w->recipients);
	free(w->hash);
	w->hash = NULL;
}
