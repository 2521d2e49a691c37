/* SPDX-License-Identifier: ISC */
#include "queue/submit/dropfile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/queue/checksum.h"

enum { READ_BYTES = 256 * 1024 };

struct reader {
	int fd;
	struct submission *submission; /* NULL: a check */
	struct text buffer;
	bool begun, summed;
	struct checksum *sum; /* of what stood before the buffer */
};

static const struct view mark = { SUBMIT_DROP_MARK, sizeof SUBMIT_DROP_MARK - 1 };

/* A read that ends before the file does says nothing of what stands there. */
static bool was_cut(int fd)
{
	struct stat st;
	off_t at = lseek(fd, 0, SEEK_CUR);

	if (at >= 0 && fstat(fd, &st) == 0 && at >= st.st_size)
		return false;
	errno = EIO;
	return true;
}

/* DROPFILE_WHOLE: there is more in the buffer than before, or *end. */
static enum dropfile read_more(struct reader *r, size_t bytes, bool *end)
{
	char *to = text_reserve(&r->buffer, bytes);
	ssize_t n = to ? file_read_some(r->fd, to, bytes) : 0;

	*end = n == 0;
	if (n < 0 || (to && n == 0 && was_cut(r->fd)))
		return DROPFILE_FAILED;
	r->buffer.len += (size_t)n;
	return to ? DROPFILE_WHOLE : DROPFILE_BAD;
}

static void pass(struct reader *r, size_t bytes)
{
	if (r->summed)
		checksum_add(r->sum, view_take(text_view(&r->buffer), bytes));
	text_drop_front(&r->buffer, bytes);
}

/* Behind the last message: the checksum where there is one, and nothing else. */
static enum dropfile verify(struct reader *r)
{
	uint8_t sum[SPOOL_CHECKSUM_BYTES];
	const size_t expected = r->summed ? sizeof sum : 0;

	for (bool end = false; !end && r->buffer.len <= expected;) {
		enum dropfile got = read_more(r, READ_BYTES, &end);

		if (got != DROPFILE_WHOLE)
			return got;
	}
	if (!r->summed)
		return r->buffer.len ? DROPFILE_BAD : DROPFILE_WHOLE;
	checksum_end(r->sum, sum);
	return r->buffer.len == expected &&
	                       checksum_equal(sum, (const uint8_t *)text_string(&r->buffer))
	               ? DROPFILE_WHOLE
	               : DROPFILE_DAMAGED;
}

/* The messages that are whole in the buffer. more: the next is not. */
static enum dropfile feed_buffer(struct reader *r, bool *more)
{
	struct view rest = text_view(&r->buffer);
	struct wire_in in;
	int next;

	while ((next = submit_frame_next(&rest, &in)) > 0) {
		if (in.type == SUBMIT_END) {
			bool empty = wire_end(&in);

			*more = false;
			pass(r, r->buffer.len - rest.len);
			return empty ? verify(r) : DROPFILE_BAD;
		}
		if (r->submission && !submission_take(r->submission, &in)) {
			*more = false;
			return DROPFILE_RESULT;
		}
	}
	*more = next == 0;
	pass(r, r->buffer.len - rest.len);
	return next == 0 ? DROPFILE_TORN : DROPFILE_BAD;
}

static enum dropfile feed_all(struct reader *r)
{
	enum dropfile fed = DROPFILE_TORN;

	for (bool more = true, end = false; more;) {
		enum dropfile got = read_more(r, READ_BYTES, &end);

		if (got != DROPFILE_WHOLE)
			return got;
		if (end)
			return DROPFILE_TORN;
		if (!r->begun && r->buffer.len < mark.len)
			continue; /* a shorter file has no end either */
		if (!r->begun && view_starts(text_view(&r->buffer), mark)) {
			r->summed = true;
			pass(r, mark.len);
		}
		r->begun = true;
		fed = feed_buffer(r, &more);
	}
	return fed;
}

enum dropfile dropfile_feed(int fd, struct submission *s)
{
	struct reader r = { .fd = fd, .submission = s, .sum = checksum_new() };

	checksum_begin(r.sum);
	text_init(&r.buffer, READ_BYTES + WIRE_MESSAGE_MAX + 4);
	enum dropfile fed = feed_all(&r);
	int why = errno;

	text_free(&r.buffer);
	free(r.sum);
	errno = why;
	return fed;
}

enum dropfile dropfile_check(int fd)
{
	return dropfile_feed(fd, NULL);
}

void dropfile_finish(struct submission *s)
{
	struct wire_in end = { .type = SUBMIT_END };

	submission_take(s, &end);
}
