/* SPDX-License-Identifier: ISC */
/*
 * A disk that takes nothing: blocks or inodes are used up, or its file system has become read only.
 * The mailbox can be read, and where the disk is only full messages can be removed; the cause is
 * told; what could not be taken in is there when there is room again. The library's calls that
 * change the disk are caught here by name.
 */
#include "t/unit/store.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/syscall.h>

#include "lib/store/internal.h"

static enum { TAKES_ALL, NO_BLOCKS, NO_INODES, READ_ONLY } disk;

/* The one file whose writes find no room. */
static const char *full_file;

static bool refuse(void)
{
	errno = disk == READ_ONLY ? EROFS : ENOSPC;
	return true;
}

/* What is in memory is no file of the disk. */
static bool refuses_writes(int fd)
{
	char link[40], path[300];
	ssize_t len = -1;

	if (full_file) {
		snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		len = readlink(link, path, sizeof path - 1);
	}
	path[len > 0 ? len : 0] = '\0';
	if (full_file && strstr(path, full_file) && refuse())
		return true;
	return (disk == NO_BLOCKS || disk == READ_ONLY) && fd > 2 && fcntl(fd, F_GET_SEALS) < 0 &&
	       refuse();
}

int openat(int at, const char *name, int flags, ...)
{
	va_list list;
	struct stat st;

	va_start(list, flags);
	mode_t mode = va_arg(list, mode_t);
	va_end(list);
	if (disk == READ_ONLY && flags & (O_WRONLY | O_RDWR | O_CREAT) && refuse())
		return -1;
	if (disk == NO_INODES && flags & O_CREAT && fstatat(at, name, &st, 0) < 0 && refuse())
		return -1;
	return (int)syscall(SYS_openat, at, name, flags, mode);
}

/* A full directory takes no new name. */
int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	if ((disk == READ_ONLY || disk == NO_BLOCKS) && refuse())
		return -1;
	return (int)syscall(SYS_renameat, from_dir, from, to_dir, to);
}

int unlinkat(int dir, const char *name, int flags)
{
	if (disk == READ_ONLY && refuse())
		return -1;
	return (int)syscall(SYS_unlinkat, dir, name, flags);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	if (disk >= NO_BLOCKS && disk != NO_INODES && refuse())
		return -1;
	return (int)syscall(SYS_linkat, from_dir, from, to_dir, to, flags);
}

int mkdirat(int dir, const char *name, mode_t mode)
{
	if (disk != TAKES_ALL && refuse())
		return -1;
	return (int)syscall(SYS_mkdirat, dir, name, mode);
}

int faccessat(int dir, const char *name, int mode, int flags)
{
	(void)flags;
	if (disk == READ_ONLY && mode & W_OK && refuse())
		return -1;
	return (int)syscall(SYS_faccessat, dir, name, mode);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
	return refuses_writes(fd) ? -1 : syscall(SYS_pwrite64, fd, bytes, len, at);
}

ssize_t write(int fd, const void *bytes, size_t len)
{
	return refuses_writes(fd) ? -1 : syscall(SYS_write, fd, bytes, len);
}

/* ---- */

static const char *const names[] = { "a disk", "no blocks", "no inodes", "read only" };

static const char *subject(struct folder *f, uint32_t seq)
{
	static char text[20];
	struct message m;
	struct text bytes;

	text_init(&bytes, 20);
	text[0] = '\0';
	if (message_open(f, seq, &m, &box_why) == STORE_OK &&
	    message_read(&m, strlen("Subject: "), 2, &bytes, &box_why) == STORE_OK)
		string_put(text, sizeof text, text_view(&bytes));
	message_close(&m);
	text_free(&bytes);
	return text;
}

/* APPEND, COPY, CREATE: not now, and why. */
static void check_refusals(struct folder *f)
{
	enum store_result wanted = disk == READ_ONLY ? STORE_READ_ONLY : STORE_DISK_FULL;
	struct folder_append *a = NULL;
	uint32_t one = 1;
	enum store_result result = folder_append_begin(f, 20, &a, &box_why);

	if (result == STORE_OK)
		result = folder_append_write(a, VIEW("Subject: x\r\n\r\n"), &box_why);
	if (result == STORE_OK)
		result = folder_append_finish(&a, 0, 0, STORE_DATE_NOW, NULL, &box_why);
	folder_append_abort(&a);
	ok(result == wanted, "%s: APPEND says so (%d: %s)", names[disk], result, box_why.text);
	if (disk != NO_INODES)
		ok(folder_copy(f, &one, 1, f, NULL, &box_why) == wanted, "and COPY (%s)",
		   box_why.text);
	ok(store_create(box, VIEW("New"), &box_why) == wanted, "and CREATE (%s)", box_why.text);
}

/* lost: a file that is missing besides. */
static void check(int kind, const char *lost)
{
	struct folder_changes c;

	box_make(0);
	for (int i = 0; i < 3; i++)
		box_deliver(i == 0 ? "Subject: m0\r\n\r\n" : "Subject: m1\r\n\r\n");
	struct folder *f = box_open("INBOX");

	folder_close(&f);
	box_deliver("Subject: m3\r\n\r\n");
	box_shell("rm -f posthouse.lock %s", lost);
	disk = kind;
	f = box_open("INBOX");
	struct folder *g = box_open("INBOX");
	int pop3 = store_lock_session(box);

	ok(f && g && folder_count(f) >= 3 && pop3 >= 0, "%s, without %s: the mailbox opens (%s)",
	   names[disk], lost, box_why.text);
	close(pop3);
	if (f == NULL || g == NULL)
		goto end;
	ok(strcmp(subject(f, 1), "m0") == 0 && strcmp(subject(g, 2), "m1") == 0,
	   "messages can be read");
	ok(folder_read_only(f) == (disk == READ_ONLY), "whether it is read only");
	check_refusals(f);
	enum store_result result =
		folder_store(f, (uint32_t[]){ 1 }, 1, STORE_ADD, STORE_FLAG_DELETED, 0, &box_why);

	if (disk != READ_ONLY) {
		struct store_message m;

		folder_message(f, 1, 0, &m, NULL);
		ok(m.flags == STORE_FLAG_DELETED, "what is to go is marked");
		folder_store(f, (uint32_t[]){ 1 }, 1, STORE_REMOVE, STORE_FLAG_DELETED, 0, NULL);
		folder_message(f, 1, 0, &m, NULL);
		ok(m.flags == 0, "and not");
		result = folder_store(f, (uint32_t[]){ 1 }, 1, STORE_ADD,
		                      STORE_FLAG_DELETED | STORE_FLAG_SEEN, 0, &box_why);
	}
	if (result == STORE_OK)
		result = folder_expunge(f, NULL, 0, &box_why);
	ok(result == (disk == READ_ONLY ? STORE_READ_ONLY : STORE_OK), "EXPUNGE: %d (%s)", result,
	   box_why.text);
	ok(folder_sync(f, STORE_EXPUNGES, &c, &box_why) == STORE_OK &&
	           folder_sync(g, STORE_EXPUNGES, &c, &box_why) == STORE_OK &&
	           folder_count(f) == folder_count(g),
	   "the sessions go on (%s)", box_why.text);
	disk = TAKES_ALL;
	ok(folder_sync(f, STORE_EXPUNGES, &c, &box_why) == STORE_OK, "there is room again");
	ok(folder_count(f) == (kind == READ_ONLY ? 4 : 3) &&
	           strcmp(subject(f, folder_count(f)), "m3") == 0,
	   "and the new message (%u)", (unsigned)folder_count(f));
end:
	disk = TAKES_ALL;
	folder_close(&f);
	folder_close(&g);
	f = box_open("INBOX");
	ok(folder_count(f) == (kind == READ_ONLY ? 4 : 3), "a session after it");
	folder_close(&f);
	box_remove();
}

/* The first looks at a mailbox: there is no record of it yet. */
static void check_first(int kind)
{
	bool takes = kind == NO_INODES;

	box_make(0);
	box_deliver("Subject: m0\r\n\r\n");
	box_deliver("Subject: m1\r\n\r\n");
	disk = kind;
	struct folder *f = box_open("INBOX");
	uint32_t validity = f ? folder_uidvalidity(f) : 0, uid = 0;

	ok(f != NULL && folder_count(f) == (takes ? 2 : 0), "%s: a mailbox that is new opens (%s)",
	   names[kind], box_why.text);
	if (f && folder_count(f)) {
		uid = folder_uid(f, 2);
		ok(strcmp(subject(f, 1), "m0") == 0 &&
		           folder_remove(f, (uint32_t[]){ folder_uid(f, 1) }, 1, &box_why) ==
		                   STORE_OK,
		   "what it could take in can be read, and removed");
	}
	folder_close(&f);
	f = box_open("INBOX");
	ok(f != NULL && folder_count(f) == (takes ? 1 : 0) &&
	           (!takes || (folder_uidvalidity(f) == validity && folder_uid(f, 1) == uid &&
	                       folder_uidnext(f) > uid + 1)),
	   "the next session sees what is left, under its UID");
	folder_close(&f);
	disk = TAKES_ALL;
	f = box_open("INBOX");
	ok(folder_count(f) == (takes ? 1 : 2), "and then as ever");
	folder_close(&f);
	box_remove();
}

/* The index takes nothing, the record of the UIDs does: names are all that tells another session
 * what was given. It has reserved fewer itself, and asks what was reserved since. */
static void check_others(void)
{
	enum { MANY = 300 };
	uint32_t wrong = 0;

	box_make(0);
	struct folder *a = box_open("INBOX");

	box_append(a, "Subject: m\r\n\r\n", 0);
	struct folder *b = box_open("INBOX");

	for (int i = 0; i < MANY; i++)
		box_deliver("Subject: m\r\n\r\n");
	full_file = "posthouse.index";
	box_sync(b);
	full_file = NULL;
	bool named = box_shell("ls cur | grep -q ',U=[0-9a-f]*[.]301:'");

	box_sync(a);
	for (uint32_t seq = 1; seq <= folder_count(a); seq++)
		wrong += folder_uid(a, seq) != seq;
	ok(named && folder_count(a) == MANY + 1 && wrong == 0,
	   "what another session gave keeps its UIDs: %u of %u, %u do not, the last is %u",
	   (unsigned)folder_count(a) - 1, MANY, (unsigned)wrong,
	   (unsigned)folder_uid(a, folder_count(a)));
	folder_close(&b);
	folder_close(&a);
	box_remove();
}

/* Once; no file system but that of another machine does it. */
static bool keeps_lock;

int flock(int fd, int how)
{
	if (how == LOCK_UN && keeps_lock) {
		keeps_lock = false;
		errno = ENOLCK;
		return -1;
	}
	return (int)syscall(SYS_flock, fd, how);
}

static void check_lock(void)
{
	box_make(0);
	struct folder *f = box_open("INBOX");

	box_deliver("Subject: m\r\n\r\n");
	keeps_lock = true;
	box_sync(f);
	ok(!keeps_lock && box_shell("flock -n posthouse.lock true"),
	   "a lock that cannot be given back keeps nobody out");
	box_deliver("Subject: m\r\n\r\n");
	box_sync(f);
	ok(folder_count(f) == 2, "and the folder goes on with another one");
	folder_close(&f);
	box_remove();
}

int main(void)
{
	static const char *const lost[] = { "nothing", "posthouse.index", "posthouse.reserved" };

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int kind = NO_BLOCKS; kind <= READ_ONLY; kind++) {
		for (size_t i = 0; i < sizeof lost / sizeof *lost; i++)
			check(kind, lost[i]);
		check_first(kind);
	}
	check_others();
	check_lock();
	return tap_done();
}
