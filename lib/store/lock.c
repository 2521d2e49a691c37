/* SPDX-License-Identifier: ISC */
/* The folder's lock; who takes it knows what the other sessions have done. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/store/internal.h"

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

/* One that cannot be given back (ENOLCK of NFS) would keep out all others for as long as the folder
 * is open: it goes with its descriptor. */
static void unlock_file(struct folder *f)
{
	int result;

	while ((result = flock(f->lock, LOCK_UN)) < 0 && errno == EINTR)
		;
	if (result == 0)
		return;
	close(f->lock);
	f->lock = -1;
}

void folder_unlock_file(struct folder *f)
{
	if (f->locks == 0)
		unlock_file(f);
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

void check_boot(struct folder *f)
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
		unlock_file(f);
}
