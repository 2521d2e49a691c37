/* SPDX-License-Identifier: ISC */
#include "lib/net/stream.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/sendfile.h>
#endif

#include "lib/base/clock.h"
#include "lib/base/file.h"

enum {
	FORMAT_MAX = 1 << 20,     /* what one stream_format may write */
	SENDFILE_CHUNK = 1 << 20, /* one call; keeps the send timeout meaningful on slow links */
};

void stream_open(struct stream *s, int fd, int timeout_ms)
{
	memset(s, 0, sizeof *s);
	s->fd = fd;
	text_init(&s->out, STREAM_BUFFER_BYTES);
	stream_set_timeout(s, timeout_ms);
}

void stream_close(struct stream *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	free(s->in);
	s->in = NULL;
	s->in_start = s->in_end = s->in_cap = 0;
	text_free(&s->out);
}

void stream_set_timeout(struct stream *s, int timeout_ms)
{
	struct timeval tv = { .tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000 };

	s->timeout_ms = timeout_ms;
	/* A longer one needs no call: what is left after the kernel's is waited for. */
	if (s->kernel_timeout_ms != 0 && s->kernel_timeout_ms <= timeout_ms)
		return;
	s->kernel_timeout_ms = timeout_ms;
	if (setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv) < 0 ||
	    setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv) < 0)
		s->not_socket = true; /* a pipe or a terminal (sendmail -bs) */
}

void stream_set_quiet(struct stream *s, int timeout_ms, int quiet_ms, void (*quiet)(void *context),
                      void *context)
{
	s->quiet = quiet;
	s->quiet_context = context;
	if (quiet_ms < timeout_ms)
		stream_set_timeout(s, quiet_ms);
	stream_set_timeout(s, timeout_ms);
}

static void need_buffer(struct stream *s, size_t size)
{
	if (s->in_cap >= size)
		return;
	s->in = memory_grow(s->in, size);
	s->in_cap = size;
}

void stream_preload(struct stream *s, struct view bytes)
{
	if (bytes.len == 0)
		return;
	need_buffer(s, s->in_end + bytes.len > STREAM_BUFFER_BYTES + 2 ? s->in_end + bytes.len
	                                                               : STREAM_BUFFER_BYTES + 2);
	memcpy(s->in + s->in_end, bytes.data, bytes.len);
	s->in_end += bytes.len;
}

struct view stream_pending(const struct stream *s)
{
	return (struct view){ s->in ? s->in + s->in_start : "", s->in_end - s->in_start };
}

bool stream_has_input(const struct stream *s)
{
	return s->in_end > s->in_start;
}

void stream_rest(struct stream *s)
{
	if (s->in_start == s->in_end) {
		free(s->in);
		s->in = NULL;
		s->in_start = s->in_end = s->in_cap = 0;
	}
	if (s->out.len == 0)
		text_free(&s->out);
}

/* ---- waiting ---- */

/* Waits on a descriptor that does not time out by itself: a pipe, or a socket left non-blocking. */
static enum stream_result wait_for(struct stream *s, short events, int64_t until_ms)
{
	int64_t left_ms = until_ms - clock_ms();
	int ready = left_ms > 0 ? file_wait(s->fd, events, left_ms) : 0;

	return ready > 0 ? STREAM_OK : ready == 0 ? STREAM_TIMEOUT : STREAM_ERROR;
}

static bool gone(int error)
{
	return error == EPIPE || error == ECONNRESET || error == ENOTCONN;
}

/* After a failed call: STREAM_OK means try again. */
static enum stream_result after_failure(struct stream *s, short events, int64_t until_ms)
{
	if (errno == EINTR)
		return clock_ms() < until_ms ? STREAM_OK : STREAM_TIMEOUT;
	/* The kernel's timeout, or a non-blocking socket that came to us so: the clock knows
	 * which. */
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return wait_for(s, events, until_ms);
	return gone(errno) ? STREAM_CLOSED : STREAM_ERROR;
}

/* ---- reading ---- */

/* One read behind in_end, at least one byte.  What was written goes out first. */
static enum stream_result fill(struct stream *s, int64_t until_ms)
{
	enum stream_result result = stream_flush(s);

	if (result != STREAM_OK)
		return result;
	need_buffer(s, STREAM_BUFFER_BYTES + 2);
	if (s->in_start == s->in_end)
		s->in_start = s->in_end = 0;
	if (s->in_end > s->in_cap / 2 &&
	    s->in_start > 0) { /* short reads at the end of the buffer would cost calls */
		memmove(s->in, s->in + s->in_start, s->in_end - s->in_start);
		s->in_end -= s->in_start;
		s->in_start = 0;
	}
	for (;;) {
		ssize_t got;

		if (s->not_socket && (result = wait_for(s, POLLIN, until_ms)) != STREAM_OK)
			return result;
		got = s->layer ? s->layer->read(s->layer, s->in + s->in_end, s->in_cap - s->in_end)
		               : read(s->fd, s->in + s->in_end, s->in_cap - s->in_end);
		if (got == 0)
			return STREAM_CLOSED;
		if (got > 0) {
			s->in_end += (size_t)got;
			s->bytes_in += (uint64_t)got;
			return STREAM_OK;
		}
		if (errno == EAGAIN && s->quiet && clock_ms() < until_ms)
			s->quiet(s->quiet_context);
		result = after_failure(s, POLLIN, until_ms);
		if (result != STREAM_OK)
			return result;
	}
}

/* What is wrong with a line that ended in CRLF, or nothing. */
static enum stream_result line_fault(struct view line)
{
	if (memchr(line.data, '\0', line.len))
		return STREAM_NUL;
	if (memchr(line.data, '\r', line.len))
		return STREAM_BARE;
	return STREAM_OK;
}

/*
 * Looks for the end of a line in what is buffered, from `scanned` bytes behind
 * in_start.  A bare LF ends the search too: waiting for the CRLF would keep a
 * client that never sends one waiting for its answer.  What follows the bare LF
 * belongs to the same refused line and is dropped up to the next CRLF (skip_rest),
 * so that nothing hidden behind it is ever taken for a command.
 */
static bool take_line(struct stream *s, size_t scanned, struct view *line, bool *bare)
{
	char *begin = s->in + s->in_start;
	char *lf = memchr(begin + scanned, '\n', s->in_end - s->in_start - scanned);

	if (!lf)
		return false;
	*bare = lf == begin || lf[-1] != '\r';
	line->data = begin;
	line->len = (size_t)(lf - begin) - (*bare ? 0 : 1);
	s->in_start += (size_t)(lf - begin) + 1;
	return true;
}

/* No room for a line within its limit: it is dropped as it comes, but for its beginning and its
 * end. */
static void drop_middle(struct stream *s, size_t *scanned, bool *too_long)
{
	const char *begin = s->in + s->in_start;

	if (!*too_long) {
		s->head_len = *scanned < sizeof s->head ? *scanned : sizeof s->head;
		memcpy(s->head, begin, s->head_len);
	}
	*too_long = true;
	if (*scanned > STREAM_END_BYTES)
		s->in_start = s->in_end - STREAM_END_BYTES;
	*scanned = s->in_end - s->in_start;
}

/* What a whole line is: STREAM_OK and the rest, or -1 for none that is to be told. */
static int judge_line(struct stream *s, size_t max, struct view *line, bool bare, bool too_long)
{
	bool rest_of_refused = s->skip_rest;

	s->skip_rest = bare;
	s->refused_end = bare ? (struct view){ "", 0 } : *line;
	if (too_long)
		*line = (struct view){ s->head, s->head_len };
	if (bare)
		return STREAM_BARE;
	if (rest_of_refused)
		return s->tells_rest && line->len ? STREAM_BARE : -1;
	if (too_long || line->len > max)
		return STREAM_TOO_LONG;
	return line_fault(*line);
}

/* A full buffer with less than a line grows. */
static void make_room(struct stream *s, size_t max)
{
	size_t wanted = s->in_cap * 2 < max + 2 ? s->in_cap * 2 : max + 2;

	if (s->in_start == 0 && s->in_cap > 0 && s->in_end == s->in_cap)
		need_buffer(s, wanted > s->in_cap ? wanted : s->in_cap + 1);
}

enum stream_result stream_line(struct stream *s, size_t max, struct view *line)
{
	int64_t begun_ms = 0;
	size_t scanned = 0;
	bool too_long = false, bare;

	*line = (struct view){ "", 0 };
	if (s->write_failed)
		return STREAM_CLOSED;
	for (;;) {
		if (s->in_end > s->in_start && take_line(s, scanned, line, &bare)) {
			int result = judge_line(s, max, line, bare, too_long);

			if (result >= 0)
				return (enum stream_result)result;
			scanned = 0;
			too_long = false;
			continue;
		}
		scanned = s->in_end - s->in_start;
		if (scanned > max + 1)
			drop_middle(s, &scanned, &too_long);
		int64_t now_ms = clock_ms();

		if (begun_ms == 0)
			begun_ms = now_ms;
		else if (now_ms - begun_ms >= s->timeout_ms)
			return STREAM_TIMEOUT;
		else if (s->quiet && now_ms - begun_ms >= s->kernel_timeout_ms)
			s->quiet(s->quiet_context);
		make_room(s, max);
		enum stream_result result = fill(s, begun_ms + s->timeout_ms);

		if (result != STREAM_OK)
			return result;
	}
}

enum stream_result stream_some(struct stream *s, size_t max, struct view *bytes)
{
	*bytes = (struct view){ "", 0 };
	if (s->write_failed)
		return STREAM_CLOSED;
	if (s->in_start == s->in_end) {
		enum stream_result result = fill(s, clock_ms() + s->timeout_ms);

		if (result != STREAM_OK)
			return result;
	}
	*bytes = view_take(stream_pending(s), max);
	s->in_start += bytes->len;
	return STREAM_OK;
}

void stream_unread(struct stream *s, size_t bytes)
{
	s->in_start -= bytes < s->in_start ? bytes : s->in_start;
}

/* ---- writing ---- */

static enum stream_result write_fails(struct stream *s, enum stream_result result)
{
	s->write_failed = true;
	s->write_timeout = result == STREAM_TIMEOUT;
	text_clear(&s->out);
	return result;
}

static ssize_t send_some(struct stream *s, struct view v, bool more)
{
	if (s->layer)
		return s->layer->write(s->layer, v.data, v.len);
#ifdef MSG_MORE
	int flags = MSG_NOSIGNAL | (more ? MSG_MORE : 0);
#else
	int flags = MSG_NOSIGNAL;

	(void)more;
#endif
	return s->not_socket ? write(s->fd, v.data, v.len) : send(s->fd, v.data, v.len, flags);
}

/* All of v or failure.  Progress renews the timeout: a slow reader is not a dead one. */
static enum stream_result send_all(struct stream *s, struct view v, bool more)
{
	int64_t until_ms = clock_ms() + s->timeout_ms;

	while (v.len > 0) {
		enum stream_result result = STREAM_OK;
		ssize_t sent = -1;

		if (s->not_socket)
			result = wait_for(s, POLLOUT, until_ms);
		if (result == STREAM_OK && (sent = send_some(s, v, more)) < 0)
			result = after_failure(s, POLLOUT, until_ms);
		if (result != STREAM_OK)
			return write_fails(s, result);
		if (sent > 0) {
			v = view_skip(v, (size_t)sent);
			s->bytes_out += (uint64_t)sent;
			until_ms = clock_ms() + s->timeout_ms;
		}
	}
	return STREAM_OK;
}

static enum stream_result flush_out(struct stream *s, bool more)
{
	enum stream_result result;

	if (s->write_failed)
		return STREAM_CLOSED;
	if (s->out.len == 0)
		return STREAM_OK;
	result = send_all(s, text_view(&s->out), more);
	text_clear(&s->out);
	return result;
}

enum stream_result stream_flush(struct stream *s)
{
	return flush_out(s, false);
}

void stream_drop(struct stream *s)
{
	text_clear(&s->out);
}

void stream_write(struct stream *s, struct view bytes)
{
	if (s->write_failed)
		return;
	/* What is there goes first; a piece that is longer than the buffer follows at once. */
	if (!text_has_room(&s->out, bytes.len) && flush_out(s, true) != STREAM_OK)
		return;
	if (!text_has_room(&s->out, bytes.len))
		send_all(s, bytes, false);
	else
		text_add(&s->out, bytes);
}

/* Up to the first dot that begins a line, other than the first byte; or all. Dots are looked for:
 * what encodes files has none, and memmem looks at each byte. */
static size_t up_to_dot(struct view bytes)
{
	for (size_t at = 1; at < bytes.len; at++) {
		const char *dot = memchr(bytes.data + at, '.', bytes.len - at);

		if (dot == NULL)
			return bytes.len;
		at = (size_t)(dot - bytes.data);
		if (dot[-1] == '\n')
			return at;
	}
	return bytes.len;
}

bool stream_needs_stuffing(struct view bytes)
{
	return bytes.len && (bytes.data[0] == '.' || up_to_dot(bytes) < bytes.len);
}

void stream_write_stuffed(struct stream *s, struct view bytes, bool *line_start)
{
	while (bytes.len) {
		if (*line_start && bytes.data[0] == '.')
			stream_write(s, VIEW("."));
		size_t len = up_to_dot(bytes);

		stream_write(s, view_take(bytes, len));
		*line_start = bytes.data[len - 1] == '\n';
		bytes = view_skip(bytes, len);
	}
}

void stream_format(struct stream *s, const char *format, ...)
{
	struct text long_text;
	va_list list;
	bool fits;

	if (s->write_failed)
		return;
	va_start(list, format);
	fits = text_format_list(&s->out, format, list);
	va_end(list);
	if (fits)
		return;
	text_cut_back(&s->out, s->out.len); /* it was refused whole */
	text_init(&long_text, FORMAT_MAX);
	va_start(list, format);
	fits = text_format_list(&long_text, format, list);
	va_end(list);
	if (fits)
		stream_write(s, text_view(&long_text));
	else
		write_fails(s,
		            STREAM_ERROR); /* half an answer would put the two sides out of step */
	text_free(&long_text);
}

/* The file was shorter than its caller was told: nothing after it can be in step. */
static enum stream_result short_file(struct stream *s)
{
	errno = EIO;
	return write_fails(s, STREAM_ERROR);
}

/* Reads the piece behind what is buffered; it leaves with the rest of the answer in one call. */
static enum stream_result buffer_file(struct stream *s, int file, uint64_t offset, size_t length)
{
	char *room = text_reserve(&s->out, length);
	enum file_result result = room ? file_read_at(file, room, length, offset) : FILE_SHORT;

	if (result == FILE_FAILED)
		return write_fails(s, STREAM_ERROR);
	if (result != FILE_WHOLE)
		return short_file(s);
	s->out.len += length;
	s->out.raw[s->out.len] = '\0';
	return STREAM_OK;
}

/* Through the buffer, a bufferful at a time: where sendfile is missing or does not take this
 * pair. */
static enum stream_result copy_file(struct stream *s, int file, uint64_t offset, uint64_t length)
{
	while (length > 0) {
		enum stream_result result = flush_out(s, true);
		size_t piece = length < STREAM_BUFFER_BYTES ? (size_t)length : STREAM_BUFFER_BYTES;

		if (result == STREAM_OK)
			result = buffer_file(s, file, offset, piece);
		if (result != STREAM_OK)
			return result;
		offset += piece;
		length -= piece;
	}
	return STREAM_OK;
}

#ifdef __linux__
static enum stream_result send_file(struct stream *s, int file, uint64_t offset, uint64_t length)
{
	int64_t until_ms = clock_ms() + s->timeout_ms;

	while (length > 0) {
		off_t at = (off_t)offset;
		ssize_t sent = sendfile(s->fd, file, &at,
		                        length < SENDFILE_CHUNK ? (size_t)length : SENDFILE_CHUNK);

		if (sent < 0 && (errno == EINVAL || errno == ENOSYS))
			return copy_file(s, file, offset, length);
		if (sent < 0) {
			enum stream_result result = after_failure(s, POLLOUT, until_ms);

			if (result != STREAM_OK)
				return write_fails(s, result);
			continue;
		}
		if (sent == 0)
			return short_file(s);
		offset += (uint64_t)sent;
		length -= (uint64_t)sent;
		s->bytes_out += (uint64_t)sent;
		until_ms = clock_ms() + s->timeout_ms;
	}
	return STREAM_OK;
}
#endif

enum stream_result stream_send_file(struct stream *s, int file, uint64_t offset, uint64_t length)
{
	enum stream_result result;

	if (s->write_failed)
		return STREAM_CLOSED;
	if (length <= STREAM_BUFFER_BYTES - s->out.len)
		return buffer_file(s, file, offset, (size_t)length);
	result = flush_out(s, true);
	if (result != STREAM_OK)
		return result;
#ifdef __linux__
	if (!s->not_socket && s->layer == NULL)
		return send_file(s, file, offset, length);
#endif
	return copy_file(s, file, offset, length);
}
