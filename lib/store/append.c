/* SPDX-License-Identifier: ISC */
/*
 * Messages that come in by APPEND, COPY and MOVE. They are put together in tmp of the folder they
 * go to, without its lock, and come into cur under it with their UIDs: no session ever holds two
 * folders' locks.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/store/internal.h"

enum { APPEND_BUFFER = 65536 };

/* One message waiting in tmp under its stem. */
struct staged {
	char stem[NAME_STEM_MAX + 1];
	uint32_t flags;
	uint64_t keywords;
	uint64_t wire_size; /* 0: to be measured */
	int64_t date_s;
	uint64_t file_size;
	bool used, has_lf;
};

static void unstage(struct folder *to, struct staged *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (list[i].used)
			unlinkat(to->tmp, list[i].stem, 0);
}

static void put_staged(struct folder *to, const struct staged *s, uint32_t uid)
{
	struct log_add a = { .uid = uid,
		             .flags = s->flags,
		             .keywords = s->keywords,
		             .modseq = to->ix.h.modseq + 1,
		             .size = s->wire_size,
		             .date_s = s->date_s,
		             .state = RECORD_HAS_DATE };

	if (s->wire_size)
		a.state |= RECORD_HAS_SIZE | (s->has_lf ? RECORD_HAS_LF : 0);
	indexlog_put(to, LOG_ADD, &a, sizeof a, view_of(s->stem));
}

static void take_back(struct folder *to, struct staged *list, uint32_t count, const uint32_t *uids)
{
	char name[NAME_BYTES_MAX + 1];

	for (uint32_t i = 0; i < count; i++)
		if (list[i].used && uids[i]) {
			name_format(name, view_of(list[i].stem), to->ix.h.uidvalidity, uids[i],
			            list[i].flags, list[i].keywords);
			unlinkat(to->cur, name, 0);
			list[i].used = false;
		}
	text_clear(&to->log);
}

/* All into cur, or none: RFC 3501 section 6.4.7. A crash in the middle of the renames leaves some,
 * whole. They are on disk before anybody is told, and before a MOVE removes what they were made of:
 * that their renames come first is an order on no file system but those with one journal. */
static enum store_result publish_locked(struct folder *to, struct staged *list, uint32_t count,
                                        uint32_t *uids, struct reason *why)
{
	char name[NAME_BYTES_MAX + 1];
	uint32_t used = 0;

	for (uint32_t i = 0; i < count; i++)
		used += list[i].used;
	if (used && claim_uids(to, used, why) < 0)
		return to->refused ? disk_result(errno) : STORE_FAILED;
	for (uint32_t i = 0; i < count; i++) {
		if (!list[i].used)
			continue;
		uint32_t uid = to->ix.h.uidnext;

		name_format(name, view_of(list[i].stem), to->ix.h.uidvalidity, uid, list[i].flags,
		            list[i].keywords);
		if (renameat(to->tmp, list[i].stem, to->cur, name) < 0) {
			enum store_result result = fail_disk(why, "rename into cur");

			take_back(to, list, i, uids);
			return result;
		}
		put_staged(to, &list[i], uid);
		uids[i] = uid;
		to->ix.h.uidnext = uid + 1;
	}
	if (fsync(to->cur) < 0) {
		enum store_result result = fail_disk(why, "sync cur");

		take_back(to, list, count, uids);
		return result;
	}
	/* Told NO, they are not there either; the scan that a lost batch costs would find them. */
	enum store_result result = folder_commit(to, true, why);

	if (result != STORE_OK)
		take_back(to, list, count, uids);
	return result;
}

static enum store_result publish(struct folder *to, struct staged *list, uint32_t count,
                                 uint32_t *uids, struct reason *why)
{
	enum store_result result = folder_lock(to, why);

	memset(uids, 0, count * sizeof *uids);
	if (result == STORE_OK) {
		result = folder_look(to, why);
		if (result == STORE_OK)
			result = folder_commit(to, false, why);
		if (result == STORE_OK)
			result = publish_locked(to, list, count, uids, why);
		folder_unlock(to);
	}
	if (result != STORE_OK)
		unstage(to, list, count);
	return result;
}

/* ---- APPEND ---- */

struct folder_append {
	struct folder *to;
	int fd;
	struct staged staged;
	uint64_t written, bare; /* LF without CR */
	char last;
	struct text buffer;
};

enum store_result folder_append_begin(struct folder *to, uint64_t size_bytes,
                                      struct folder_append **out, struct reason *why)
{
	enum store_result result = store_quota_check(to->store, size_bytes, why);

	*out = NULL;
	if (result != STORE_OK)
		return result;
	struct folder_append *a = memory_get(sizeof *a);

	a->to = to;
	name_unique(a->staged.stem);
	a->fd = openat(to->tmp, a->staged.stem, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	               0600);
	if (a->fd < 0) {
		free(a);
		return fail_disk(why, "make a file in tmp");
	}
	a->staged.used = true;
	text_init(&a->buffer, APPEND_BUFFER);
	*out = a;
	return STORE_OK;
}

static enum store_result flush_append(struct folder_append *a, struct view bytes,
                                      struct reason *why)
{
	if (write_whole(a->fd, bytes.data, bytes.len) == 0)
		return STORE_OK;
	return fail_disk(why, "write message");
}

static void count_lines(struct folder_append *a, struct view bytes)
{
	const char *end = bytes.data + bytes.len;

	for (const char *p = bytes.data;
	     p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
		a->bare += (p > bytes.data ? p[-1] : a->last) != '\r';
	if (bytes.len)
		a->last = end[-1];
	a->written += bytes.len;
}

enum store_result folder_append_write(struct folder_append *a, struct view bytes,
                                      struct reason *why)
{
	enum store_result result = STORE_OK;

	count_lines(a, bytes);
	if (!text_has_room(&a->buffer, bytes.len)) {
		result = flush_append(a, text_view(&a->buffer), why);
		text_clear(&a->buffer);
	}
	if (result != STORE_OK)
		return result;
	if (!text_has_room(&a->buffer, bytes.len))
		return flush_append(a, bytes, why);
	text_add(&a->buffer, bytes);
	return STORE_OK;
}

void folder_append_abort(struct folder_append **append)
{
	struct folder_append *a = *append;

	if (a == NULL)
		return;
	unstage(a->to, &a->staged, 1);
	close(a->fd);
	text_free(&a->buffer);
	free(a);
	*append = NULL;
}

/* The file gets the name that tells its size, the time that is its INTERNALDATE, and is on disk. */
static enum store_result settle_append(struct folder_append *a, int64_t date_s, struct reason *why)
{
	struct staged *s = &a->staged;
	char first_stem[NAME_STEM_MAX + 1];
	struct stat st;

	string_put(first_stem, sizeof first_stem, view_of(s->stem));
	enum store_result result = flush_append(a, text_view(&a->buffer), why);

	if (result != STORE_OK)
		return result;
	if (date_s != STORE_DATE_NOW) {
		struct timespec times[2] = { { .tv_sec = date_s }, { .tv_sec = date_s } };

		if (futimens(a->fd, times) < 0)
			return fail_disk(why, "set the message's date");
	}
	if (fsync(a->fd) < 0 || fstat(a->fd, &st) < 0)
		return fail_disk(why, "sync message");
	s->date_s = st.st_mtim.tv_sec;
	s->file_size = a->written;
	s->wire_size = a->written + a->bare;
	s->has_lf = a->bare > 0;
	name_add_size(s->stem, a->written, s->wire_size);
	if (renameat(a->to->tmp, first_stem, a->to->tmp, s->stem) == 0)
		return STORE_OK;
	result = fail_disk(why, "rename in tmp");
	string_put(s->stem, sizeof s->stem, view_of(first_stem));
	return result;
}

enum store_result folder_append_finish(struct folder_append **append, uint32_t flags,
                                       uint64_t keywords, int64_t date_s, uint32_t *uid,
                                       struct reason *why)
{
	struct folder_append *a = *append;
	uint32_t given = 0;
	enum store_result result = settle_append(a, date_s, why);

	a->staged.flags = flags;
	a->staged.keywords = keywords;
	if (result == STORE_OK)
		result = store_quota_check(a->to->store, a->written, why);
	if (result == STORE_OK) {
		result = publish(a->to, &a->staged, 1, &given, why);
		a->staged.used = false;
	}
	if (result == STORE_OK && a->to->store->quota_bytes)
		quota_add(a->to->store, (int64_t)a->written, 1);
	if (uid != NULL)
		*uid = given;
	folder_append_abort(append);
	return result;
}

/* ---- COPY and MOVE ---- */

/* Where a link cannot be had (another file system below this home, a limit on links). */
static int copy_file(int from, int dir, const char *name, const struct stat *st)
{
	char buffer[APPEND_BUFFER];
	struct timespec times[2] = { st->st_mtim, st->st_mtim };
	int to = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600),
	    result = -1, kept_errno;
	ssize_t got = -1;
	uint64_t at = 0;

	if (to < 0)
		return -1;
	while ((got = file_read_some_at(from, buffer, sizeof buffer, at)) > 0 &&
	       write_whole(to, buffer, (size_t)got) == 0)
		at += (uint64_t)got;
	if (got == 0 && futimens(to, times) == 0 && fsync(to) == 0)
		result = 0;
	kept_errno = errno;
	close(to);
	if (result < 0)
		unlinkat(dir, name, 0);
	errno = kept_errno;
	return result;
}

/* The keywords have other numbers in the other folder. All of them get theirs before the first
 * message is there, or none. */
static enum store_result translate_keywords(struct folder *f, struct folder *to,
                                            struct staged *list, uint32_t count, struct reason *why)
{
	struct view names[STORE_KEYWORDS_MAX];
	uint64_t used = 0, bits;
	unsigned named = 0;

	for (uint32_t i = 0; i < count; i++)
		used |= list[i].keywords;
	for (unsigned n = 0; n < STORE_KEYWORDS_MAX; n++)
		if (used & 1ull << n && f->keywords[n])
			names[named++] = view_of(f->keywords[n]);
	enum store_result result = folder_keywords(to, names, named, true, &bits, why);

	for (uint32_t i = 0; i < count && result == STORE_OK; i++) {
		uint64_t old = list[i].keywords;

		list[i].keywords = 0;
		for (unsigned n = 0; n < STORE_KEYWORDS_MAX && old >> n; n++) {
			int number = old & 1ull << n && f->keywords[n]
			                     ? folder_keyword(to, view_of(f->keywords[n]), false)
			                     : -1;

			if (number >= 0)
				list[i].keywords |= 1ull << number;
		}
	}
	return result;
}

/* A stem of its own: in the same folder twice the file is another message. */
static void stage_name(struct staged *s, const struct record *r, uint64_t file_size)
{
	name_unique(s->stem);
	if (r->state & RECORD_HAS_SIZE)
		name_add_size(s->stem, file_size, r->size);
}

static enum store_result stage_one(struct folder *f, uint32_t seq, struct folder *to,
                                   struct staged *s, struct reason *why)
{
	struct stat st;
	int fd;
	char name[NAME_BYTES_MAX + 1];
	enum store_result result = open_message_file(f, seq, &fd, &st, why);

	if (result == STORE_GONE)
		return STORE_OK; /* passed over */
	if (result != STORE_OK)
		return result;
	const struct record *r = record_at(f, seq - 1);

	*s = (struct staged){ .flags = r->flags,
		              .keywords = r->keywords,
		              .file_size = (uint64_t)st.st_size,
		              .date_s = st.st_mtim.tv_sec };
	if (r->state & RECORD_HAS_SIZE) {
		s->wire_size = r->size;
		s->has_lf = (r->state & RECORD_HAS_LF) != 0;
	}
	stage_name(s, r, s->file_size);
	if (!record_name(f, r, name) || (linkat(f->cur, name, to->tmp, s->stem, 0) < 0 &&
	                                 copy_file(fd, to->tmp, s->stem, &st) < 0)) {
		result = fail_disk(why, "copy message");
	} else {
		s->used = true;
	}
	close(fd);
	return result;
}

static void copy_cache(struct folder *f, const uint32_t *seqs, uint32_t count, struct folder *to,
                       const uint32_t *uids)
{
	for (uint32_t i = 0; i < count; i++) {
		struct view piece =
			uids[i] ? folder_cache_get(f, seqs[i]) : (struct view){ NULL, 0 };

		if (piece.len)
			cache_put_uid(to, uids[i], piece);
	}
}

static enum store_result check_room(struct folder *to, const struct staged *list, uint32_t count,
                                    uint64_t *bytes, uint64_t *messages, struct reason *why)
{
	for (uint32_t i = 0; i < count; i++) {
		*bytes += list[i].used ? list[i].file_size : 0;
		*messages += list[i].used;
	}
	return store_quota_check(to->store, *bytes, why);
}

static enum store_result copy_list(struct folder *f, const uint32_t *seqs, uint32_t count,
                                   struct folder *to, uint32_t *uids, bool moves,
                                   struct reason *why)
{
	struct staged *list = memory_get((count + 1) * sizeof *list);
	enum store_result result = STORE_OK;
	uint64_t bytes = 0, messages = 0;

	for (uint32_t i = 0; i < count && result == STORE_OK; i++)
		result = stage_one(f, seqs[i], to, &list[i], why);
	if (result == STORE_OK)
		result = translate_keywords(f, to, list, count, why);
	if (result == STORE_OK && !moves)
		result = check_room(to, list, count, &bytes, &messages, why);
	if (result != STORE_OK)
		unstage(to, list, count);
	else
		result = publish(to, list, count, uids, why);
	if (result == STORE_OK) {
		copy_cache(f, seqs, count, to, uids);
		if (to->store->quota_bytes && !moves)
			quota_add(to->store, (int64_t)bytes, (int64_t)messages);
	}
	free(list);
	return result;
}

enum store_result folder_copy(struct folder *f, const uint32_t *seqs, uint32_t count,
                              struct folder *to, uint32_t *uids, struct reason *why)
{
	uint32_t *given = uids ? uids : memory_get((count + 1) * sizeof *given);
	enum store_result result = copy_list(f, seqs, count, to, given, false, why);

	if (given != uids)
		free(given);
	return result;
}

/* A copy whose original this session did not remove is not there either: the original stays where
 * it could not be removed (RFC 6851 section 3.3), or it went with another session, whose copy is
 * the one. Nothing is lost at that: whoever removes an original has its copy on disk. */
static void move_back(struct folder *to, uint32_t *given, const uint32_t *places, const bool *mine,
                      uint32_t count)
{
	uint32_t *copies = memory_get((count + 1) * sizeof *copies), kept = 0;

	for (uint32_t i = 0; i < count; i++)
		if (!mine[i]) {
			copies[kept++] = given[places[i]];
			given[places[i]] = 0;
		}
	if (kept)
		folder_take_back(to, copies, kept);
	free(copies);
}

/* The originals of what has been copied. */
static enum store_result take_originals(struct folder *f, const uint32_t *seqs, uint32_t count,
                                        struct folder *to, uint32_t *given, struct reason *why)
{
	uint32_t *originals = memory_get((count + 1) * sizeof *originals);
	uint32_t *places = memory_get((count + 1) * sizeof *places), copied = 0;
	bool *mine = memory_get(count + 1);
	enum store_result result = STORE_OK;

	for (uint32_t i = 0; i < count; i++)
		if (given[i]) {
			places[copied] = i;
			originals[copied++] = folder_uid(f, seqs[i]);
		}
	if (copied) {
		result = folder_take(f, originals, copied, mine, why);
		move_back(to, given, places, mine, copied);
	}
	free(originals);
	free(places);
	free(mine);
	return result;
}

/* A crash or a power cut in between leaves the message in both folders, at worst. */
enum store_result folder_move(struct folder *f, const uint32_t *seqs, uint32_t count,
                              struct folder *to, uint32_t *uids, struct reason *why)
{
	uint32_t *given = uids ? uids : memory_get((count + 1) * sizeof *given);
	enum store_result result = STORE_READ_ONLY;

	if (f->read_only)
		fail(why, "the folder is open read only");
	else
		result = copy_list(f, seqs, count, to, given, true, why);
	if (result == STORE_OK)
		result = take_originals(f, seqs, count, to, given, why);
	if (given != uids)
		free(given);
	return result;
}
