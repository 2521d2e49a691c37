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

/* \Seen is set in rounds, before the messages of the round are sent, so that FLAGS beside a body
 * tell it: one write to the index for a round, and a client that goes away early has few messages
 * marked that it did not get. */
enum { SEEN_ROUND = 64 };

struct fetch {
	struct session *s;
	struct fetch_request request;
	unsigned want;            /* STORE_WANT_ bits */
	bool begun;               /* the answer in work has an item */
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
	text_format(&f->line, "{%" PRIu64 "}\r\n", b->length);
	write_out(f);
	if (c->message.converts)
		stream_write(&f->s->stream,
		             view_take(view_skip(c->whole, (size_t)b->offset), (size_t)b->length));
	else
		stream_send_file(&f->s->stream, c->message.fd, b->offset, b->length);
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
	if (result != STORE_OK)
		note_failure(f, c->seq, result, &why);
	if (result != STORE_OK || bytes.missing)
		text_add_string(&f->line, "NIL");
	else if (bytes.in_message)
		send_range(f, c, &bytes);
	else
		answer_literal(&f->line, bytes.memory);
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

static void fetch_one(struct fetch *f, uint32_t seq, bool tell_flags)
{
	struct store_message m;
	struct content c;
	struct reason why;
	enum store_result result = folder_message(f->s->folder, seq, f->want, &m, &why);

	if (result != STORE_OK) {
		note_failure(f, seq, result, &why);
		return;
	}
	content_begin(&c, f->s->folder, seq);
	/* What can fail, fails before anything is said (RFC 2180 section 4.1.3: a message that is
	 * gone is left out). */
	if (f->request.has[FETCH_SECTION])
		result = content_open(&c, &why);
	f->begun = false;
	text_clear(&f->line);
	text_format(&f->line, "* %u FETCH (", seq);
	if (result == STORE_OK)
		result = write_items(f, &m, &c, false, &why);
	if (result == STORE_OK && tell_flags && !f->request.has[FETCH_FLAGS]) {
		text_add_string(&f->line, f->begun ? " FLAGS (" : "FLAGS (");
		f->begun = true;
		flags_write(&f->line, f->s->folder, &m);
		text_add_byte(&f->line, ')');
	}
	if (result == STORE_OK)
		result = write_items(f, &m, &c, true, &why);
	content_end(&c);
	if (result != STORE_OK) {
		note_failure(f, seq, result, &why);
		return;
	}
	text_add_string(&f->line, ")\r\n");
	write_out(f);
}

/* ---- all of them ---- */

/* Sets \Seen on those of the round that do not have it; a bit in `changed` for each that was
 * set. */
static uint64_t see_round(struct fetch *f, uint32_t first, uint32_t count)
{
	uint32_t unseen[SEEN_ROUND], unseen_count = 0;
	uint64_t changed = 0;
	struct store_message m;
	struct reason why;

	for (uint32_t i = 0; i < count; i++)
		if (folder_message(f->s->folder, first + i, 0, &m, &why) == STORE_OK &&
		    !(m.flags & STORE_FLAG_SEEN)) {
			unseen[unseen_count++] = first + i;
			changed |= UINT64_C(1) << i;
		}
	if (unseen_count == 0)
		return 0;
	if (folder_store(f->s->folder, unseen, unseen_count, STORE_ADD, STORE_FLAG_SEEN, 0, &why) !=
	    STORE_OK)
		return 0;
	return changed;
}

static void fetch_range(struct fetch *f, struct sequence_range range)
{
	bool sees = f->request.sees && !folder_read_only(f->s->folder);

	for (uint32_t first = range.low; first <= range.high && !f->s->stream.write_failed;
	     first += SEEN_ROUND) {
		uint32_t left = range.high - first + 1,
			 count = left < SEEN_ROUND ? left : SEEN_ROUND;
		uint64_t changed = sees ? see_round(f, first, count) : 0;

		for (uint32_t i = 0; i < count; i++)
			fetch_one(f, first + i, changed >> i & 1);
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
	if (f.failed != STORE_OK)
		session_store_no(s, f.failed, &f.why, NULL);
	else
		session_ok(s, "Fetch completed");
}
