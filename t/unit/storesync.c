/* SPDX-License-Identifier: ISC */
/*
 * What a power cut may take where every directory is written back by itself: a name is on disk when
 * its directory was synced after it was made. Before a message's old name goes, and before a
 * command's OK, its new one must be. The library's calls are caught here by name.
 */
#include "t/unit/store.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "lib/store/internal.h"

enum { PLACES = 64 };

/* Directories with names that no sync has reached. */
static struct {
	dev_t device;
	ino_t inode;
	bool used, dirty;
} places[PLACES];

static bool watching, other_disk, sync_fails;
static bool index_fails;       /* on disk, and in memory too */
static const char *intruder;   /* a file that comes before our own rename in the source */
static int removals_left = -1; /* from the source, until one fails; -1: none does */
static ino_t target_cur, source_cur;
static unsigned syncs, too_early;

static bool *place_of(int fd)
{
	struct stat st;
	static bool nowhere;

	if (fstat(fd, &st) < 0)
		return &nowhere;
	for (int i = 0; i < PLACES; i++) {
		if (!places[i].used) {
			places[i].used = true;
			places[i].device = st.st_dev;
			places[i].inode = st.st_ino;
		}
		if (places[i].inode == st.st_ino && places[i].device == st.st_dev)
			return &places[i].dirty;
	}
	return &nowhere;
}

static ino_t inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? 0 : st.st_ino;
}

static bool target_dirty(void)
{
	for (int i = 0; i < PLACES; i++)
		if (places[i].used && places[i].inode == target_cur && places[i].dirty)
			return true;
	return false;
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	if (intruder && inode_of(to_dir) == source_cur) {
		close(openat(to_dir, intruder, O_CREAT | O_EXCL | O_WRONLY, 0600));
		intruder = NULL;
	}
	int result = (int)syscall(SYS_renameat, from_dir, from, to_dir, to);

	if (result == 0)
		*place_of(to_dir) = true;
	return result;
}

int unlinkat(int dir, const char *name, int flags)
{
	if (watching && inode_of(dir) == source_cur)
		too_early += target_dirty();
	if (removals_left >= 0 && inode_of(dir) == source_cur && removals_left-- == 0) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_unlinkat, dir, name, flags);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	if (other_disk) {
		errno = EXDEV;
		return -1;
	}
	return (int)syscall(SYS_linkat, from_dir, from, to_dir, to, flags);
}

int fsync(int fd)
{
	if (sync_fails && inode_of(fd) == target_cur) {
		errno = EIO;
		return -1;
	}
	syncs += inode_of(fd) == target_cur;
	*place_of(fd) = false;
	return 0;
}

static bool is_index(int fd)
{
	char path[64], target[200];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ssize_t len = readlink(path, target, sizeof target);

	return len > 0 && view_ends_nocase((struct view){ target, (size_t)len }, VIEW(INDEX_FILE));
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
	if (index_fails && is_index(fd)) {
		errno = EIO;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, bytes, len, at);
}

int memfd_create(const char *name, unsigned flags)
{
	if (index_fails) {
		errno = EMFILE;
		return -1;
	}
	return (int)syscall(SYS_memfd_create, name, flags);
}

static const char one[] = "Subject: one\r\n\r\nbody\r\n";
static struct folder *from, *to;

static void begin(int messages)
{
	box_make(0);
	store_create(box, VIEW("Work"), &box_why);
	from = box_open("INBOX");
	to = box_open("Work");
	for (int i = 0; i < messages; i++)
		box_append(from, one, 0);
	box_sync(from);
	source_cur = inode_of(from->cur);
	target_cur = inode_of(to->cur);
	watching = true;
	syncs = too_early = 0;
}

static void end(void)
{
	watching = sync_fails = other_disk = index_fails = false;
	removals_left = -1;
	folder_close(&from);
	folder_close(&to);
	box_remove();
}

static const uint32_t all[] = { 1, 2, 3, 4, 5 };

static void check_commands(const char *where)
{
	bool across = other_disk;

	begin(5);
	other_disk = across;
	ok(folder_copy(from, all, 5, to, NULL, &box_why) == STORE_OK && !target_dirty(),
	   "%s: COPY's OK is on disk", where);
	ok(syncs == 1, "with one sync of the directory");
	other_disk = across;
	ok(folder_move(from, all, 5, to, NULL, &box_why) == STORE_OK && too_early == 0,
	   "%s: MOVE removes nothing before its copy is on disk", where);
	ok(syncs == 2 && !target_dirty(), "with one more");
	box_sync(from);
	box_sync(to);
	ok(folder_count(from) == 0 && folder_count(to) == 10, "all are there");
	end();
	begin(2);
	other_disk = across;
	folder_copy(from, all, 2, to, NULL, &box_why);
	folder_remove(from, all, 2, &box_why);
	ok(too_early == 0, "%s: COPY and EXPUNGE", where);
	end();
}

static void check_refused(void)
{
	begin(3);
	sync_fails = true;
	ok(folder_move(from, all, 3, to, NULL, &box_why) == STORE_FAILED,
	   "a sync that fails: MOVE fails");
	is_string(box_why.text, "sync cur: Input/output error", "and says why");
	box_sync(from);
	box_sync(to);
	ok(folder_count(from) == 3 && folder_count(to) == 0, "all are where they were");
	ok(folder_copy(from, all, 3, to, NULL, &box_why) == STORE_FAILED, "COPY too");
	box_sync(to);
	ok(folder_count(to) == 0, "and none is there");
	sync_fails = false;
	ok(folder_copy(from, all, 3, to, NULL, &box_why) == STORE_OK, "and again");
	box_sync(to);
	ok(folder_count(to) == 3, "when it works");
	end();
}

/* The renames are on disk, and the index takes no word of them. */
static void check_unwritten(void)
{
	struct folder_append *a = NULL;

	begin(3);
	box_sync(to);
	index_fails = true;
	ok(folder_copy(from, all, 3, to, NULL, &box_why) == STORE_FAILED,
	   "an index that cannot be written: COPY fails (%s)", box_why.text);
	ok(folder_move(from, all, 3, to, NULL, &box_why) == STORE_FAILED, "and MOVE");
	ok(folder_append_begin(to, 1, &a, &box_why) == STORE_OK &&
	           folder_append_write(a, view_of(one), &box_why) == STORE_OK &&
	           folder_append_finish(&a, 0, 0, STORE_DATE_NOW, NULL, &box_why) == STORE_FAILED,
	   "and APPEND");
	index_fails = false;
	box_sync(from);
	box_sync(to);
	ok(folder_count(from) == 3 && folder_count(to) == 0, "and all are where they were: %u, %u",
	   (unsigned)folder_count(from), (unsigned)folder_count(to));
	ok(folder_move(from, all, 3, to, NULL, &box_why) == STORE_OK, "and again");
	box_sync(from);
	box_sync(to);
	ok(folder_count(from) == 0 && folder_count(to) == 3, "when it can");
	end();
}

/* The second of three cannot be removed where it was. */
static void check_kept(void)
{
	begin(3);
	removals_left = 1;
	ok(folder_move(from, all, 3, to, NULL, &box_why) == STORE_FAILED,
	   "a removal that fails: MOVE fails");
	box_sync(from);
	box_sync(to);
	ok(folder_count(from) == 2 && folder_count(to) == 1, "each message is in one folder");
	ok(folder_move(from, all, 2, to, NULL, &box_why) == STORE_OK, "and again");
	box_sync(from);
	box_sync(to);
	ok(folder_count(from) == 0 && folder_count(to) == 3, "when it works");
	end();
}

/* A foreign file that comes between our look at the directory and our own rename. */
static void check_intruder(void)
{
	const uint32_t first = 1;

	begin(1);
	box_sync(from);
	intruder = "1700000000.intruder.test:2,";
	folder_store(from, &first, 1, STORE_ADD, STORE_FLAG_SEEN, 0, &box_why);
	ok(intruder == NULL, "another program is in between");
	for (time_t until = time(NULL) + 60; folder_count(from) < 2 && time(NULL) < until;)
		box_sync(from);
	ok(folder_count(from) == 2, "its message is found within seconds");
	end();
}

static void check_append(void)
{
	begin(0);
	box_append(to, one, 0);
	ok(!target_dirty() && syncs == 1, "APPEND's OK is on disk");
	end();
}

static bool maildir_clean(void)
{
	return !*place_of(box->maildir);
}

static void check_folders(void)
{
	begin(1);
	store_create(box, VIEW("New"), &box_why);
	ok(maildir_clean(), "CREATE's OK is on disk");
	store_rename(box, VIEW("New"), VIEW("Newer"), &box_why);
	ok(maildir_clean(), "and RENAME's");
	store_subscribe(box, VIEW("Newer"), true, &box_why);
	ok(maildir_clean(), "and SUBSCRIBE's");
	end();
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	check_commands("one file system");
	other_disk = true;
	check_commands("two file systems");
	check_refused();
	check_unwritten();
	check_kept();
	check_intruder();
	check_append();
	check_folders();
	return tap_done();
}
