/* SPDX-License-Identifier: ISC */
#include "imapd/session.h"

#include <errno.h>
#if HAVE_MALLOC_TRIM
#include <malloc.h>
#endif
#include <poll.h>

#include "imapd/flags.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/wire/worker.h"

/* ---- the tagged answer ---- */

static void tagged(struct session *s, const char *condition, const char *format, va_list list)
	__attribute__((format(printf, 3, 0)));

static void tagged(struct session *s, const char *condition, const char *format, va_list list)
{
	text_clear(&s->tagged);
	text_format(&s->tagged, "%s ", condition);
	text_format_list(&s->tagged, format, list);
	if (s->tagged.full) {
		text_clear(&s->tagged);
		text_format(&s->tagged, "%s Completed", condition);
	}
	s->bad = condition[0] == 'B';
}

void session_ok(struct session *s, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	tagged(s, "OK", format, list);
	va_end(list);
}

void session_no(struct session *s, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	tagged(s, "NO", format, list);
	va_end(list);
}

void session_bad(struct session *s, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	tagged(s, "BAD", format, list);
	va_end(list);
}

void session_store_failed(const struct session *s, const struct reason *why)
{
	log_warn("event=store-failed account=%s command=%s reason=%s",
	         log_quote(view_of(s->who.address)), log_quote(s->parser.name),
	         log_quote(view_of(why->text)));
}

/* The operator's to mend: the log says what it is. */
#define INTERNAL_ERROR "[SERVERBUG] Internal error; see the server log"

void session_store_no(struct session *s, enum store_result result, const struct reason *why,
                      const char *missing_code)
{
	switch (result) {
	case STORE_OK: break;
	case STORE_NOT_FOUND:
		session_no(s, "[%s] No such mailbox", missing_code ? missing_code : "NONEXISTENT");
		return;
	case STORE_EXISTS: session_no(s, "[ALREADYEXISTS] Mailbox already exists"); return;
	case STORE_BAD_NAME:
		session_no(s, "[CANNOT] Not allowed for a mailbox of this name");
		return;
	case STORE_READ_ONLY: session_no(s, "[READ-ONLY] Mailbox is read-only"); return;
	case STORE_OVER_QUOTA:
	case STORE_TOO_LARGE: session_no(s, "[OVERQUOTA] Quota exceeded"); return;
	case STORE_GONE:
		session_no(s, "[EXPUNGEISSUED] Some of the messages no longer exist");
		return;
	case STORE_LIMIT: session_no(s, "[LIMIT] Limit reached: %s", why->text); return;
	case STORE_DISK_FULL:
	case STORE_FAILED: break;
	}
	session_store_failed(s, why);
	if (result == STORE_DISK_FULL)
		session_no(s, "[LIMIT] The server's disk is full");
	else
		session_no(s, INTERNAL_ERROR);
}

void session_bye(struct session *s, const char *text)
{
	if (s->state == SESSION_LOGOUT)
		return;
	stream_format(&s->stream, "* BYE %s\r\n", text);
	s->state = SESSION_LOGOUT;
}

/* ---- the mailbox ---- */

void session_unselect(struct session *s)
{
	folder_close(&s->folder);
	if (s->state == SESSION_SELECTED)
		s->state = SESSION_AUTHENTICATED;
}

static void tell_changes(struct session *s, const struct folder_changes *changes)
{
	for (uint32_t i = 0; i < changes->expunged_count; i++)
		stream_format(&s->stream, "* %u EXPUNGE\r\n", changes->expunged[i]);
	flags_tell_new(s);
	if (changes->exists)
		stream_format(&s->stream, "* %u EXISTS\r\n", folder_count(s->folder));
	if (changes->exists || changes->recent)
		stream_format(&s->stream, "* %u RECENT\r\n", folder_recent(s->folder));
	for (uint32_t i = 0; i < changes->flags_count; i++)
		flags_tell(s, changes->flags[i]);
}

bool session_sync_or_leave(struct session *s, bool expunges)
{
	struct folder_changes changes;
	struct reason why;
	enum store_result result =
		folder_sync(s->folder, expunges ? STORE_EXPUNGES : 0, &changes, &why);

	if (result == STORE_OK) {
		tell_changes(s, &changes);
		return true;
	}
	session_unselect(s);
	if (result == STORE_GONE)
		return false;
	log_warn("event=sync-failed account=%s reason=%s", log_quote(view_of(s->who.address)),
	         log_quote(view_of(why.text)));
	session_bye(s, INTERNAL_ERROR);
	return false;
}

void session_sync(struct session *s, bool expunges)
{
	/* RFC 2180 section 3.3: the connection may end. */
	if (!session_sync_or_leave(s, expunges))
		session_bye(s, "The selected mailbox has been deleted");
}

/* ---- which messages ---- */

/* From UIDs to the numbers of the messages that are there. */
static void uids_to_numbers(struct folder *f, struct sequence_set *set)
{
	size_t kept = 0;

	for (size_t i = 0; i < set->count; i++) {
		uint32_t low = folder_seq_from(f, set->ranges[i].low);
		uint32_t end = set->ranges[i].high == UINT32_MAX
		                       ? folder_count(f) + 1
		                       : folder_seq_from(f, set->ranges[i].high + 1);

		if (low < end)
			set->ranges[kept++] = (struct sequence_range){ low, end - 1 };
	}
	set->count = kept;
}

bool session_read_set(struct session *s, struct view text)
{
	uint32_t count = folder_count(s->folder);
	uint32_t star = count && s->by_uid ? folder_uid(s->folder, count) : count;

	return sequence_parse(&s->parser.arena, text, star, &s->set);
}

bool session_messages(struct session *s)
{
	uint32_t count = folder_count(s->folder);

	if (s->by_uid) {
		uids_to_numbers(s->folder, &s->set);
	} else if (sequence_highest(&s->set) > count) {
		session_bad(s, "Invalid message number: there are %u messages", count);
		return false;
	}
	return true;
}

bool session_message_list(struct session *s, uint32_t **seqs, uint32_t *count)
{
	const struct sequence_set *set = &s->set;

	if (!session_messages(s))
		return false;
	*count = 0;
	for (size_t i = 0; i < set->count; i++)
		*count += set->ranges[i].high - set->ranges[i].low + 1;
	*seqs = memory_get(*count * sizeof **seqs);
	uint32_t at = 0;

	for (size_t i = 0; i < set->count; i++)
		for (uint32_t seq = set->ranges[i].low; seq <= set->ranges[i].high; seq++)
			(*seqs)[at++] = seq;
	return true;
}

/* ---- waiting and reading ---- */

static void end_of_input(struct session *s, enum stream_result result)
{
	if (worker_session_ended())
		session_bye(s, "Session ended by the administrator");
	else if (worker_stopping())
		session_bye(s, "Server shutting down");
	else if (result == STREAM_TIMEOUT)
		session_bye(s, "Autologout; timeout within a command");
	s->state = SESSION_LOGOUT;
}

/* A client that is silent costs no buffers: what the last commands needed goes back to the
 * system. */
static void rest(struct session *s)
{
	stream_rest(&s->stream);
	text_free(&s->tagged);
#if HAVE_MALLOC_TRIM
	malloc_trim(0);
#endif
}

static int wait_ms(struct session *s, int other, bool *other_ready, int timeout_ms)
{
	struct pollfd p[2] = { { s->stream.fd, POLLIN, 0 }, { other, POLLIN, 0 } };
	int ready;

	do
		ready = poll(p, 2, timeout_ms);
	while (ready < 0 && errno == EINTR && !worker_stopping());
	if (ready > 0 && other >= 0)
		*other_ready = p[1].revents != 0;
	return ready;
}

bool session_wait(struct session *s, int other, bool *other_ready)
{
	int ready;

	if (stream_has_input(&s->stream))
		return true;
	if (stream_flush(&s->stream) != STREAM_OK) {
		s->state = SESSION_LOGOUT;
		return false;
	}
	ready = wait_ms(s, other, other_ready, SESSION_REST_AFTER_MS);
	if (ready == 0) {
		rest(s);
		ready = wait_ms(s, other, other_ready, s->timeout_ms);
	}
	if (ready == 0)
		session_bye(s, "Autologout; idle for too long");
	else if (ready < 0)
		end_of_input(s, STREAM_CLOSED);
	return ready > 0;
}

bool session_line(struct session *s, size_t max, struct view *line, bool *good)
{
	enum stream_result result = stream_line(&s->stream, max, line);

	*good = result == STREAM_OK;
	switch (result) {
	case STREAM_OK:
	case STREAM_TOO_LONG:
	case STREAM_BARE:
	case STREAM_NUL: return true;
	case STREAM_CLOSED:
	case STREAM_TIMEOUT:
	case STREAM_ERROR: break;
	}
	end_of_input(s, result);
	return false;
}

bool session_some(struct session *s, uint64_t max, struct view *bytes)
{
	enum stream_result result =
		stream_some(&s->stream,
	                    max < STREAM_BUFFER_BYTES ? (size_t)max : STREAM_BUFFER_BYTES, bytes);

	if (result != STREAM_OK)
		end_of_input(s, result);
	return result == STREAM_OK;
}

/* Does a line end in "{123+}"?  Then these bytes come, whatever is wrong with the line. */
static bool announces_literal(struct view line, uint64_t *bytes)
{
	if (line.len < 4 || !view_equal(view_skip(line, line.len - 2), VIEW("+}")))
		return false;
	size_t open = line.len - 2;

	while (open && line.data[open - 1] != '{')
		open--;
	return open && view_number((struct view){ line.data + open, line.len - 2 - open },
	                           UINT64_MAX, bytes);
}

static bool swallow_literal(struct session *s, uint64_t bytes)
{
	struct view some;

	if (bytes > SESSION_SWALLOW_MAX) {
		session_bye(s, "[TOOBIG] The literal is too large");
		return false;
	}
	for (; bytes; bytes -= some.len)
		if (!session_some(s, bytes, &some))
			return false;
	return true;
}

bool session_swallow(struct session *s, uint64_t bytes)
{
	struct view line;
	bool good;

	return swallow_literal(s, bytes) && session_line(s, SESSION_LINE_MAX, &line, &good) &&
	       session_swallow_announced(s, line, good);
}

bool session_swallow_announced(struct session *s, struct view line, bool good)
{
	uint64_t bytes;

	while (announces_literal(good ? line : s->stream.refused_end, &bytes))
		if (!swallow_literal(s, bytes) || !session_line(s, SESSION_LINE_MAX, &line, &good))
			return false;
	return true;
}

void session_take_literal(struct session *s)
{
	if (s->parser.literal_waits)
		stream_write(&s->stream, VIEW("+ OK\r\n"));
	s->literal_waiting = false;
}
