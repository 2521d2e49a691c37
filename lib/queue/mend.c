/* SPDX-License-Identifier: ISC */
#include "lib/queue/mend.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "lib/base/file.h"
#include "lib/queue/checksum.h"

struct trial {
	int fd;
	uint64_t id, size;
	const struct queue_key *key;
	char header[QUEUE_HEADER_BYTES];
	struct queue_header decoded;
	char *envelope; /* QUEUE_MEND_HEADER_MAX; of the place and length below */
	uint64_t offset, bytes;
};

bool queue_mend_suits(const struct queue_verified *v)
{
	return v->verdict == QUEUE_HEADER_WRONG || v->verdict == QUEUE_OTHER_ID ||
	       v->verdict == QUEUE_TRUNCATED || v->verdict == QUEUE_SEAL_WRONG;
}

/* The envelope is where the header says. */
static bool place(struct trial *t)
{
	struct queue_header *h = &t->decoded;
	struct view bytes = { t->header, sizeof t->header };

	if (!queue_header_decode(bytes, h) || (t->id && h->id != t->id) ||
	    h->message_bytes > t->size || h->extra_bytes > t->size ||
	    h->envelope_bytes > QUEUE_MEND_HEADER_MAX)
		return false;
	uint64_t offset = QUEUE_HEADER_BYTES + h->message_bytes + h->extra_bytes;

	if (offset > t->size || h->envelope_bytes > t->size - offset)
		return false;
	if (offset == t->offset && h->envelope_bytes == t->bytes)
		return true;
	t->offset = 0; /* of none, until it is read */
	if (file_read_at(t->fd, t->envelope, (size_t)h->envelope_bytes, offset) != FILE_WHOLE)
		return false;
	t->offset = offset;
	t->bytes = h->envelope_bytes;
	return true;
}

static bool verifies(const struct trial *t)
{
	return queue_seal_verify((struct view){ t->header, sizeof t->header },
	                         (struct view){ t->envelope, (size_t)t->bytes }, t->key);
}

/* The bit of these bytes with which all verifies stays flipped; -1: there is none. */
static long find_bit(struct trial *t, char *bytes, size_t len, bool moves)
{
	for (size_t i = 0; i < len * 8; i++) {
		char bit = (char)(1 << i % 8);

		bytes[i / 8] ^= bit;
		if ((!moves || place(t)) && verifies(t))
			return (long)(i / 8);
		bytes[i / 8] ^= bit;
	}
	return -1;
}

static bool try(struct trial *t, struct queue_mend *m)
{
	long at = find_bit(t, t->header, sizeof t->header, true);

	if (at >= 0) {
		m->at = (uint64_t)at;
		m->byte = t->header[at];
		return true;
	}
	if (!place(t) || t->bytes > QUEUE_MEND_ENVELOPE_MAX)
		return false;
	at = find_bit(t, t->envelope, (size_t)t->bytes, false);
	if (at < 0)
		return false;
	m->at = t->offset + (uint64_t)at;
	m->byte = t->envelope[at];
	return true;
}

bool queue_mend(int fd, uint64_t id, const struct queue_key *key, struct queue_mend *m)
{
	struct trial t = { .fd = fd, .id = id, .key = key };
	uint8_t sum[SPOOL_CHECKSUM_BYTES];
	struct stat st;

	if (fstat(fd, &st) < 0 || st.st_size < QUEUE_HEADER_BYTES ||
	    file_read_at(fd, t.header, sizeof t.header, 0) != FILE_WHOLE)
		return false;
	t.size = (uint64_t)st.st_size;
	/* It is under no seal, and two of its values are right. */
	if (t.header[QUEUE_STATE_OFFSET] != QUEUE_COMMITTED)
		t.header[QUEUE_STATE_OFFSET] = QUEUE_LIVE;
	t.envelope = memory_get(QUEUE_MEND_HEADER_MAX);
	bool found = try(&t, m);

	m->whole =
		found &&
		checksum_file(fd, QUEUE_HEADER_BYTES, t.decoded.message_bytes, sum) == FILE_WHOLE &&
		checksum_equal(sum, t.decoded.checksum);
	free(t.envelope);
	return found;
}
