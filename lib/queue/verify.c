/* SPDX-License-Identifier: ISC */
#include "lib/queue/verify.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/file.h"
#include "lib/queue/checksum.h"

void queue_verified_init(struct queue_verified *v)
{
	*v = (struct queue_verified){ 0 };
	text_init(&v->tail, (size_t)QUEUE_ENVELOPE_MAX + QUEUE_LOG_READ_MAX);
}

void queue_verified_free(struct queue_verified *v)
{
	text_free(&v->tail);
}

static enum queue_verdict unreadable(struct queue_verified *v, enum file_result got)
{
	v->error = got == FILE_FAILED ? errno : 0;
	return QUEUE_UNREADABLE;
}

/* What a file that ends before it did a moment ago, or whose disk fails, is worth cannot be told
 * now. */
static enum queue_verdict read_tail(struct queue_verified *v, int fd, uint64_t size)
{
	const struct queue_header *h = &v->header;
	uint64_t offset = QUEUE_HEADER_BYTES + h->message_bytes + h->extra_bytes;

	if (h->message_bytes > size || offset > size || h->envelope_bytes > size - offset ||
	    size - offset - h->envelope_bytes > QUEUE_LOG_READ_MAX)
		return QUEUE_TRUNCATED;
	size_t len = (size_t)(size - offset);
	char *to = text_reserve(&v->tail, len);
	enum file_result got = to ? file_read_at(fd, to, len, offset) : FILE_TOO_LARGE;

	if (got != FILE_WHOLE)
		return unreadable(v, got);
	v->tail.len += len;
	v->tail.raw[v->tail.len] = '\0';
	return QUEUE_WHOLE;
}

static enum queue_verdict read_text(struct queue_verified *v, int fd)
{
	uint8_t sum[SPOOL_CHECKSUM_BYTES];
	enum file_result got = checksum_file(fd, QUEUE_HEADER_BYTES, v->header.message_bytes, sum);

	if (got != FILE_WHOLE)
		return unreadable(v, got);
	return checksum_equal(sum, v->header.checksum) ? QUEUE_WHOLE : QUEUE_TEXT_WRONG;
}

static bool all_zeros(const char *bytes, size_t len)
{
	size_t i = 0;

	while (i < len && bytes[i] == '\0')
		i++;
	return i == len;
}

static enum queue_verdict examine(struct queue_verified *v, int fd, uint64_t id,
                                  const struct queue_key *key, enum queue_reading reading)
{
	char bytes[QUEUE_HEADER_BYTES];
	struct view header = { bytes, sizeof bytes };
	struct stat st;

	if (fstat(fd, &st) < 0)
		return unreadable(v, FILE_FAILED);
	if (st.st_size < QUEUE_HEADER_BYTES)
		return st.st_size == 0 ? QUEUE_EMPTY : QUEUE_NO_HEADER;
	enum file_result got = file_read_at(fd, bytes, sizeof bytes, 0);

	if (got != FILE_WHOLE)
		return unreadable(v, got);
	if (all_zeros(bytes, sizeof bytes))
		return QUEUE_NO_HEADER;
	/* The state byte alone is under no checksum, and is judged by itself. */
	v->state = bytes[QUEUE_STATE_OFFSET];
	bool state_wrong = v->state != QUEUE_COMMITTED && v->state != QUEUE_LIVE;

	if (state_wrong)
		bytes[QUEUE_STATE_OFFSET] = QUEUE_LIVE;
	if (!queue_header_decode(header, &v->header))
		return QUEUE_HEADER_WRONG;
	if (id && v->header.id != id)
		return QUEUE_OTHER_ID;
	enum queue_verdict verdict = read_tail(v, fd, (uint64_t)st.st_size);

	if (verdict != QUEUE_WHOLE)
		return verdict;
	if (key == NULL ||
	    !queue_seal_verify(header, view_take(text_view(&v->tail), v->header.envelope_bytes),
	                       key))
		return QUEUE_SEAL_WRONG;
	if (state_wrong || reading == QUEUE_READ_ALL ||
	    (reading == QUEUE_READ_UNSYNCED && v->state != QUEUE_LIVE))
		verdict = read_text(v, fd);
	return verdict == QUEUE_WHOLE && state_wrong ? QUEUE_STATE_WRONG : verdict;
}

void queue_verify(struct queue_verified *v, int fd, uint64_t id, const struct queue_key *key,
                  enum queue_reading reading)
{
	v->error = 0;
	v->state = '\0';
	v->header = (struct queue_header){ 0 };
	text_clear(&v->tail);
	v->verdict = examine(v, fd, id, key, reading);
}

const char *queue_verdict_text(const struct queue_verified *v)
{
	static const char *const words[] = {
		[QUEUE_WHOLE] = "whole",
		[QUEUE_STATE_WRONG] = "invalid state byte",
		[QUEUE_EMPTY] = "empty file",
		[QUEUE_NO_HEADER] = "no header",
		[QUEUE_HEADER_WRONG] = "malformed header",
		[QUEUE_OTHER_ID] = "the header has another id",
		[QUEUE_TRUNCATED] = "truncated",
		[QUEUE_SEAL_WRONG] = "wrong seal of header and envelope",
		[QUEUE_TEXT_WRONG] = "wrong checksum of the message",
	};

	if (v->verdict == QUEUE_UNREADABLE)
		return v->error ? strerror(v->error) : "truncated while it was read";
	return words[v->verdict];
}

bool queue_verified_whole(const struct queue_verified *v)
{
	return v->verdict == QUEUE_WHOLE || v->verdict == QUEUE_STATE_WRONG;
}

static bool one_more(void *context, const struct envelope_recipient *r)
{
	(void)r;
	return ++*(uint32_t *)context <= SPOOL_RECIPIENTS_MAX;
}

bool queue_verified_envelope(const struct queue_verified *v)
{
	static struct envelope e;
	uint32_t count = 0;

	return queue_envelope_decode(view_take(text_view(&v->tail), v->header.envelope_bytes), &e,
	                             one_more, &count) &&
	       count > 0;
}
