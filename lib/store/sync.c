/* SPDX-License-Identifier: ISC */
/* Looking at the directories, keeping up with the other sessions, and what they are told at
 * folder_sync. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/store/internal.h"

enum { RESCAN_S = 3600, RESCAN_FIRST_S = 2, RESCANNED_PER_S = 25 };

/* ---- looking at the directories ---- */

/* Once in a while after own changes, whatever the times say (INTERNALS, "Change times"): as seldom
 * as it is dear, a message in 20 us. */
static bool scan_is_due(const struct folder *f)
{
	const struct index_header *h = &f->ix.h;
	int64_t pause_s = f->ix.count / RESCANNED_PER_S;

	if (h->cur_ns / 1000000000 < h->scanned_s)
		return false;
	if (pause_s < RESCAN_FIRST_S)
		pause_s = RESCAN_FIRST_S;
	return now_ns() / 1000000000 - h->scanned_s > (pause_s < RESCAN_S ? pause_s : RESCAN_S);
}

static bool cur_known(struct folder *f)
{
	const struct index_header *h = &f->ix.h;

	if (f->must_scan || f->ix.broken || h->cur_ns == 0 || directory_ns(f->cur) != h->cur_ns ||
	    scan_is_due(f))
		return false;
	/* A change within the tick of the last scan could have been missed: one more look when the
	 * tick is over, or at once when the watch says that there was one. */
	return h->settled || (!f->stirred && now_ns() - h->cur_ns < tick_ns(h->cur_ns));
}

static bool new_known(struct folder *f)
{
	int64_t ns = directory_ns(f->new);

	return ns != 0 && (ns == f->ix.h.new_ns || ns == f->new_seen_ns);
}

/* After our own renames. Where times are whole seconds a change of somebody else's may come behind
 * them within the same one: one more look. */
static void know_cur(struct folder *f)
{
	struct index_header *h = &f->ix.h;

	h->cur_ns = directory_ns(f->cur);
	if (is_coarse(h->cur_ns))
		h->settled = 0;
}

enum store_result folder_look(struct folder *f, struct reason *why)
{
	enum store_result result;

	if (!cur_known(f))
		return scan_all(f, why);
	if (new_known(f))
		return STORE_OK;
	result = scan_new(f, why);
	if (result == STORE_OK && f->log.len)
		know_cur(f);
	return result;
}

static bool state_changed(const struct index_header *a, const struct index_header *b)
{
	return a->uidnext != b->uidnext || a->first_recent != b->first_recent ||
	       a->cur_ns != b->cur_ns || a->new_ns != b->new_ns || a->settled != b->settled ||
	       a->scanned_s != b->scanned_s;
}

enum store_result folder_commit(struct folder *f, bool own, struct reason *why)
{
	if (own)
		know_cur(f);
	if (f->log.len == 0 && !state_changed(&f->ix.h, &f->as_written))
		return STORE_OK;
	if (indexlog_commit(f, why) < 0)
		return STORE_FAILED;
	f->as_written = f->ix.h;
	if (index_wants_compaction(&f->ix)) {
		cache_compact(f);
		index_write(f); /* what fails here is tried again by the next */
		f->as_written = f->ix.h;
	}
	return STORE_OK;
}

/* Marks what nobody was shown as this session's \Recent (RFC 3501 section 2.3.2). */
static void claim_recent(struct folder *f, uint32_t first)
{
	for (uint32_t i = f->ix.count; i > 0; i--) {
		struct record *r = record_at(f, i - 1);

		if (r->uid < first)
			break;
		if (r->state & (RECORD_GONE | RECORD_RECENT))
			continue;
		r->state |= RECORD_RECENT;
		f->recent++;
	}
}

static enum store_result work_locked(struct folder *f, struct reason *why)
{
	if (f->unreserved)
		check_reserved(f);
	enum store_result result = folder_look(f, why);
	uint32_t first = f->ix.h.first_recent;

	if (result != STORE_OK) {
		/* What was renamed already is told to the others; the rest is looked for again. */
		f->must_scan = true;
		if (f->log.len)
			indexlog_commit(f, NULL);
		return result;
	}
	rewrite_lost_uids(f);
	if (!f->read_only)
		f->ix.h.first_recent = f->ix.h.uidnext;
	result = folder_commit(f, false, why);
	if (!f->read_only)
		claim_recent(f, first);
	return result;
}

static bool needs_work(struct folder *f)
{
	return f->ix.broken || f->ix.in_memory || f->uids_lost || f->unreserved || !cur_known(f) ||
	       !new_known(f) || (!f->read_only && f->ix.h.first_recent < f->ix.h.uidnext);
}

static enum store_result catch_up_unlocked(struct folder *f)
{
	struct stat st;

	if (fstatat(f->dir, INDEX_FILE, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_ino != f->ix.inode ||
	    st.st_dev != f->ix.device || (uint64_t)st.st_size < f->ix.log_end)
		return STORE_FAILED;
	if ((uint64_t)st.st_size > f->ix.log_end)
		index_read_log(f, false);
	return STORE_OK;
}

/* Nobody changes anything there. */
static bool still_frozen(struct folder *f)
{
	f->frozen = f->frozen && faccessat(f->dir, ".", W_OK, 0) < 0 && errno == EROFS;
	return f->frozen;
}

static enum store_result refresh(struct folder *f, struct reason *why)
{
	enum store_result result;

	if (f->ix.fd >= 0 && f->ix.in_memory && !f->ix.broken && still_frozen(f))
		return STORE_OK;
	if (f->ix.fd >= 0 && catch_up_unlocked(f) == STORE_OK && !needs_work(f))
		return STORE_OK;
	result = folder_lock(f, why);
	if (result != STORE_OK)
		return result;
	result = work_locked(f, why);
	folder_unlock(f);
	return result;
}

enum store_result folder_refresh(struct folder *f, struct reason *why)
{
	enum store_result result = refresh(f, why);

	/* Whoever opens it again finds another UIDVALIDITY. */
	if (f->used_up)
		result = STORE_GONE;
	/* EXAMINE shows what is \Recent and leaves it to the next SELECT (RFC 3501 section
	 * 6.3.2). */
	if (result == STORE_OK && f->read_only)
		claim_recent(f, f->ix.h.first_recent);
	return result;
}

/* Opening: the index as it is, and nothing more when the directories are as it says. */
enum store_result folder_first_sync(struct folder *f, struct reason *why)
{
	if (index_open(f) == 0) {
		index_read_log(f, false);
		check_boot(f);
		if (!validity_agrees(f) || f->worn_out)
			index_close(&f->ix);
	}
	return folder_refresh(f, why);
}

/* ---- telling ---- */

static uint32_t *list_room(struct folder *f, uint32_t count)
{
	if (count > f->list_capacity) {
		f->list_capacity = count + 64;
		f->list = memory_grow(f->list, f->list_capacity * sizeof *f->list);
	}
	return f->list;
}

/* Takes the gone out of the view; the sequence numbers go to the list, highest first. */
static uint32_t drop_gone(struct folder *f, uint32_t *list)
{
	struct index *ix = &f->ix;
	uint32_t count = 0, kept = 0;

	index_load_all(f);
	for (uint32_t i = ix->count; i > 0; i--)
		if (ix->records[i - 1].state & RECORD_GONE && i <= f->told_count)
			list[count++] = i;
	for (uint32_t i = 0; i < ix->count; i++) {
		if (ix->records[i].state & RECORD_GONE)
			f->recent -= (ix->records[i].state & RECORD_RECENT) != 0;
		else
			ix->records[kept++] = ix->records[i];
	}
	ix->count = kept;
	f->gone = 0;
	return count;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static uint32_t take_changed(struct folder *f, uint32_t *list, uint32_t told)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < f->changed_count; i++) {
		struct record *r = record_find(f, f->changed[i]);

		if (r == NULL)
			continue;
		r->state &= (uint16_t)~RECORD_CHANGED;
		uint32_t seq = (uint32_t)(r - f->ix.records) + 1;

		/* A message that is only now told of is fetched with its flags. */
		if (seq <= told)
			list[count++] = seq;
	}
	f->changed_count = 0;
	if (count)
		qsort(list, count, sizeof *list, by_number);
	return count;
}

static void tell(struct folder *f, unsigned what, struct folder_changes *out)
{
	bool grew = f->ix.count > f->told_count;
	uint32_t gone = what & STORE_EXPUNGES ? f->gone : 0;
	/* One more than is needed: a list of none is no NULL, to which nothing may be added. */
	uint32_t *list = list_room(f, gone + f->changed_count + 1);
	uint32_t told = f->told_count;

	*out = (struct folder_changes){ .expunged = list };
	if (gone) {
		out->expunged_count = drop_gone(f, list);
		told -= out->expunged_count;
	}
	out->flags = list + out->expunged_count;
	out->flags_count = take_changed(f, list + out->expunged_count, told);
	out->exists = grew;
	out->recent = f->recent != f->told_recent;
	out->keywords = f->told_keywords;
	f->told_keywords = false;
	f->told_count = f->ix.count;
	f->told_recent = f->recent;
}

enum store_result folder_sync(struct folder *f, unsigned what, struct folder_changes *out,
                              struct reason *why)
{
	enum store_result result;

	drain_watch(f);
	folder_cache_flush(f);
	result = folder_refresh(f, why);
	f->stirred = f->stirred && result != STORE_OK;
	*out = (struct folder_changes){ 0 };
	if (result == STORE_OK && f->gone)
		index_load_all(f);
	if (result == STORE_OK && f->ix.lost)
		result = fail_lost(why);
	if (result == STORE_OK)
		tell(f, what, out);
	return result;
}
