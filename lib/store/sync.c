/* SPDX-License-Identifier: ISC */
/* The folder's lock, keeping up with the other sessions, and what they are told at folder_sync. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/store/internal.h"

enum {
	UID_BATCH = 256,
	UID_FILE_BYTES = 29,
	RESCAN_S = 3600,
	RESCAN_FIRST_S = 2,
	RESCANNED_PER_S = 25
};

/* ---- the record of UIDVALIDITY and of the UIDs that are handed out ---- */

/* "VVVVVVVV NNNNNNNNNN SSSSSSSS\n": UIDVALIDITY in hexadecimal; every UID below N may have been
 * given; a sum, since a damaged record must not pass for another folder's. */
size_t uids_format(char *out, size_t size, uint32_t validity, uint32_t ceiling)
{
	size_t len = string_print(out, size, "%08" PRIx32 " %010" PRIu32, validity, ceiling);
	uint32_t sum = (uint32_t)store_hash(INDEX_FORMAT, out, len);

	return len + string_print(out + len, size - len, " %08" PRIx32 "\n", sum);
}

static bool parse_uids(const char *bytes, uint32_t *validity, uint32_t *ceiling)
{
	char want[UID_FILE_BYTES + 2];
	struct view rest = view_of(bytes), word;
	uint64_t next;

	if (!view_cut(&rest, ' ', &word) || !view_cut(&rest, ' ', &word) ||
	    !view_number(word, UINT32_MAX, &next))
		return false;
	*validity = (uint32_t)strtoul(bytes, NULL, 16);
	*ceiling = (uint32_t)next;
	uids_format(want, sizeof want, *validity, *ceiling);
	return *validity != 0 && next != 0 && strcmp(bytes, want) == 0;
}

static enum uid_record read_uid_file(struct folder *f, uint32_t *validity, uint32_t *ceiling)
{
	char bytes[UID_FILE_BYTES + 2];
	enum file_result result = read_small(f->dir, UID_FILE, bytes, sizeof bytes);

	if (result == FILE_FAILED)
		return errno == ENOENT ? UIDS_LOST : UIDS_UNREAD;
	return result == FILE_WHOLE && parse_uids(bytes, validity, ceiling) ? UIDS_KNOWN
	                                                                    : UIDS_LOST;
}

/* Once for a session, until it works again; errno stays. */
static void tell_unwritten(struct folder *f, const char *file)
{
	int error = errno;

	if (!f->store->told_unwritten)
		log_warn("event=uids-unwritten home=%s folder=%s file=%s reason=\"%s\"",
		         log_quote(view_of(f->store->home)), log_quote(view_of(f->name)), file,
		         log_text(view_of(strerror(error))));
	f->store->told_unwritten = true;
	errno = error;
}

/* A failure is told; that no UID comes of it is claim_uids's. */
static void raise_reserved(struct folder *f, uint32_t ceiling)
{
	if (reserved_write(f->store, f->ix.h.uidvalidity, ceiling) < 0)
		tell_unwritten(f, RESERVED_FILE);
}

static int write_uid_file(struct folder *f, uint32_t ceiling, bool sync)
{
	char bytes[UID_FILE_BYTES + 2];
	size_t len = uids_format(bytes, sizeof bytes, f->ix.h.uidvalidity, ceiling);

	/* First, so that it is never behind the folder's own. */
	if (sync)
		raise_reserved(f, ceiling);
	if (write_atomic(f->dir, UID_FILE, (struct view){ bytes, len }, sync) == 0) {
		f->uid_ceiling = ceiling;
		return 0;
	}
	/* A full disk must not keep a user from deleting mail: the same bytes in
	 * place. */
	int error = errno;
	int fd = openat(f->dir, UID_FILE, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0) {
		errno = error;
		return -1;
	}
	int result = pwrite_whole(fd, bytes, len, 0);

	if (result == 0 && sync)
		result = fdatasync(fd);
	close(fd);
	if (result == 0)
		f->uid_ceiling = ceiling;
	return result;
}

/* 0; -1, errno: the record cannot be read now. */
static int know_ceiling(struct folder *f)
{
	uint32_t validity, ceiling;

	if (f->uid_ceiling)
		return 0;
	enum uid_record record = read_uid_file(f, &validity, &ceiling);

	if (record == UIDS_KNOWN && validity == f->ix.h.uidvalidity)
		f->uid_ceiling = ceiling;
	struct reserved r;

	if (reserved_read(f->store, f->ix.h.uidvalidity, &r) == UIDS_KNOWN &&
	    r.ceiling > f->uid_ceiling)
		f->uid_ceiling = r.ceiling;
	return record == UIDS_UNREAD ? -1 : 0;
}

uint32_t uid_above(uint32_t uid, uint32_t count)
{
	return uid < UINT32_MAX - count ? uid + count : UINT32_MAX - 1;
}

int reserve_uids(struct folder *f, uint32_t count, struct reason *why)
{
	uint64_t need = (uint64_t)f->ix.h.uidnext + count;

	f->refused = false;
	if (know_ceiling(f) < 0)
		return fail_errno(why, "read " UID_FILE);
	if (need <= f->uid_ceiling)
		return 0;
	f->used_up = need > UINT32_MAX - UID_BATCH;
	if (f->used_up)
		return fail(why, "the folder has no UIDs left; it gets others when it is opened");
	if (write_uid_file(f, (uint32_t)need + UID_BATCH, true) == 0) {
		f->unrecorded = false;
		return 0;
	}
	f->refused = disk_refuses(errno);
	tell_unwritten(f, UID_FILE);
	/* A UIDVALIDITY that nobody will find again: its UIDs are this session's alone. */
	if (f->refused && f->unrecorded) {
		f->uid_ceiling = (uint32_t)need + UID_BATCH;
		return 0;
	}
	return fail_errno(why, "write " UID_FILE);
}

int claim_uids(struct folder *f, uint32_t count, struct reason *why)
{
	struct index_header *h = &f->ix.h;
	uint32_t first = h->uidnext;

	if (reserve_uids(f, count, why) < 0)
		return -1;
	if (reserved_claim(f->store, h->uidvalidity, (struct reserved){ f->uid_ceiling, first },
	                   count, &first) == 0) {
		f->store->told_unwritten = false;
	} else if (errno == EOVERFLOW) {
		f->used_up = true;
		return fail(why, "the folder has no UIDs left; it gets others when it is opened");
	} else {
		tell_unwritten(f, RESERVED_FILE);
		/* As above: nobody who comes later believes this UIDVALIDITY's UIDs. */
		if (!f->unrecorded || !disk_refuses(errno)) {
			f->refused = true;
			return fail_errno(why, "write " RESERVED_FILE);
		}
	}
	if (first > h->uidnext) {
		tell_behind(f);
		h->uidnext = first;
	}
	return reserve_uids(f, count, why);
}

/* ---- lock ---- */

/* Where the disk has no room for its file, the folder itself is locked: by all, until there is. */
static int open_lock(struct folder *f)
{
	int fd = openat(f->dir, LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EROFS) {
		f->frozen = f->read_only = true;
		fd = openat(f->dir, LOCK_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	}
	f->lock_is_folder = fd < 0 && (disk_refuses(errno) || (f->frozen && errno == ENOENT));
	return f->lock_is_folder ? open_directory(f->dir, ".") : fd;
}

static int lock_file(struct folder *f, struct reason *why)
{
	struct stat st;

	if (f->lock >= 0 && f->lock_is_folder) {
		close(f->lock);
		f->lock = -1;
	}
	for (;;) {
		if (f->lock < 0)
			f->lock = open_lock(f);
		if (f->lock < 0)
			return fail_errno(why, "open " LOCK_FILE);
		while (flock(f->lock, LOCK_EX) < 0)
			if (errno != EINTR)
				return fail_errno(why, "lock " LOCK_FILE);
		/* Removed under us: what we hold would keep nobody out. */
		if (fstat(f->lock, &st) == 0 && st.st_nlink > 0)
			return 0;
		close(f->lock);
		f->lock = -1;
	}
}

int folder_lock_file(struct folder *f, struct reason *why)
{
	return f->locks > 0 ? 0 : lock_file(f, why);
}

void folder_unlock_file(struct folder *f)
{
	if (f->locks == 0)
		flock(f->lock, LOCK_UN);
}

enum store_result fail_lost(struct reason *why)
{
	fail(why, INDEX_FILE " is damaged and the folder cannot be read now");
	return STORE_FAILED;
}

static bool is_deleted(struct folder *f)
{
	struct stat st;

	return fstat(f->dir, &st) < 0 || st.st_nlink == 0;
}

void tell_behind(const struct folder *f)
{
	log_info("event=uids-behind home=%s folder=%s", log_quote(view_of(f->store->home)),
	         log_quote(view_of(f->name)));
}

/* A session before this one had no room for the record either: its names tell the UIDVALIDITY. Its
 * last UIDs may have gone with their messages. */
static void adopt_validity(struct folder *f)
{
	uint32_t validity = scan_validity(f);

	if (validity == 0)
		return;
	f->ix.h.uidvalidity = validity;
	struct reserved r;

	if (reserved_read(f->store, validity, &r) == UIDS_KNOWN)
		f->uid_floor = r.next;
	else
		f->rebooted = true;
}

/* Few are left, after many restores: all messages get new UIDs, as where the records are lost. On a
 * disk that does not take the new UIDVALIDITY the old one stays. */
static bool renew_validity(struct folder *f)
{
	uint32_t old = f->ix.h.uidvalidity, validity = store_new_uidvalidity(f->store, NULL);

	f->ix.h.uidvalidity = validity;
	if (validity && write_uid_file(f, 1, true) == 0) {
		log_info("event=uidvalidity-renewed home=%s folder=%s",
		         log_quote(view_of(f->store->home)), log_quote(view_of(f->name)));
		return true;
	}
	f->ix.h.uidvalidity = old;
	return false;
}

static bool is_worn_out(uint32_t ceiling, const struct reserved *r)
{
	const uint32_t most = UINT32_MAX - UIDS_LEFT_MIN;

	return ceiling > most || r->ceiling > most || r->next > most;
}

/* No index at all: UIDVALIDITY from its own record, UIDs from the names. */
static int create_index(struct folder *f, struct reason *why)
{
	uint32_t validity, ceiling;
	enum uid_record record = read_uid_file(f, &validity, &ceiling);
	bool recorded = record == UIDS_KNOWN;

	if (record == UIDS_UNREAD)
		return fail_errno(why, "read " UID_FILE);
	if (!recorded) {
		ceiling = 1;
		validity = store_new_uidvalidity(f->store, why);
		if (validity == 0)
			return -1;
	}
	struct reserved reserved;
	enum uid_record outside = reserved_read(f->store, validity, &reserved);

	f->unreserved = outside == UIDS_UNREAD;
	if (is_worn_out(ceiling, &reserved) && renew_validity(f)) {
		validity = f->ix.h.uidvalidity;
		ceiling = 1;
		recorded = true;
	} else if (reserved.ceiling > ceiling) {
		tell_behind(f);
		f->uids_lost = true;
		ceiling = reserved.ceiling;
	}
	index_close(&f->ix);
	f->ix.h = (struct index_header){ .uidvalidity = validity,
		                         .uidnext = ceiling,
		                         .first_recent = ceiling };
	f->ix.fresh = f->must_scan = true;
	f->uid_ceiling = recorded ? ceiling : 0;
	if (keywords_load(f) < 0)
		return fail_errno(why, "read " KEYWORDS_FILE);
	if (!recorded && write_uid_file(f, ceiling, false) < 0) {
		f->unrecorded = disk_refuses(errno);
		if (!f->unrecorded)
			return fail_errno(why, "write " UID_FILE);
		adopt_validity(f);
	}
	return index_write(f) < 0 ? fail_errno(why, "write " INDEX_FILE) : 0;
}

static bool same_file(struct folder *f)
{
	struct stat st;

	return fstatat(f->dir, INDEX_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_ino == f->ix.inode && st.st_dev == f->ix.device;
}

/* The end of what the index should know may be missing: UIDs go on behind all that may have been
 * given. */
static void distrust_index(struct folder *f)
{
	f->rebooted = f->must_scan = true;
	f->uid_ceiling = 0;
	know_ceiling(f);
}

static void check_boot(struct folder *f)
{
	if (memcmp(f->ix.h.boot, store_boot(), BOOT_BYTES) != 0)
		distrust_index(f);
}

/* The file is away or damaged, and what this session has not read of it may be lost. As where there
 * is none: UIDs go on behind all that may have been given, and the whole scan, whoever does it,
 * believes the UIDs in names. */
static void renew_index(struct folder *f)
{
	struct index_header *h = &f->ix.h;

	f->uid_ceiling = 0;
	know_ceiling(f);
	if (f->uid_ceiling == 0)
		h->uidnext = uid_above(h->uidnext, UID_TRUST);
	else if (f->uid_ceiling > h->uidnext)
		h->uidnext = f->uid_ceiling;
	h->cur_ns = h->scanned_s = 0;
	f->ix.fresh = f->must_scan = true;
}

/* Without the lock the records may be read at two moments: whether they differ is looked at again
 * under it. recorded: the folder's own, 0 when that is lost. */
static bool reserved_agrees(struct folder *f, uint32_t recorded, struct reserved *r)
{
	enum uid_record record = reserved_read(f->store, f->ix.h.uidvalidity, r);

	if (record == UIDS_UNREAD) {
		f->unreserved = true; /* looked at again at the next occasion */
		return true;
	}
	return (recorded > 1 ? r->ceiling == recorded : r->ceiling <= f->ix.h.uidnext) &&
	       r->next <= f->ix.h.uidnext;
}

/* A folder that knows less than was reserved for it, or whose index knows of fewer UIDs than were
 * given, has been put back from a backup (or a crash came between the records): what has a UID
 * keeps it, what is new gets one that never named another message. */
static void check_reserved(struct folder *f)
{
	uint32_t validity, ceiling = 0;
	struct reserved r;
	enum uid_record record = read_uid_file(f, &validity, &ceiling);

	f->unreserved = false;
	if (record != UIDS_KNOWN)
		ceiling = 0;
	if (record == UIDS_UNREAD || reserved_agrees(f, ceiling, &r))
		return;
	if (r.next > f->ix.h.uidnext) {
		f->uid_floor = r.next;
		f->must_scan = true;
	}
	if (r.ceiling <= ceiling) {
		raise_reserved(f, ceiling);
		return;
	}
	if (ceiling)
		tell_behind(f);
	f->uid_ceiling = r.ceiling;
	f->uids_lost = f->rebooted = f->must_scan = true;
}

static bool validity_agrees(struct folder *f)
{
	uint32_t validity, ceiling;
	enum uid_record record = read_uid_file(f, &validity, &ceiling);

	f->uids_lost = record == UIDS_LOST;
	f->worn_out = false;
	if (record == UIDS_KNOWN && validity != f->ix.h.uidvalidity)
		return false;
	struct reserved reserved;

	f->unreserved = false;
	if (record != UIDS_KNOWN)
		ceiling = 0;
	if (record == UIDS_UNREAD)
		return true;
	if (!reserved_agrees(f, ceiling, &reserved))
		f->unreserved = true;
	f->worn_out = is_worn_out(ceiling, &reserved);
	return true;
}

static enum store_result first_open(struct folder *f, struct reason *why)
{
	int opened = index_open(f);

	if (opened < 0)
		return fail_errno(why, "open " INDEX_FILE), STORE_FAILED;
	if (opened > 0 || !validity_agrees(f) || (f->worn_out && renew_validity(f))) {
		if (create_index(f, why) < 0)
			return STORE_FAILED;
	} else {
		index_read_log(f, true);
		check_boot(f);
	}
	return STORE_OK;
}

/* With the lock held nobody else writes: what does not fit now is damage, and the file is made
 * anew. */
static enum store_result catch_up(struct folder *f, struct reason *why)
{
	if (f->ix.lost)
		return fail_lost(why);
	if (f->ix.fd < 0) {
		enum store_result result = first_open(f, why);

		if (result != STORE_OK)
			return result;
	} else if (f->ix.in_memory) {
		/* What others did is known to the directories and to the record of UIDs. */
		f->ix.broken = true;
	} else if (!same_file(f)) {
		enum index_reloaded result = index_reload(f);

		if (result == INDEX_UNREAD)
			return fail_errno(why, "read " INDEX_FILE), STORE_FAILED;
		if (result == INDEX_OTHER || (result == INDEX_DAMAGED && is_deleted(f))) {
			fail(why, "the folder has been deleted");
			return STORE_GONE;
		}
		if (result == INDEX_DAMAGED)
			f->ix.broken = true;
	} else {
		index_read_log(f, true);
	}
	if (f->ix.broken) {
		/* What of it cannot be read is known before anything is made of the rest. */
		index_load_all(f);
		if (f->ix.lost)
			return fail_lost(why);
		renew_index(f);
		if (index_write(f) < 0) {
			fail_errno(why, "write " INDEX_FILE);
			return STORE_FAILED;
		}
	}
	f->as_written = f->ix.h;
	return STORE_OK;
}

enum store_result folder_lock(struct folder *f, struct reason *why)
{
	if (f->locks > 0) {
		f->locks++;
		return STORE_OK;
	}
	if (lock_file(f, why) < 0)
		return is_deleted(f) ? STORE_GONE : STORE_FAILED;
	f->locks = 1;
	enum store_result result = catch_up(f, why);

	if (result != STORE_OK)
		folder_unlock(f);
	return result;
}

void folder_unlock(struct folder *f)
{
	if (--f->locks == 0)
		flock(f->lock, LOCK_UN);
}

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
	/* Written at once, before the index may be lost too; a failure is no reason to keep anybody
	 * out. */
	if (f->uids_lost && write_uid_file(f, f->ix.h.uidnext + UID_BATCH, true) == 0)
		f->uids_lost = false;
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
