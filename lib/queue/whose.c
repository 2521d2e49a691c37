/* SPDX-License-Identifier: ISC */
#include "lib/queue/whose.h"

#include <fcntl.h>
#include <unistd.h>

#include "lib/queue/checksum.h"
#include "lib/queue/mend.h"
#include "lib/queue/queuelog.h"

struct search {
	int directory;
	const struct queue_key *key;
	struct queue_verified file; /* the one in work */
	bool ours, others;
};

/* A record was written by whoever had the secret: by us, then, and the file is damaged. */
static bool has_our_record(const struct search *s, uint64_t id)
{
	static struct queue_log l;
	struct view rest =
		view_skip(text_view(&s->file.tail), (size_t)s->file.header.envelope_bytes);

	return queue_log_next(&rest, s->key, id, &l, NULL);
}

static bool has_right_text(const struct search *s, int fd)
{
	const struct queue_header *h = &s->file.header;
	uint8_t sum[SPOOL_CHECKSUM_BYTES];

	return checksum_file(fd, QUEUE_HEADER_BYTES, h->message_bytes, sum) == FILE_WHOLE &&
	       checksum_equal(sum, h->checksum);
}

static void judge(struct search *s, int fd, const struct queuedir_entry *e)
{
	struct queue_mend m;

	queue_verify(&s->file, fd, e->id, s->key, false);
	if (queue_verified_whole(&s->file)) {
		s->ours = true;
	} else if (s->file.verdict == QUEUE_SEAL_WRONG) {
		s->ours = has_our_record(s, e->id);
		/* One is enough, and costs time. */
		if (s->ours || s->others || !queue_verified_envelope(&s->file) ||
		    !has_right_text(s, fd))
			return;
		s->ours = queue_mend(fd, e->id, s->key, &m);
		s->others = !s->ours;
	}
}

static bool look_at(void *context, const struct queuedir_entry *e)
{
	struct search *s = context;

	if (e->kind != QUEUEDIR_MESSAGE)
		return true;
	int fd = queuedir_open(s->directory, e->name, O_RDONLY);

	if (fd < 0)
		return true;
	judge(s, fd, e);
	close(fd);
	return !s->ours; /* one that fits is proof enough */
}

bool queue_secret_is_others(int directory, const struct queue_key *key)
{
	struct search s = { .directory = directory, .key = key };

	queue_verified_init(&s.file);
	queuedir_walk(directory, QUEUEDIR_LIVE, look_at, &s);
	queue_verified_free(&s.file);
	return s.others && !s.ours;
}
