/* SPDX-License-Identifier: ISC */
/*
 * What lies in cur and new, brought together with the index: UIDs for what has none, flags that
 * other programs changed, messages that they removed. Under the folder's lock, but those programs
 * do not know it: a directory is read again when it changed meanwhile, and a file that is gone when
 * its turn comes is passed over.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/arena.h"
#include "lib/store/internal.h"

enum { SCAN_RETRIES = 5 };
struct found {
	char *name, *stem;
	uint32_t validity, uid, flags;
	uint64_t keywords, size, wire_size;
	bool in_new, canonical, has_size, has_wire;
};

struct scan {
	struct arena arena;
	struct found *found;
	uint32_t count, capacity;
};

static void scan_free(struct scan *s)
{
	arena_clear(&s->arena);
	free(s->found);
	*s = (struct scan){ 0 };
}

static bool is_message(int dir, const struct dirent *e)
{
	struct stat st;

	if (e->d_name[0] == '.' || (e->d_type != DT_REG && e->d_type != DT_UNKNOWN))
		return false;
	return e->d_type == DT_REG ||
	       (fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode));
}

static void add_found(struct scan *s, const char *name, bool in_new)
{
	struct message_name parsed;

	if (s->count == s->capacity) {
		s->capacity = s->capacity * 2 + 64;
		s->found = memory_grow(s->found, s->capacity * sizeof *s->found);
	}
	struct found *e = &s->found[s->count++];

	if (!name_parse(view_of(name), &parsed)) {
		/* Longer than a stem may be: it gets one of ours. */
		parsed = (struct message_name){ 0 };
		name_unique(parsed.stem);
	}
	*e = (struct found){ .validity = parsed.validity,
		             .uid = parsed.uid,
		             .flags = parsed.flags,
		             .keywords = parsed.keywords,
		             .size = parsed.size,
		             .wire_size = parsed.wire_size,
		             .in_new = in_new,
		             .canonical = parsed.canonical,
		             .has_size = parsed.has_size,
		             .has_wire = parsed.has_wire };
	e->name = arena_string(&s->arena, view_of(name));
	e->stem = arena_string(&s->arena, view_of(parsed.stem));
}

static int list(struct scan *s, int dir, bool in_new, struct reason *why)
{
	const struct dirent *e;
	struct walk w;

	walk_begin(&w, dir, ".");
	while ((e = walk_next(&w)) != NULL)
		if (is_message(dir, e) && s->count < STORE_MESSAGES_MAX)
			add_found(s, e->d_name, in_new);
	return walk_end(&w) < 0 ? fail_errno(why, "read %s", in_new ? "new" : "cur") : 0;
}

static int by_uid(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->uid != y->uid)
		return x->uid < y->uid ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int by_age(const void *a, const void *b)
{
	const struct found *x = a, *y = b;
	int order = name_order(x->stem, y->stem);

	return order ? order : strcmp(x->name, y->name);
}

/* ---- one message into the index ---- */

/* The name it shall have in cur; it comes from where it is.  1: it is gone. */
static int rename_to_cur(struct folder *f, const struct found *e, uint32_t uid, struct reason *why)
{
	char name[NAME_BYTES_MAX + 1];

	name_format(name, view_of(e->stem), f->ix.h.uidvalidity, uid, e->flags, e->keywords);
	if (!e->in_new && strcmp(name, e->name) == 0)
		return 0;
	if (renameat(e->in_new ? f->new : f->cur, e->name, f->cur, name) == 0)
		return 0;
	if (errno == ENOENT)
		return 1;
	fail_disk(why, "rename a message");
	return -1;
}

static void put_add(struct folder *f, const struct found *e, uint32_t uid, const struct stat *st)
{
	struct log_add a = {
		.uid = uid, .flags = e->flags, .keywords = e->keywords, .modseq = f->ix.h.modseq + 1
	};

	/* S= and W= are believed as long as they agree with the file; otherwise it is measured when
	 * asked for. */
	if (e->has_wire && e->has_size && e->size == (uint64_t)st->st_size &&
	    e->wire_size >= e->size) {
		a.size = e->wire_size;
		a.state |= RECORD_HAS_SIZE | (e->wire_size != e->size ? RECORD_HAS_LF : 0);
	}
	a.date_s = st->st_mtim.tv_sec;
	a.state |= RECORD_HAS_DATE;
	indexlog_put(f, LOG_ADD, &a, sizeof a, view_of(e->stem));
}

/* Takes one file in under this UID: 0, 1 it is gone, -1. */
static int take_in(struct folder *f, const struct found *e, uint32_t uid, struct reason *why)
{
	char name[NAME_BYTES_MAX + 1];
	struct stat st;
	int result = rename_to_cur(f, e, uid, why);

	if (result != 0)
		return result;
	name_format(name, view_of(e->stem), f->ix.h.uidvalidity, uid, e->flags, e->keywords);
	if (fstatat(f->cur, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 1 : fail_errno(why, "stat %s", name);
	put_add(f, e, uid, &st);
	return 0;
}

/* Gives every entry a UID.  They are reserved on disk before the first name bears one. */
static int assign(struct folder *f, struct scan *s, struct reason *why)
{
	uint32_t uid;

	if (s->count == 0)
		return 0;
	if (s->count)
		qsort(s->found, s->count, sizeof *s->found, by_age);
	/* What a disk that takes nothing leaves in `new` is told when there is room. */
	if (claim_uids(f, s->count, why) < 0)
		return f->refused ? 0 : -1;
	uid = f->ix.h.uidnext;
	uint32_t end = uid + s->count;

	for (uint32_t i = 0; i < s->count; i++) {
		int result = take_in(f, &s->found[i], uid, why);

		if (result < 0 && disk_refuses(errno)) {
			f->ix.h.uidnext = end;
			return 0;
		}
		if (result < 0)
			return -1;
		if (result == 0)
			f->ix.h.uidnext = ++uid;
	}
	return 0;
}

int64_t directory_ns(int dir)
{
	struct stat st;

	return fstat(dir, &st) < 0 ? 0 : stat_ns(&st);
}

/* ---- new alone: what a delivery needs ---- */

enum store_result scan_new(struct folder *f, struct reason *why)
{
	struct scan s = { 0 };
	int64_t before_ns = directory_ns(f->new), begun_ns = now_ns();
	int result = list(&s, f->new, true, why);

	if (result == 0) {
		/* A UID in a name in `new` is honoured only by a whole scan, which sees what else
		 * bears it. */
		bool foreign = false;

		for (uint32_t i = 0; i < s.count; i++)
			foreign |=
				s.found[i].uid != 0 && s.found[i].validity == f->ix.h.uidvalidity;
		if (foreign) {
			scan_free(&s);
			return scan_all(f, why);
		}
		result = assign(f, &s, why);
	}
	/* Known only when it was empty, and long enough for no delivery to hide within the same
	 * tick. */
	f->ix.h.new_ns = result == 0 && s.count == 0 && begun_ns - before_ns > tick_ns(before_ns)
	                         ? before_ns
	                         : 0;
	f->new_seen_ns = f->ix.h.new_ns;
	scan_free(&s);
	return result < 0 ? STORE_FAILED : STORE_OK;
}

/* ---- everything ---- */

static int list_both(struct folder *f, struct scan *s, bool *settled, struct reason *why)
{
	for (int i = 0; i < SCAN_RETRIES; i++) {
		int64_t before_ns = directory_ns(f->cur), new_ns = directory_ns(f->new);
		int64_t begun_ns = now_ns();

		scan_free(s);
		/* new first: a message that another program moves meanwhile is then seen twice, not
		 * never. */
		if (list(s, f->new, true, why) < 0 || list(s, f->cur, false, why) < 0)
			return -1;
		*settled = begun_ns - before_ns > tick_ns(before_ns);
		f->ix.h.cur_ns = before_ns;
		if (directory_ns(f->cur) == before_ns && directory_ns(f->new) == new_ns)
			break;
		*settled = false;
	}
	return 0;
}

static bool still_there(struct folder *f, const struct found *e)
{
	struct stat st;

	return fstatat(e->in_new ? f->new : f->cur, e->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Of several names with one UID the index's own keeps it (or the first, which is the shorter); the
 * others are copies that somebody made, or the same file seen twice while it was renamed. false:
 * none is left. */
static bool settle_duplicates(struct folder *f, struct found *group, uint32_t count,
                              const struct record *r)
{
	char stem[NAME_STEM_MAX + 1] = "";
	uint32_t keeper = 0;

	if (r != NULL)
		record_stem(f, r, stem);
	for (uint32_t i = 0; i < count; i++)
		if (!still_there(f, &group[i]))
			group[i].uid = 0, group[i].stem = NULL;
	while (keeper < count && group[keeper].stem == NULL)
		keeper++;
	for (uint32_t i = keeper; i < count && stem[0]; i++)
		if (group[i].stem != NULL && strcmp(group[i].stem, stem) == 0) {
			keeper = i;
			break;
		}
	if (keeper == count)
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (i != keeper)
			group[i].uid = 0;
	struct found first = group[0];

	group[0] = group[keeper];
	if (keeper)
		group[keeper] = first;
	return true;
}

static int compare_record(struct folder *f, struct record *r, struct found *e, struct reason *why)
{
	const uint64_t letters = (1ull << NAME_LETTERS) - 1;
	char stem[NAME_STEM_MAX + 1];

	if (!e->canonical || e->in_new) {
		int result = rename_to_cur(f, e, e->uid, why);

		if (result != 0)
			return result < 0 && !disk_refuses(errno) ? -1 : 0;
	}
	if (!record_stem(f, r, stem) || strcmp(stem, e->stem) != 0) {
		struct log_expunge l = { .uid = r->uid };
		struct log_meta unknown = { .uid = r->uid };

		/* Another file, as far as anybody can tell: what was known of the old one is not
		 * said of it. */
		indexlog_put(f, LOG_NAME, &l, sizeof l, view_of(e->stem));
		indexlog_put(f, LOG_META, &unknown, sizeof unknown, (struct view){ NULL, 0 });
	}
	if (r->flags != e->flags || (r->keywords & letters) != e->keywords) {
		struct log_flags l = { .uid = r->uid,
			               .flags = e->flags,
			               .keywords = (r->keywords & ~letters) | e->keywords,
			               .modseq = f->ix.h.modseq + 1 };

		indexlog_put(f, LOG_FLAGS, &l, sizeof l, (struct view){ NULL, 0 });
		note_changed(f, r);
	}
	return 0;
}

static void put_expunge(struct folder *f, uint32_t uid)
{
	struct log_expunge l = { .uid = uid, .modseq = f->ix.h.modseq + 1 };

	indexlog_put(f, LOG_EXPUNGE, &l, sizeof l, (struct view){ NULL, 0 });
}

/* Walks the index and the sorted UIDs side by side.  Entries that turn out to be new come to stand
 * behind *kept with UID 0. */
struct merge {
	uint32_t record; /* next of the index */
	uint32_t accept_from, accept_below;
};

static void expunge_before(struct folder *f, struct merge *m, uint32_t uid)
{
	for (; m->record < f->ix.count; m->record++) {
		const struct record *r = record_at(f, m->record);

		if (r->uid >= uid && !(r->state & RECORD_GONE && r->uid == uid))
			return;
		if (!(r->state & RECORD_GONE))
			put_expunge(f, r->uid);
	}
}

static int merge_group(struct folder *f, struct merge *m, struct found *group, uint32_t count,
                       struct reason *why)
{
	uint32_t uid = group->uid;

	expunge_before(f, m, uid);
	struct record *r = m->record < f->ix.count ? record_at(f, m->record) : NULL;

	if (r != NULL && r->uid != uid)
		r = NULL;
	if (count > 1 && !settle_duplicates(f, group, count, r))
		return 0;
	if (r != NULL) {
		m->record++;
		return compare_record(f, r, group, why);
	}
	/* Ours by name and not in the index: written by a session that was killed before it could
	 * say so, or the index is lost. Below UIDNEXT it has been expunged before and came back: a
	 * new message. */
	if (uid < m->accept_from || uid >= m->accept_below ||
	    (f->ix.count && record_at(f, f->ix.count - 1)->uid >= uid)) {
		group->uid = 0;
		return 0;
	}
	if (uid >= f->ix.h.uidnext) {
		if (reserve_uids(f, uid + 1 - f->ix.h.uidnext, why) < 0 && !f->refused)
			return -1;
		f->ix.h.uidnext = uid + 1;
	}
	return take_in(f, group, uid, why) < 0 && !disk_refuses(errno) ? -1 : 0;
}

static int merge_all(struct folder *f, struct scan *s, struct reason *why)
{
	struct merge m = { .accept_from = f->ix.h.uidnext };

	if (f->ix.fresh)
		m.accept_from = 1;
	/* Another session may have reserved more since. */
	if (!f->unrecorded)
		f->uid_ceiling = 0;
	/* Names are written below what was reserved. One above it is from between two restores. */
	m.accept_below = know_ceiling(f) < 0 || f->uid_ceiling == 0
	                         ? uid_above(f->ix.h.uidnext, UID_TRUST)
	                 : f->uid_ceiling > f->ix.h.uidnext ? f->uid_ceiling
	                                                    : f->ix.h.uidnext;
	for (uint32_t i = 0; i < s->count; i++)
		if (s->found[i].validity != f->ix.h.uidvalidity)
			s->found[i].uid = 0;
	if (s->count)
		qsort(s->found, s->count, sizeof *s->found, by_uid);
	uint32_t i = 0;

	while (i < s->count && s->found[i].uid == 0)
		i++;
	while (i < s->count) {
		uint32_t group = 1;

		while (i + group < s->count && s->found[i + group].uid == s->found[i].uid)
			group++;
		if (merge_group(f, &m, &s->found[i], group, why) < 0)
			return -1;
		i += group;
	}
	expunge_before(f, &m, UINT32_MAX);
	return 0;
}

/* Leaves only those that are to get a UID. */
static void keep_new(struct scan *s)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < s->count; i++)
		if (s->found[i].uid == 0 && s->found[i].stem != NULL)
			s->found[kept++] = s->found[i];
	s->count = kept;
}

static int reconcile(struct folder *f, struct scan *s, struct reason *why)
{
	if (merge_all(f, s, why) < 0)
		return -1;
	/* UIDs that were handed out and whose record went with the power: not again. */
	if (f->rebooted && f->ix.h.uidnext < f->uid_ceiling)
		f->ix.h.uidnext = f->uid_ceiling;
	else if (f->rebooted && f->uid_ceiling == 0)
		f->ix.h.uidnext = uid_above(f->ix.h.uidnext, UID_TRUST);
	f->rebooted = false;
	if (f->ix.h.uidnext < f->uid_floor) {
		tell_behind(f);
		f->ix.h.uidnext = f->uid_floor;
	}
	f->uid_floor = 0;
	keep_new(s);
	return assign(f, s, why);
}

/* What no UID could be given to, where only a whole scan finds it. */
static bool waits_in_cur(const struct folder *f, const struct scan *s)
{
	for (uint32_t i = 0; f->refused && i < s->count; i++)
		if (!s->found[i].in_new)
			return true;
	return false;
}

enum store_result scan_all(struct folder *f, struct reason *why)
{
	struct scan s = { 0 };
	bool settled = false;

	index_load_all(f);
	if (f->ix.lost)
		return fail_lost(why);
	clean_tmp(f->tmp, now_ns() / 1000000000);
	int result = list_both(f, &s, &settled, why);
	int64_t known_ns = f->ix.h.cur_ns;

	if (result == 0)
		result = reconcile(f, &s, why);
	bool waits = result == 0 && waits_in_cur(f, &s);

	scan_free(&s);
	/* What this scan itself renamed is known; new is looked at once more. */
	if (directory_ns(f->cur) != known_ns) {
		f->ix.h.cur_ns = directory_ns(f->cur);
		settled = false;
	}
	f->must_scan = waits;
	f->ix.h.new_ns = f->new_seen_ns = 0;
	f->ix.h.settled = settled && !waits;
	f->ix.h.scanned_s = now_ns() / 1000000000; /* and so no longer fresh, when it is written */
	return result < 0 ? STORE_FAILED : STORE_OK;
}

/* cur alone, until it has not changed under us: a name that is just being changed may be passed
 * over. */
static int list_cur(struct folder *f, struct scan *s)
{
	for (int i = 0; i < SCAN_RETRIES; i++) {
		int64_t before_ns = directory_ns(f->cur);

		scan_free(s);
		if (list(s, f->cur, false, NULL) < 0)
			return -1;
		if (directory_ns(f->cur) == before_ns)
			break;
	}
	return 0;
}

uint32_t scan_validity(struct folder *f)
{
	struct scan s = { 0 };
	uint32_t found = 0;

	if (list_cur(f, &s) == 0)
		for (uint32_t i = 0; i < s.count; i++)
			if (s.found[i].validity > found)
				found = s.found[i].validity;
	scan_free(&s);
	return found;
}

int scan_range(struct folder *f, uint32_t below, uint32_t above, struct record *out, uint32_t max,
               uint32_t *found)
{
	struct scan s = { 0 };
	bool locked = folder_lock_file(f, NULL) == 0;
	int result = list_cur(f, &s);
	uint32_t count = 0;

	if (locked)
		folder_unlock_file(f);
	if (result == 0 && s.count)
		qsort(s.found, s.count, sizeof *s.found, by_uid);
	for (uint32_t i = 0; result == 0 && i < s.count && count < max; i++) {
		const struct found *e = &s.found[i];

		if (e->validity != f->ix.h.uidvalidity || e->uid <= below || e->uid >= above ||
		    (count && out[count - 1].uid == e->uid))
			continue;
		out[count++] = (struct record){ .uid = e->uid,
			                        .flags = e->flags,
			                        .keywords = e->keywords,
			                        .modseq = f->ix.h.modseq };
	}
	scan_free(&s);
	*found = count;
	return result;
}
