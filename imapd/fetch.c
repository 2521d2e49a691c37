/* SPDX-License-Identifier: ISC */
/* FETCH and UID FETCH (RFC 3501 sections 6.4.5, 6.4.8). */
#include <inttypes.h>

#include "imapd/answer.h"
#include "imapd/command.h"
#include "imapd/fetchitem.h"
#include "imapd/fetchsection.h"
#include "imapd/flags.h"
#include "imapd/summary.h"
#include "lib/base/log.h"
#include "lib/mail/date.h"

/* \Seen is set in rounds, behind the messages of the round, and of those alone that were sent whole
 * and taken by the system: one write to the index for a round. A client that goes away early has no
 * message marked that it did not get, and may get one again that it had. */
enum { SEEN_ROUND = 64 };

struct fetch {
	struct session *s;
	struct fetch_request request;
	unsigned want;            /* STORE_WANT_ bits */
	bool begun;               /* the answer in work has an item */
	bool incomplete;          /* one of its sections could not be sent */
	enum store_result failed; /* why a message could not be told: STORE_GONE is least of all */
	struct reason why;
	struct text line; /* of the answer, what is not in the stream yet */
};

/* ---- one item ---- */

static void write_out(struct fetch *f)
{
	stream_write(&f->s->stream, text_view(&f->line));
	text_clear(&f->line);
}

static void write_date(struct text *out, int64_t when_s)
{
	char date[DATE_TEXT_MAX];

	date_imap((struct date){ when_s, date_local_zone(when_s) }, date);
	text_format(out, "INTERNALDATE \"%s\"", date);
}

static void note_failure(struct fetch *f, uint32_t seq, enum store_result result,
                         const struct reason *why)
{
	if (f->failed == STORE_OK || f->failed == STORE_GONE) {
		f->failed = result;
		f->why = *why;
	}
	if (result != STORE_GONE)
		log_warn("event=fetch-failed account=%s message=%u reason=%s",
		         log_quote(view_of(f->s->who.address)), folder_uid(f->s->folder, seq),
		         log_quote(view_of(why->text)));
}

/* In the file as it is: sendfile. With bare LF in the file: from memory, where content_whole has
 * put it. */
static void send_range(struct fetch *f, struct content *c, const struct section_bytes *b)
{
	struct reason why;

	text_format(&f->line, "{%" PRIu64 "}\r\n", b->length);
	write_out(f);
	if (c->message.converts)
		stream_write(&f->s->stream,
		             view_take(view_skip(c->whole, (size_t)b->offset), (size_t)b->length));
	else if (stream_send_file(&f->s->stream, c->message.fd, b->offset, b->length) ==
	         STREAM_ERROR) {
		fail_errno(&why, "send message");
		note_failure(f, c->seq, STORE_FAILED, &why);
	}
}

static void send_memory(struct fetch *f, struct view bytes)
{
	text_format(&f->line, "{%zu}\r\n", bytes.len);
	write_out(f);
	stream_write(&f->s->stream, bytes);
}

/* Sections come last in an answer, and one that cannot be read after others were sent is NIL: the
 * answer must be ended in step. */
static void write_section(struct fetch *f, struct content *c, const struct section *section)
{
	struct section_bytes bytes;
	struct reason why;
	struct text scratch;

	text_init(&scratch, SESSION_ANSWER_MAX);
	enum store_result result = section_find(c, section, &scratch, &bytes, &why);

	if (result == STORE_OK && bytes.in_message && c->message.converts)
		result = content_whole(c, &why);
	text_add(&f->line, section->label);
	text_add_byte(&f->line, ' ');
	if (result != STORE_OK) {
		note_failure(f, c->seq, result, &why);
		f->incomplete = true;
	}
	if (result != STORE_OK || bytes.missing)
		text_add_string(&f->line, "NIL");
	else if (bytes.in_message)
		send_range(f, c, &bytes);
	else
		send_memory(f, bytes.memory);
	text_free(&scratch);
}

static enum store_result write_summary(struct fetch *f, struct content *c, const char *name,
                                       enum summary_text which, struct reason *why)
{
	text_add_string(&f->line, name);
	text_add_byte(&f->line, ' ');
	return summary_add(c, which, &f->line, why);
}

static enum store_result write_item(struct fetch *f, const struct fetch_item *item,
                                    const struct store_message *m, struct content *c,
                                    struct reason *why)
{
	switch (item->what) {
	case FETCH_UID: text_format(&f->line, "UID %u", m->uid); break;
	case FETCH_FLAGS:
		text_add_string(&f->line, "FLAGS (");
		flags_write(&f->line, f->s->folder, m);
		text_add_byte(&f->line, ')');
		break;
	case FETCH_INTERNALDATE: write_date(&f->line, m->date_s); break;
	case FETCH_SIZE: text_format(&f->line, "RFC822.SIZE %" PRIu64, m->size); break;
	case FETCH_ENVELOPE: return write_summary(f, c, "ENVELOPE", SUMMARY_ENVELOPE, why);
	case FETCH_BODY: return write_summary(f, c, "BODY", SUMMARY_BODY, why);
	case FETCH_BODYSTRUCTURE:
		return write_summary(f, c, "BODYSTRUCTURE", SUMMARY_BODYSTRUCTURE, why);
	case FETCH_SECTION: write_section(f, c, &item->section); break;
	}
	return STORE_OK;
}

/* ---- one message ---- */

static enum store_result write_items(struct fetch *f, const struct store_message *m,
                                     struct content *c, bool sections, struct reason *why)
{
	enum store_result result = STORE_OK;

	for (const struct fetch_item *item = f->request.first; item != NULL && result == STORE_OK;
	     item = item->next) {
		if ((item->what == FETCH_SECTION) != sections)
			continue;
		if (f->begun)
			text_add_byte(&f->line, ' ');
		f->begun = true;
		result = write_item(f, item, m, c, why);
	}
	return result;
}

/* false: it was not told, or not whole. *seen: it has \Seen already. */
static bool fetch_one(struct fetch *f, uint32_t seq, bool *seen)
{
	struct store_message m;
	struct content c;
	struct reason why;
	enum store_result result = folder_message(f->s->folder, seq, f->want, &m, &why);

	if (result != STORE_OK) {
		note_failure(f, seq, result, &why);
		return false;
	}
	*seen = m.flags & STORE_FLAG_SEEN;
	content_begin(&c, f->s->folder, seq);
	/* What can fail, fails before anything is said (RFC 2180 section 4.1.3: a message that is
	 * gone is left out). */
	if (f->request.has[FETCH_SECTION])
		result = content_open(&c, &why);
	f->begun = f->incomplete = false;
	text_clear(&f->line);
	text_format(&f->line, "* %u FETCH (", seq);
	if (result == STORE_OK)
		result = write_items(f, &m, &c, false, &why);
	if (result == STORE_OK)
		result = write_items(f, &m, &c, true, &why);
	content_end(&c);
	if (result != STORE_OK) {
		note_failure(f, seq, result, &why);
		return false;
	}
	text_add_string(&f->line, ")\r\n");
	write_out(f);
	return !f->incomplete;
}

/* ---- all of them ---- */

/* RFC 3501 section 6.4.5: the flags that a FETCH changes are told in FETCH responses. */
static void mark_seen(struct fetch *f, const uint32_t *sent, uint32_t count)
{
	struct reason why;

	if (count == 0 || stream_flush(&f->s->stream) != STREAM_OK)
		return;
	enum store_result result =
		folder_store(f->s->folder, sent, count, STORE_ADD, STORE_FLAG_SEEN, 0, &why);

	if (result != STORE_OK) {
		log_warn("event=fetch-failed account=%s reason=%s",
		         log_quote(view_of(f->s->who.address)), log_quote(view_of(why.text)));
		return;
	}
	for (uint32_t i = 0; i < count; i++)
		flags_tell(f->s, sent[i]);
}

static void fetch_range(struct fetch *f, struct sequence_range range)
{
	bool sees = f->request.sees && !folder_read_only(f->s->folder);

	for (uint32_t first = range.low; first <= range.high && !f->s->stream.write_failed;
	     first += SEEN_ROUND) {
		uint32_t left = range.high - first + 1,
			 count = left < SEEN_ROUND ? left : SEEN_ROUND, sent[SEEN_ROUND],
			 sent_count = 0;

		for (uint32_t i = 0; i < count; i++) {
			bool seen = true;

			if (fetch_one(f, first + i, &seen) && sees && !seen)
				sent[sent_count++] = first + i;
		}
		mark_seen(f, sent, sent_count);
	}
}

/* A message that is gone is no failure of the command (RFC 2180 section 4.1.1): what was left out
 * is told by the EXPUNGE that will follow. */
static void answer(struct fetch *f)
{
	switch (f->failed) {
	case STORE_OK: session_ok(f->s, "Fetch completed"); break;
	case STORE_GONE:
		session_ok(f->s, "[EXPUNGEISSUED] Fetch completed: some of the messages no longer "
		                 "exist");
		break;
	case STORE_FAILED:
		session_no(f->s, "[SERVERBUG] Some of the messages cannot be read; see the server "
		                 "log");
		break;
	default: session_store_no(f->s, f->failed, &f->why, NULL);
	}
}

void fetch_run(struct session *s, struct argument *a)
{
	struct fetch f = { .s = s };

	/* Items stand one behind the other when a section's list of fields is among them. */
	if (!fetch_request_read(&s->parser.arena, a->next, s->by_uid, &f.request)) {
		session_bad(s, "FETCH: invalid items");
		return;
	}
	if (!session_messages(s))
		return;
	f.want = (f.request.has[FETCH_SIZE] ? STORE_WANT_SIZE : 0u) |
	         (f.request.has[FETCH_INTERNALDATE] ? STORE_WANT_DATE : 0u);
	text_init(&f.line, SESSION_ANSWER_MAX);
	for (size_t i = 0; i < s->set.count; i++)
		fetch_range(&f, s->set.ranges[i]);
	text_free(&f.line);
	folder_cache_flush(s->folder);
	answer(&f);
}
