/* SPDX-License-Identifier: ISC */
/*
 * posthouse.reserved cannot be read, written or synced: no UID is given that a folder put back from
 * a backup would give again. Nobody is kept from what has a UID already, the log has one line, and
 * what waited is told when the file can be written. The library's calls are caught here by name.
 */
#include "t/unit/store.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>

#include "lib/store/internal.h"
#include "t/said.h"

enum { TOUCHED = 1 << 20 }; /* GIVEN_MAX, lib/store/recordfile.c */

static enum { NOTHING, OPEN, OPEN_TO_WRITE, OPEN_ANOTHER, READ_LESS, WRITE, SYNC } fails;
static int failure;
static unsigned synced;

static bool is_record(int fd)
{
	char path[60], to[300];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(path, to, sizeof to - 1);

	to[n < 0 ? 0 : n] = '\0';
	return strstr(to, "/" RESERVED_FILE) != NULL;
}

static bool fault(bool here)
{
	if (here)
		errno = failure;
	return here;
}

int openat(int at, const char *name, int flags, ...)
{
	va_list list;

	va_start(list, flags);
	mode_t mode = va_arg(list, mode_t);
	va_end(list);
	if (strcmp(name, RESERVED_FILE) == 0 &&
	    fault(fails == OPEN || (fails == OPEN_TO_WRITE && flags & O_RDWR)))
		return -1;
	if (strcmp(name, RESERVED_FILE ".new") == 0 && fault(fails == OPEN_ANOTHER))
		return -1;
	return (int)syscall(SYS_openat, at, name, flags, mode);
}

/* A line less than there is. */
ssize_t pread(int fd, void *to, size_t len, off_t at)
{
	ssize_t got = syscall(SYS_pread64, fd, to, len, at);

	if (fails != READ_LESS || !is_record(fd))
		return got;
	return at == 0 && got >= 128 ? got - 64 : 0;
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
	if (fails == WRITE && fault(is_record(fd)))
		return -1;
	return syscall(SYS_pwrite64, fd, bytes, len, at);
}

int fdatasync(int fd)
{
	if (fails == SYNC && fault(is_record(fd)))
		return -1;
	synced += is_record(fd);
	return 0;
}

/* ---- */

static const struct {
	const char *name;
	int kind, error;
	enum store_result append;
} faults[] = {
	{ "another's file", OPEN, EACCES, STORE_FAILED },
	{ "a file that is read only", OPEN_TO_WRITE, EACCES, STORE_FAILED },
	{ "a read that ends early", READ_LESS, EIO, STORE_FAILED },
	{ "a full disk", WRITE, ENOSPC, STORE_DISK_FULL },
	{ "a disk of errors", WRITE, EIO, STORE_FAILED },
	{ "a disk that loses what it took", SYNC, EIO, STORE_FAILED },
};

enum { FAULTS = sizeof faults / sizeof *faults };

/* How many lines have come with these words. */
static unsigned lines(const char *words, const char *cause)
{
	char line[LOG_LINE_MAX + LOG_STAMP_MAX + 1];
	unsigned count = 0;
	ssize_t n;

	while ((n = recv(said_ends[1], line, sizeof line - 1, MSG_DONTWAIT)) > 0) {
		line[n] = '\0';
		count += strstr(line, words) != NULL && strstr(line, cause) != NULL;
	}
	return count;
}

static void break_it(int n)
{
	fails = faults[n].kind;
	failure = faults[n].error;
}

static enum store_result append(struct folder *f, uint32_t *uid)
{
	struct folder_append *a = NULL;

	*uid = 0;
	if (folder_append_begin(f, 3, &a, &box_why) != STORE_OK ||
	    folder_append_write(a, VIEW("x\r\n"), &box_why) != STORE_OK)
		printf("# append: %s\n", box_why.text);
	return folder_append_finish(&a, 0, 0, 0, uid, &box_why);
}

static void check_session(int n)
{
	uint32_t uid, one = 1;

	box_make(0);
	struct folder *f = box_open("INBOX");

	box_append(f, "Subject: m1\r\n\r\n", 0);
	box_append(f, "Subject: m2\r\n\r\n", 0);
	folder_close(&f);
	if (faults[n].kind == SYNC)
		box_shell("rm ../" RESERVED_FILE);
	box_deliver("Subject: m3\r\n\r\n");
	box_shell("echo > cur/1900000000.1.test:2,");
	lines("", "");
	break_it(n);
	f = box_open("INBOX");
	ok(f != NULL && folder_count(f) == 2 && !folder_read_only(f),
	   "%s: what has a UID is there, what has none is not", faults[n].name);
	ok(folder_store(f, &one, 1, STORE_ADD, STORE_FLAG_SEEN, 0, &box_why) == STORE_OK &&
	           folder_remove(f, &one, 1, &box_why) == STORE_OK,
	   "flags change, and messages go (%s)", box_why.text);
	enum store_result result = append(f, &uid);

	ok(result == faults[n].append && uid == 0 &&
	           strstr(box_why.text, strerror(faults[n].error)) != NULL,
	   "APPEND is refused with the cause: %d, %s", result, box_why.text);
	ok(folder_copy(f, (uint32_t[]){ 2 }, 1, f, NULL, &box_why) == result, "and COPY");
	box_sync(f);
	ok(lines("file=" RESERVED_FILE, strerror(faults[n].error)) == 1,
	   "the log has one line, with the file and the cause");
	fails = NOTHING;
	synced = 0;
	box_sync(f);
	/* Where the record was lost its UIDs are passed over. */
	uid = faults[n].kind == SYNC ? folder_uid(f, 2) : 3;
	ok(folder_count(f) == 3 && folder_uid(f, 1) == 2 && folder_uid(f, 2) == uid &&
	           folder_uid(f, 3) == uid + 1 && (faults[n].kind != SYNC || uid > 65536),
	   "when it can be written the new messages are told, of new and of cur: %s", box_list(f));
	ok(faults[n].kind != SYNC || synced, "and what was not synced is");
	folder_close(&f);
	break_it(n);
	f = box_open("INBOX");
	ok(lines("uids-unwritten", "") == 0, "where no UID is needed nothing is told");
	fails = NOTHING;
	folder_close(&f);
	box_remove();
}

/* What a session got while the record was broken is not given again after the folder was put
 * back. */
static void check_put_back(int n)
{
	uint32_t last = 0, uid;

	box_make(0);
	struct folder *f = box_open("INBOX");

	box_append(f, "Subject: m1\r\n\r\n", 0);
	folder_close(&f);
	box_shell("cp -a . ../backup");
	break_it(n);
	f = box_open("INBOX");
	for (int i = 0; i < 3; i++)
		if (append(f, &uid) == STORE_OK && uid > last)
			last = uid;
	box_deliver("Subject: m2\r\n\r\n");
	box_sync(f);
	if (folder_count(f) && folder_uid(f, folder_count(f)) > last)
		last = folder_uid(f, folder_count(f));
	folder_close(&f);
	fails = NOTHING;
	store_close(&box);
	box_shell("cd .. && rm -rf Maildir && mv backup Maildir");
	store_open(box_home, false, 0, &box, NULL);
	f = box_open("INBOX");
	ok(append(f, &uid) == STORE_OK && uid > last, "%s, then put back: %u, above %u",
	   faults[n].name, (unsigned)uid, (unsigned)last);
	folder_close(&f);
	box_remove();
}

static ino_t inode(void)
{
	char path[200];
	struct stat st;

	snprintf(path, sizeof path, "%s/" RESERVED_FILE, box_home);
	return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* After a restore the record is another file. One that has to stay could be put back in its place
 * again, and is apart from that by a random number. */
static void check_replaced(int error)
{
	uint32_t first, second;

	box_make(0);
	struct folder *f = box_open("INBOX");

	box_append(f, "Subject: m1\r\n\r\n", 0);
	ino_t before = inode();

	fails = error ? OPEN_ANOTHER : NOTHING;
	failure = error;
	box_shell("chmod 640 ../" RESERVED_FILE);
	append(f, &first);
	bool stays = inode() == before;

	box_shell("chmod 600 ../" RESERVED_FILE);
	append(f, &second);
	fails = NOTHING;
	ok(stays == (error != 0) && (first > TOUCHED + 1000) == stays &&
	           (second - first > TOUCHED + 1000) == stays,
	   "a record that %s replaced: %u, %u", error ? "cannot be" : "is", (unsigned)first,
	   (unsigned)second);
	ok(append(f, &first) == STORE_OK && first == second + 1, "and then as ever");
	folder_close(&f);
	box_remove();
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	said_begin();
	said_here();
	for (int n = 0; n < FAULTS; n++) {
		check_session(n);
		check_put_back(n);
	}
	check_replaced(0);
	check_replaced(EACCES);
	check_replaced(ENOSPC);
	return tap_done();
}
