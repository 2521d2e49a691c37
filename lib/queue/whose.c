/* SPDX-License-Identifier: ISC */
#include "lib/queue/whose.h"

#include <fcntl.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/queue/checksum.h"
#include "lib/queue/mend.h"

#define ID_FILE "secret.id"

enum { ID_BYTES = 16 };

enum memory { REMEMBERED, OTHER_REMEMBERED, NONE_REMEMBERED };

static void identify(const struct queue_key *key, unsigned char id[ID_BYTES])
{
	static const unsigned char what[] = "posthouse queue secret id";

	crypto_generichash(id, ID_BYTES, what, sizeof what, key->seal, sizeof key->seal);
}

/* One that cannot be read, or is short, tells nothing. */
static enum memory recall(int directory, const struct queue_key *key)
{
	unsigned char id[ID_BYTES], is[ID_BYTES];
	int fd = queuedir_open(directory, ID_FILE, O_RDONLY);
	bool read = fd >= 0 && file_read_at(fd, is, sizeof is, 0) == FILE_WHOLE;

	if (fd >= 0)
		close(fd);
	identify(key, id);
	return !read                                   ? NONE_REMEMBERED
	       : sodium_memcmp(id, is, sizeof id) == 0 ? REMEMBERED
	                                               : OTHER_REMEMBERED;
}

int queue_secret_remember(int directory, const struct queue_key *key)
{
	unsigned char id[ID_BYTES];

	if (recall(directory, key) == REMEMBERED)
		return 0;
	identify(key, id);
	return file_replace(directory, ID_FILE, id, sizeof id);
}

struct search {
	int directory;
	const struct queue_key *key;
	enum memory memory;
	struct queue_verified file; /* the one in work */
	bool ours, others;
};

static bool has_right_text(const struct search *s, int fd)
{
	const struct queue_header *h = &s->file.header;
	uint8_t sum[SPOOL_CHECKSUM_BYTES];

	return checksum_file(fd, QUEUE_HEADER_BYTES, h->message_bytes, sum) == FILE_WHOLE &&
	       checksum_equal(sum, h->checksum);
}

/* Whole but for its seal, and not by one bit. */
static bool is_others(struct search *s, int fd, uint64_t id)
{
	struct queue_mend m;

	return s->file.verdict == QUEUE_SEAL_WRONG && queue_verified_envelope(&s->file) &&
	       has_right_text(s, fd) && !queue_mend(fd, id, s->key, &m);
}

static bool look_at(void *context, const struct queuedir_entry *e)
{
	struct search *s = context;

	if (e->kind != QUEUEDIR_MESSAGE)
		return true;
	int fd = queuedir_open(s->directory, e->name, O_RDONLY);

	if (fd < 0)
		return true;
	queue_verify(&s->file, fd, e->id, s->key, QUEUE_READ_ENDS);
	/* One of the others is enough, and costs time. */
	if (queue_verified_whole(&s->file))
		s->ours = true;
	else
		s->others = s->others || is_others(s, fd, e->id);
	close(fd);
	return s->memory == OTHER_REMEMBERED ? !s->others : !s->ours;
}

bool queue_secret_is_others(int directory, const struct queue_key *key)
{
	struct search s = { .directory = directory, .key = key, .memory = recall(directory, key) };

	if (s.memory == REMEMBERED)
		return false;
	queue_verified_init(&s.file);
	queuedir_walk(directory, QUEUEDIR_LIVE, look_at, &s);
	queue_verified_free(&s.file);
	return s.others && (s.memory == OTHER_REMEMBERED || !s.ours);
}
