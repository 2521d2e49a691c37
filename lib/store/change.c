/* SPDX-License-Identifier: ISC */
/* Flags, and messages that go. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/store/internal.h"

enum { LOG_BATCH_FLUSH = 4 << 20 };

/* The lock, and the directories as the index knows them, so that what this session renames is all
 * that changed. */
static enum store_result begin_locked(struct folder *f, struct reason *why)
{
	enum store_result result = folder_lock(f, why);

	if (result != STORE_OK)
		return result;
	result = folder_look(f, why);
	if (result == STORE_OK)
		result = folder_commit(f, false, why);
	if (result != STORE_OK)
		folder_unlock(f);
	return result;
}

static enum store_result begin_change(struct folder *f, struct reason *why)
{
	if (!f->read_only)
		return begin_locked(f, why);
	fail(why, "the folder is open read only");
	return STORE_READ_ONLY;
}

static enum store_result end_change(struct folder *f, enum store_result so_far, struct reason *why)
{
	/* What was done before a failure is written too. */
	enum store_result result = folder_commit(f, f->log.len > 0, why);

	folder_unlock(f);
	return so_far != STORE_OK ? so_far : result;
}

static void apply_change(enum store_change change, const struct record *r, uint32_t *flags,
                         uint64_t *keywords)
{
	const uint32_t kept = r->flags & ~(uint32_t)STORE_FLAGS_IMAP;

	switch (change) {
	case STORE_ADD:
		*flags |= r->flags;
		*keywords |= r->keywords;
		break;
	case STORE_REMOVE:
		*flags = r->flags & ~*flags;
		*keywords = r->keywords & ~*keywords;
		break;
	case STORE_REPLACE: *flags |= kept; break;
	}
}

/* 0, 1: the file is not where the index says, -1. */
static int store_one(struct folder *f, struct record *r, uint32_t flags, uint64_t keywords,
                     struct reason *why)
{
	char stem[NAME_STEM_MAX + 1], from[NAME_BYTES_MAX + 1], to[NAME_BYTES_MAX + 1];

	if (!record_stem(f, r, stem))
		return 1;
	name_format(from, view_of(stem), f->ix.h.uidvalidity, r->uid, r->flags, r->keywords);
	name_format(to, view_of(stem), f->ix.h.uidvalidity, r->uid, flags, keywords);
	if (strcmp(from, to) != 0 && renameat(f->cur, from, f->cur, to) < 0)
		return errno == ENOENT ? 1 : (fail_disk(why, "rename a message"), -1);
	struct log_flags l = {
		.uid = r->uid, .flags = flags, .keywords = keywords, .modseq = f->ix.h.modseq + 1
	};

	indexlog_put(f, LOG_FLAGS, &l, sizeof l, (struct view){ NULL, 0 });
	return 0;
}

/* Commits what there is and looks at the directory: the index and the files have come apart. */
static enum store_result look_again(struct folder *f, struct reason *why)
{
	enum store_result result = folder_commit(f, f->log.len > 0, why);

	f->must_scan = true;
	if (result == STORE_OK)
		result = folder_look(f, why);
	if (result == STORE_OK)
		result = folder_commit(f, false, why);
	return result;
}

/* A full disk has no room for a new name, and whoever cannot mark what is to go cannot make any:
 * the mark is this session's, until EXPUNGE. Other flags of what is to go are not worth a refusal.
 */
static bool doom(struct folder *f, struct record *r, uint32_t want_flags, int error)
{
	if (!(want_flags & STORE_FLAG_DELETED) || (error != ENOSPC && error != EDQUOT))
		return false;
	r->state |= RECORD_DOOMED;
	f->dooms = true;
	return true;
}

static void spare(struct record *r, enum store_change change, uint32_t flags)
{
	bool deletes = flags & STORE_FLAG_DELETED;

	if (change == STORE_REMOVE ? deletes : change == STORE_REPLACE && !deletes)
		r->state &= (uint16_t)~RECORD_DOOMED;
}

static enum store_result store_seq(struct folder *f, uint32_t seq, enum store_change change,
                                   uint32_t flags, uint64_t keywords, struct reason *why)
{
	for (int attempt = 0; attempt < 2; attempt++) {
		struct record *r = record_at(f, seq - 1);
		uint32_t want_flags = flags;
		uint64_t want_keywords = keywords;

		if (r->state & RECORD_GONE)
			return STORE_OK;
		spare(r, change, flags);
		apply_change(change, r, &want_flags, &want_keywords);
		if (want_flags == r->flags && want_keywords == r->keywords)
			return STORE_OK;
		int done = store_one(f, r, want_flags, want_keywords, why);

		if (done == 0 || (done < 0 && doom(f, r, want_flags, errno)))
			return STORE_OK;
		if (done < 0)
			return disk_result(errno);
		if (attempt == 0) {
			enum store_result result = look_again(f, why);

			if (result != STORE_OK)
				return result;
		}
	}
	return STORE_OK;
}

enum store_result folder_store(struct folder *f, const uint32_t *seqs, uint32_t count,
                               enum store_change change, uint32_t flags, uint64_t keywords,
                               struct reason *why)
{
	enum store_result result = begin_change(f, why);

	if (result != STORE_OK)
		return result;
	for (uint32_t i = 0; i < count && result == STORE_OK; i++) {
		if (seqs[i] < 1 || seqs[i] > f->told_count)
			continue;
		result = store_seq(f, seqs[i], change, flags, keywords, why);
		if (result == STORE_OK && f->log.len > LOG_BATCH_FLUSH)
			result = folder_commit(f, true, why);
	}
	return end_change(f, result, why);
}

/* ---- removing ---- */

struct removal {
	int64_t bytes, messages; /* for the quota */
	bool *mine; /* NULL, or for each of the list: it was this call that removed it */
};

static int remove_one(struct folder *f, const struct record *r, struct removal *removed,
                      struct reason *why)
{
	struct log_expunge l = { .uid = r->uid, .modseq = f->ix.h.modseq + 1 };
	char name[NAME_BYTES_MAX + 1];
	struct stat st = { 0 };

	if (!record_name(f, r, name))
		return 1;
	if (f->store->quota_bytes && fstatat(f->cur, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		st.st_size = 0;
	if (unlinkat(f->cur, name, 0) < 0)
		return errno == ENOENT ? 1 : (fail_disk(why, "remove a message"), -1);
	removed->bytes += st.st_size;
	removed->messages++;
	indexlog_put(f, LOG_EXPUNGE, &l, sizeof l, (struct view){ NULL, 0 });
	return 0;
}

static enum store_result remove_uid(struct folder *f, uint32_t uid, struct removal *removed,
                                    struct reason *why)
{
	for (int attempt = 0; attempt < 2; attempt++) {
		const struct record *r = record_find(f, uid);
		int done = r == NULL ? 0 : remove_one(f, r, removed, why);

		if (done <= 0)
			return done < 0 ? disk_result(errno) : STORE_OK;
		if (attempt == 0) {
			enum store_result result = look_again(f, why);

			if (result != STORE_OK)
				return result;
		}
	}
	return STORE_OK;
}

/* The lock is held, and is given back here. */
static enum store_result remove_list(struct folder *f, const uint32_t *uids, uint32_t count,
                                     bool deleted_only, struct removal *removed, struct reason *why)
{
	enum store_result result = STORE_OK;

	for (uint32_t i = 0; i < count && result == STORE_OK; i++) {
		const struct record *r = record_find(f, uids[i]);

		if (r == NULL || (deleted_only && !(record_flags(r) & STORE_FLAG_DELETED)))
			continue;
		int64_t before = removed->messages;

		result = remove_uid(f, uids[i], removed, why);
		if (removed->mine)
			removed->mine[i] = removed->messages > before;
	}
	return end_change(f, result, why);
}

static void tell_quota(struct folder *f, const struct removal *removed)
{
	if (removed->messages && f->store->quota_bytes)
		quota_add(f->store, -removed->bytes, -removed->messages);
}

enum store_result folder_take(struct folder *f, const uint32_t *uids, uint32_t count, bool *mine,
                              struct reason *why)
{
	enum store_result result = begin_change(f, why);
	struct removal removed = { .mine = mine };

	return result == STORE_OK ? remove_list(f, uids, count, false, &removed, why) : result;
}

void folder_take_back(struct folder *f, const uint32_t *uids, uint32_t count)
{
	struct removal removed = { 0 };

	if (begin_locked(f, NULL) == STORE_OK)
		remove_list(f, uids, count, false, &removed, NULL);
}

enum store_result folder_remove(struct folder *f, const uint32_t *uids, uint32_t count,
                                struct reason *why)
{
	enum store_result result = begin_change(f, why);
	struct removal removed = { 0 };

	if (result == STORE_OK)
		result = remove_list(f, uids, count, false, &removed, why);
	tell_quota(f, &removed);
	return result;
}

/* Every UID with \\Deleted; the caller frees it. */
static uint32_t *list_deleted(struct folder *f, uint32_t *count)
{
	uint32_t most = f->dooms ? f->ix.count : f->ix.h.deleted;
	uint32_t *all = memory_get((most + 1) * sizeof *all);

	*count = 0;
	for (uint32_t i = 0; i < f->ix.count && *count < most; i++) {
		const struct record *r = record_at(f, i);

		if (!(r->state & RECORD_GONE) && record_flags(r) & STORE_FLAG_DELETED)
			all[(*count)++] = r->uid;
	}
	return all;
}

enum store_result folder_expunge(struct folder *f, const uint32_t *uids, uint32_t count,
                                 struct reason *why)
{
	enum store_result result = begin_change(f, why);
	struct removal removed = { 0 };
	uint32_t *all = NULL;

	if (result != STORE_OK)
		return result;
	if (uids == NULL)
		uids = all = list_deleted(f, &count);
	result = remove_list(f, uids, count, true, &removed, why);
	tell_quota(f, &removed);
	free(all);
	return result;
}
