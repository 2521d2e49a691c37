/* SPDX-License-Identifier: ISC */
/*
 * What the start finds, and makes of it:
 *
 *	no header (zeros, or shorter)     an open one: its writer was told nothing; removed
 *	committed, all checksums right    live again
 *	committed, a checksum wrong       torn before its writer's sync returned, so never
 *	                                  acknowledged; removed
 *	live, a checksum wrong            it was whole once, since the live byte is written after
 *	                                  the sync: the disk or a hand has damaged it. Kept in
 *	                                  damaged/, with a warning
 *
 * After a clean stop the message bytes are not read again.
 */
#include "queue/queued/recover.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/log.h"
#include "queue/queued/queuelog.h"

enum { LOG_READ_MAX = 64 << 20, HASH_BLOCK = 256 << 10 };

enum verdict { WHOLE, OPEN_FILE, TORN, DAMAGED, UNREADABLE };

struct recovery {
	struct disk *disk;
	void (*found)(void *context, struct message *m, int64_t next_ms);
	void *context;
	bool clean;
	struct text tail; /* envelope and log of the file in work */
	uint64_t *ids;
	size_t id_count, id_cap;
	unsigned whole, removed, damaged;
};

/* What a file that ends before it did a moment ago, or whose disk fails, is worth cannot be told
 * now: it stays where it is. */
static enum verdict checksum(int fd, const struct queue_header *h, enum verdict bad)
{
	static unsigned char block[HASH_BLOCK];
	unsigned char sum[SPOOL_CHECKSUM_BYTES];
	crypto_generichash_state state;
	uint64_t left = h->message_bytes, offset = QUEUE_HEADER_BYTES;

	crypto_generichash_init(&state, NULL, 0, sizeof sum);
	while (left) {
		size_t n = left < sizeof block ? (size_t)left : sizeof block;

		if (file_read_at(fd, block, n, offset) != FILE_WHOLE)
			return UNREADABLE;
		crypto_generichash_update(&state, block, n);
		left -= n;
		offset += n;
	}
	crypto_generichash_final(&state, sum, sizeof sum);
	return memcmp(sum, h->checksum, sizeof sum) == 0 ? WHOLE : bad;
}

/* Envelope and log into r->tail. */
static enum verdict read_tail(struct recovery *r, int fd, const struct queue_header *h,
                              uint64_t size, enum verdict bad)
{
	uint64_t offset = QUEUE_HEADER_BYTES + h->message_bytes + h->extra_bytes;

	text_clear(&r->tail);
	if (h->message_bytes > size || offset > size || h->envelope_bytes > size - offset ||
	    size - offset - h->envelope_bytes > LOG_READ_MAX)
		return bad;
	size_t len = (size_t)(size - offset);
	char *to = text_reserve(&r->tail, len);

	if (to == NULL || file_read_at(fd, to, len, offset) != FILE_WHOLE)
		return UNREADABLE;
	r->tail.len += len;
	r->tail.data[r->tail.len] = '\0';
	return WHOLE;
}

static enum verdict examine(struct recovery *r, int fd, uint64_t id, struct queue_header *h)
{
	char bytes[QUEUE_HEADER_BYTES];
	struct view header = { bytes, sizeof bytes };
	struct stat st;

	errno = 0;
	if (fstat(fd, &st) < 0)
		return UNREADABLE;
	if (st.st_size < QUEUE_HEADER_BYTES)
		return OPEN_FILE;
	if (file_read_at(fd, bytes, sizeof bytes, 0) != FILE_WHOLE)
		return UNREADABLE;
	if (bytes[0] == '\0')
		return OPEN_FILE;
	/* The state byte is judged by itself: it is what tells a torn file from a damaged one. */
	enum verdict bad = bytes[QUEUE_STATE_OFFSET] == QUEUE_LIVE ? DAMAGED : TORN;

	if (!queue_header_decode(header, h) || h->id != id)
		return bad;
	enum verdict tail = read_tail(r, fd, h, (uint64_t)st.st_size, bad);

	if (tail != WHOLE)
		return tail;
	if (!queue_seal_verify(header, view_take(text_view(&r->tail), h->envelope_bytes),
	                       &r->disk->key))
		return bad;
	return r->clean ? WHOLE : checksum(fd, h, bad);
}

static bool take_recipient(void *context, const struct envelope_recipient *to)
{
	struct message *m = context;

	if (m->recipient_count >= SPOOL_RECIPIENTS_MAX)
		return false;
	message_add_recipient(m, to);
	return true;
}

/* ---- the log, again ---- */

struct replay {
	struct message *m;
	uint32_t provisional; /* new recipients not yet confirmed by QUEUE_EXPANDED begin here */
	int64_t next_ms;
};

static void outcome_of(struct recipient *r, const struct queue_log *l)
{
	outcome_set(&r->outcome, l->time_s, l->status, l->host, l->text);
}

/* A record about a recipient that does not exist is not ours. */
static void apply(struct replay *p, const struct queue_log *l)
{
	struct message *m = p->m;
	struct recipient *r = l->index < p->provisional ? &m->recipients[l->index] : NULL;
	bool about_recipient = l->event == QUEUE_EXPANDED || l->event == QUEUE_DONE ||
	                       l->event == QUEUE_RETRY || l->event == QUEUE_FAILED ||
	                       l->event == QUEUE_SUCCESS || l->event == QUEUE_NEW;

	if (about_recipient && r == NULL)
		return;
	switch (l->event) {
	case QUEUE_NEW: message_add_recipient(m, &l->recipient)->final = true; break;
	case QUEUE_EXPANDED:
		recipient_set(m, r, RECIPIENT_GONE);
		p->provisional = m->recipient_count;
		break;
	case QUEUE_DONE: recipient_set(m, r, RECIPIENT_GONE); break;
	case QUEUE_RETRY:
		outcome_of(r, l);
		recipient_set(m, r, RECIPIENT_DEFERRED);
		break;
	case QUEUE_FAILED:
		outcome_of(r, l);
		recipient_set(m, r, RECIPIENT_FAILED);
		break;
	case QUEUE_SUCCESS:
		outcome_of(r, l);
		r->relayed = l->number == 1;
		recipient_set(m, r, RECIPIENT_SUCCESS);
		break;
	case QUEUE_NOTICE: m->noticed = true; break;
	case QUEUE_ATTEMPT:
		m->attempts = (uint16_t)(l->number > UINT16_MAX ? UINT16_MAX : l->number);
		p->next_ms = l->time_s * 1000;
		break;
	case QUEUE_HOLD: m->held = true; break;
	case QUEUE_RELEASE: m->held = false; break;
	case QUEUE_EVENTS: break;
	}
}

/* Recipients of an expansion whose end was never written were never delivered to: they are made
 * again. */
static void forget_provisional(struct replay *p)
{
	struct message *m = p->m;

	while (m->recipient_count > p->provisional) {
		struct recipient *last = &m->recipients[m->recipient_count - 1];

		m->counts[last->state]--;
		free(last->outcome);
		m->recipient_count--;
	}
}

static void replay_log(struct recovery *r, struct message *m, struct view log, int64_t *next_ms)
{
	static struct queue_log l;
	struct replay p = { .m = m, .provisional = m->recipient_count };
	struct view rest = log;
	unsigned bad = 0;

	while (queue_log_next(&rest, &r->disk->key, m->id, &l, &bad))
		apply(&p, &l);
	forget_provisional(&p);
	/* A last line without its end is written over. */
	m->log_end += log.len - rest.len;
	*next_ms = p.next_ms;
	if (bad) {
		char id[QUEUE_ID_CHARS + 1];

		queue_id_text(m->id, id);
		log_warn("id=%s event=log-torn records=%u", id, bad);
	}
}

static int take_whole(struct recovery *r, uint64_t id, const struct queue_header *h)
{
	static struct envelope e;
	struct message *m = message_new(id);
	struct view tail = text_view(&r->tail);
	int64_t next_ms = 0;

	if (!queue_envelope_decode(view_take(tail, h->envelope_bytes), &e, take_recipient, m)) {
		message_free(&m);
		return -1;
	}
	message_take_envelope(m, &e, h);
	replay_log(r, m, view_skip(tail, h->envelope_bytes), &next_ms);
	if (r->disk->last_id < id)
		r->disk->last_id = id;
	r->found(r->context, m, next_ms);
	r->whole++;
	return 0;
}

static void set_aside(struct recovery *r, uint64_t id, const char *name, const char *reason)
{
	if (disk_set_aside(r->disk, id) < 0)
		log_warn("id=%s event=recover-damaged reason=\"%s, and it cannot be moved: %m\"",
		         name, reason);
	else
		log_warn("id=%s event=recover-damaged reason=\"%s\" kept=damaged/%s", name, reason,
		         name);
	r->damaged++;
}

static void examine_one(struct recovery *r, uint64_t id)
{
	char name[QUEUE_ID_CHARS + 1];
	struct queue_header h = { 0 };
	int fd = disk_reader(r->disk, id);
	enum verdict v = fd < 0 ? UNREADABLE : examine(r, fd, id, &h);

	queue_id_text(id, name);
	if (v == WHOLE && take_whole(r, id, &h) < 0) {
		/* Sealed by us, yet not as we write it: a later version's. */
		set_aside(r, id, name, "unknown field in the envelope");
	} else if (v == OPEN_FILE || v == TORN) {
		log_info("id=%s event=recover-removed reason=\"%s\"", name,
		         v == TORN ? "incomplete, never acknowledged" : "never committed");
		disk_remove(r->disk, id);
		r->removed++;
	} else if (v == DAMAGED) {
		set_aside(r, id, name, "wrong checksum");
	} else if (v == UNREADABLE) {
		log_warn("id=%s event=recover-unreadable reason=\"%s\"", name,
		         errno ? strerror(errno) : "truncated while it was read");
	}
	if (fd >= 0)
		close(fd);
}

static void keep_id(void *context, uint64_t id)
{
	struct recovery *r = context;

	if (r->id_count == r->id_cap) {
		r->id_cap = r->id_cap ? r->id_cap * 2 : 1024;
		r->ids = memory_grow(r->ids, r->id_cap * sizeof *r->ids);
	}
	r->ids[r->id_count++] = id;
}

static int compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int recover(struct disk *disk, void (*found)(void *context, struct message *m, int64_t next_ms),
            void *context, struct reason *why)
{
	struct recovery r = { .disk = disk, .found = found, .context = context };
	int64_t begun = clock_ms();

	text_init(&r.tail, (size_t)QUEUE_ENVELOPE_MAX + LOG_READ_MAX);
	if (disk_take_clean_mark(disk, &r.clean, why) < 0 ||
	    disk_scan(disk, keep_id, &r, why) < 0) {
		free(r.ids);
		return -1;
	}
	/* In the order of arrival; examining removes files, so that the names were collected
	 * first. */
	if (r.id_count)
		qsort(r.ids, r.id_count, sizeof *r.ids, compare_ids);
	for (size_t i = 0; i < r.id_count; i++)
		examine_one(&r, r.ids[i]);
	free(r.ids);
	text_free(&r.tail);
	log_info("event=recovered messages=%u removed=%u damaged=%u clean=%s duration_ms=%lld",
	         r.whole, r.removed, r.damaged, r.clean ? "yes" : "no",
	         (long long)(clock_ms() - begun));
	return 0;
}
