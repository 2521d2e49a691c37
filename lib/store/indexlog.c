/* SPDX-License-Identifier: ISC */
/*
 * The log behind the snapshot. A batch is put together in memory, written with one pwrite under the
 * folder's lock, and then applied by the same code that applies other sessions' batches; its last
 * record holds the state (UIDNEXT, directory times) that the batch leaves.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/store/internal.h"

enum { LOG_BATCH_MAX = 1 << 29, LOG_ALIGN = 8 };

static uint64_t log_sum(const struct index *ix, uint64_t at, const struct log_head *head,
                        const char *payload)
{
	return store_hash(ix->h.generation + at + ((uint64_t)head->type << 56) +
	                          ((uint64_t)head->len << 24),
	                  payload, head->len);
}

void indexlog_put(struct folder *f, enum log_type type, const void *payload, size_t len,
                  struct view tail)
{
	static const char zeros[LOG_ALIGN];
	struct log_head head = { .len = (uint32_t)(len + tail.len), .type = type };

	if (f->log.max == 0)
		text_init(&f->log, LOG_BATCH_MAX);
	text_add(&f->log, (struct view){ (char *)&head, sizeof head });
	text_add(&f->log, (struct view){ payload, len });
	text_add(&f->log, tail);
	text_add(&f->log, (struct view){ zeros, (LOG_ALIGN - head.len % LOG_ALIGN) % LOG_ALIGN });
}

/* ---- applying ---- */

void note_changed(struct folder *f, struct record *r)
{
	if (r->state & RECORD_CHANGED)
		return;
	r->state |= RECORD_CHANGED;
	if (f->changed_count == f->changed_capacity) {
		f->changed_capacity = f->changed_capacity * 2 + 64;
		f->changed = memory_grow(f->changed, f->changed_capacity * sizeof *f->changed);
	}
	f->changed[f->changed_count++] = r->uid;
}

static void count_record(struct folder *f, const struct record *r, int sign)
{
	f->ix.h.count += (uint32_t)sign;
	if (!(r->flags & STORE_FLAG_SEEN))
		f->ix.h.unseen += (uint32_t)sign;
	if (r->flags & STORE_FLAG_DELETED)
		f->ix.h.deleted += (uint32_t)sign;
}

static void see_modseq(struct folder *f, uint64_t modseq)
{
	if (modseq > f->ix.h.modseq)
		f->ix.h.modseq = modseq;
}

static bool apply_add(struct folder *f, struct view payload, uint64_t at)
{
	struct log_add a;
	struct index *ix = &f->ix;

	if (payload.len <= sizeof a || payload.len > sizeof a + NAME_STEM_MAX)
		return false;
	memcpy(&a, payload.data, sizeof a);
	if (a.uid == 0 || ix->count >= STORE_MESSAGES_MAX ||
	    (ix->count && record_at(f, ix->count - 1)->uid >= a.uid))
		return false;
	struct record *r = index_append_record(f);

	*r = (struct record){ .uid = a.uid,
		              .flags = a.flags,
		              .keywords = a.keywords,
		              .modseq = a.modseq,
		              .size = a.size,
		              .date_s = a.date_s,
		              .name_at = at + sizeof a,
		              .cache_at = a.cache_at,
		              .cache_len = a.cache_len,
		              .name_len = (uint16_t)(payload.len - sizeof a),
		              .state = a.state & RECORD_STORED };
	if (a.uid >= ix->h.uidnext)
		ix->h.uidnext = a.uid + 1;
	see_modseq(f, a.modseq);
	count_record(f, r, 1);
	return true;
}

static bool apply_flags(struct folder *f, struct view payload, bool own)
{
	struct log_flags l;

	if (payload.len != sizeof l)
		return false;
	memcpy(&l, payload.data, sizeof l);
	struct record *r = record_find(f, l.uid);

	if (r == NULL)
		return true;
	count_record(f, r, -1);
	bool differs = r->flags != l.flags || r->keywords != l.keywords;

	r->flags = l.flags;
	r->keywords = l.keywords;
	r->modseq = l.modseq;
	count_record(f, r, 1);
	see_modseq(f, l.modseq);
	if (!own && differs)
		note_changed(f, r);
	return true;
}

static bool apply_expunge(struct folder *f, struct view payload)
{
	struct log_expunge l;

	if (payload.len != sizeof l)
		return false;
	memcpy(&l, payload.data, sizeof l);
	struct record *r = record_find(f, l.uid);

	see_modseq(f, l.modseq);
	if (r == NULL)
		return true;
	count_record(f, r, -1);
	r->state |= RECORD_GONE;
	f->gone++;
	return true;
}

static bool apply_meta(struct folder *f, struct view payload)
{
	struct log_meta l;

	if (payload.len != sizeof l)
		return false;
	memcpy(&l, payload.data, sizeof l);
	struct record *r = record_find(f, l.uid);

	if (r != NULL) {
		r->size = l.size;
		r->date_s = l.date_s;
		r->state = (uint16_t)((r->state & ~RECORD_STORED) | (l.state & RECORD_STORED));
	}
	return true;
}

static bool apply_cache(struct folder *f, struct view payload)
{
	struct log_cache l;

	if (payload.len != sizeof l)
		return false;
	memcpy(&l, payload.data, sizeof l);
	struct record *r = record_find(f, l.uid);

	if (r != NULL) {
		r->cache_at = l.at;
		r->cache_len = l.len;
	}
	return true;
}

static bool apply_keyword(struct folder *f, struct view payload, bool own)
{
	if (payload.len < 2 || (unsigned char)payload.data[0] >= STORE_KEYWORDS_MAX)
		return false;
	keyword_set(f, (unsigned char)payload.data[0], view_skip(payload, 1));
	if (!own)
		f->told_keywords = true;
	return true;
}

static bool apply_name(struct folder *f, struct view payload, uint64_t at)
{
	struct log_expunge l;

	if (payload.len <= sizeof l || payload.len > sizeof l + NAME_STEM_MAX)
		return false;
	memcpy(&l, payload.data, sizeof l);
	struct record *r = record_find(f, l.uid);

	if (r != NULL) {
		r->name_at = at + sizeof l;
		r->name_len = (uint16_t)(payload.len - sizeof l);
	}
	return true;
}

static bool apply_state(struct folder *f, struct view payload)
{
	struct log_state l;
	struct index_header *h = &f->ix.h;

	if (payload.len != sizeof l)
		return false;
	memcpy(&l, payload.data, sizeof l);
	memcpy(h->boot, l.boot, sizeof h->boot);
	if (l.uidnext > h->uidnext)
		h->uidnext = l.uidnext;
	if (l.first_recent > h->first_recent)
		h->first_recent = l.first_recent;
	h->cur_ns = l.cur_ns;
	h->new_ns = l.new_ns;
	h->scanned_s = l.scanned_s;
	f->ix.fresh = l.scanned_s == 0;
	h->settled = l.settled != 0;
	return true;
}

bool indexlog_apply(struct folder *f, uint32_t type, struct view payload, uint64_t at, bool own)
{
	switch (type) {
	case LOG_ADD: return apply_add(f, payload, at);
	case LOG_FLAGS: return apply_flags(f, payload, own);
	case LOG_EXPUNGE: return apply_expunge(f, payload);
	case LOG_META: return apply_meta(f, payload);
	case LOG_CACHE: return apply_cache(f, payload);
	case LOG_KEYWORD: return apply_keyword(f, payload, own);
	case LOG_STATE: return apply_state(f, payload);
	case LOG_NAME: return apply_name(f, payload, at);
	}
	return false;
}

/* Applies whole records; returns how many bytes they were. What follows is torn, or still being
 * written. */
static size_t apply_records(struct folder *f, const char *data, size_t len, uint64_t at, bool own)
{
	size_t done = 0;
	struct log_head head;

	while (len - done >= sizeof head) {
		memcpy(&head, data + done, sizeof head);
		size_t padded = ((size_t)head.len + LOG_ALIGN - 1) / LOG_ALIGN * LOG_ALIGN;
		const char *payload = data + done + sizeof head;

		if (head.len > len || padded > len - done - sizeof head ||
		    head.sum != log_sum(&f->ix, at + done, &head, payload) ||
		    !indexlog_apply(f, head.type, (struct view){ payload, head.len },
		                    at + done + sizeof head, own))
			break;
		done += sizeof head + padded;
	}
	return done;
}

/* locked: nobody is writing, so what cannot be read is damage. */
void index_read_log(struct folder *f, bool locked)
{
	struct index *ix = &f->ix;
	struct stat st;

	if (fstat(ix->fd, &st) < 0 || (uint64_t)st.st_size < ix->log_end ||
	    st.st_size - (off_t)ix->log_end > LOG_BATCH_MAX) {
		ix->broken = true;
		return;
	}
	size_t len = (size_t)st.st_size - ix->log_end, done = 0;

	if (len == 0)
		return;
	char *data = memory_get(len);

	if (file_read_at(ix->fd, data, len, ix->log_end) == FILE_WHOLE)
		done = apply_records(f, data, len, ix->log_end, false);
	ix->log_end += done;
	free(data);
	if (locked && done != len)
		ix->broken = true;
}

/* ---- committing ---- */

static void put_state(struct folder *f)
{
	const struct index_header *h = &f->ix.h;
	struct log_state l = { .uidnext = h->uidnext,
		               .first_recent = h->first_recent,
		               .cur_ns = h->cur_ns,
		               .new_ns = h->new_ns,
		               .scanned_s = h->scanned_s,
		               .settled = h->settled };

	memcpy(l.boot, store_boot(), sizeof l.boot);
	indexlog_put(f, LOG_STATE, &l, sizeof l, (struct view){ NULL, 0 });
}

static void seal_batch(struct folder *f)
{
	struct log_head head;

	for (size_t at = 0; at < f->log.len;) {
		memcpy(&head, f->log.raw + at, sizeof head);
		head.sum =
			log_sum(&f->ix, f->ix.log_end + at, &head, f->log.raw + at + sizeof head);
		memcpy(f->log.raw + at, &head, sizeof head);
		at += sizeof head + ((size_t)head.len + LOG_ALIGN - 1) / LOG_ALIGN * LOG_ALIGN;
	}
}

static int write_batch(struct folder *f)
{
	seal_batch(f);
	if (pwrite_whole(f->ix.fd, f->log.raw, f->log.len, f->ix.log_end) == 0)
		return 0;
	int kept_errno = errno;

	/* Half a batch must not stay in the way of the next one. */
	if (ftruncate(f->ix.fd, (off_t)f->ix.log_end) < 0)
		f->ix.broken = true;
	errno = kept_errno;
	return -1;
}

/* The directories have been changed already: a crash before the write costs the next session a
 * scan. */
int indexlog_commit(struct folder *f, struct reason *why)
{
	int result = 0;

	put_state(f);
	if (f->log.full) {
		result = fail(why, "index: the batch is too large");
	} else if (write_batch(f) < 0 &&
	           (f->ix.in_memory || index_to_memory(f) < 0 || write_batch(f) < 0)) {
		result = fail_errno(why, "write " INDEX_FILE);
	} else if (apply_records(f, f->log.raw, f->log.len, f->ix.log_end, true) != f->log.len) {
		result = fail(why, "index: a batch does not fit this folder");
	} else {
		f->ix.log_end += f->log.len;
		f->ix.window_len = 0;
	}
	if (result < 0)
		f->ix.broken = true;
	text_clear(&f->log);
	return result;
}
