/* SPDX-License-Identifier: ISC */
/*
 * What a backup says of a folder in posthouse.reserved: its line, none, a damaged one, none for
 * want of room, or there is no such file. Whatever it says, and whether the folder had a message
 * then or not: what is put back gives no UID that was given since, nor does it when it is put back
 * once more. And what a folder's first line costs.
 */
#include "t/unit/store.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/random.h>
#include <sys/syscall.h>

#include "lib/store/internal.h"

enum { LINE_BYTES = 64, LINES_MAX = 32768, EACH = 3, TIMES = 3 };

enum says { LINE, NO_LINE, DAMAGED, FULL, NO_FILE, SAYINGS };
static const char *const sayings[] = { "a line", "no line", "a damaged line", "too many lines",
	                               "no file" };

enum way { OTHER_FILES, IN_PLACE, IN_PLACE_OPEN, MAILDIR, MAILDIR_OPEN, WAYS };
static const char *const ways[] = { "the home", "the home in place", "the home under a session",
	                            "Maildir", "Maildir under a session" };

static unsigned syncs; /* of the record */

int fdatasync(int fd)
{
	char path[60], to[300];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(path, to, sizeof to - 1);

	to[n < 0 ? 0 : n] = '\0';
	syncs += strstr(to, "/" RESERVED_FILE) != NULL;
	return 0;
}

static void format_line(char out[LINE_BYTES + 1], uint32_t validity, uint32_t number)
{
	int len = snprintf(out, LINE_BYTES, "%08" PRIx32 " %010" PRIu32 " %010" PRIu32, validity,
	                   number, number);

	len += snprintf(out + len, (size_t)(LINE_BYTES - len), " %08" PRIx32,
	                (uint32_t)store_hash(INDEX_FORMAT, out, (size_t)len));
	memset(out + len, ' ', (size_t)(LINE_BYTES - 1 - len));
	out[LINE_BYTES - 1] = '\n';
	out[LINE_BYTES] = '\0';
}

/* How far the next restores jump, beside what they pass over in any case. */
static uint32_t jumps[2];

ssize_t getrandom(void *to, size_t len, unsigned flags)
{
	if (len != sizeof jumps[0] || jumps[0] == 0)
		return syscall(SYS_getrandom, to, len, flags);
	memcpy(to, &jumps[0], len);
	jumps[0] = jumps[1];
	return (ssize_t)len;
}

static void path_of(char *out, size_t size, const char *home)
{
	snprintf(out, size, "%s/%s/" RESERVED_FILE, box_root, home);
}

/* -1: there is none. */
static off_t line_of(int fd, uint32_t validity)
{
	char line[LINE_BYTES], want[9];

	snprintf(want, sizeof want, "%08" PRIx32, validity);
	for (off_t at = LINE_BYTES; pread(fd, line, LINE_BYTES, at) == LINE_BYTES; at += LINE_BYTES)
		if (memcmp(line, want, 8) == 0)
			return at;
	return -1;
}

static void fill_up(int fd)
{
	char *all = malloc((size_t)LINES_MAX * LINE_BYTES);
	struct stat st;

	fstat(fd, &st);
	for (int i = 0; i < LINES_MAX; i++) {
		char line[LINE_BYTES + 1];

		format_line(line, 1000 + (uint32_t)i, 1);
		memcpy(all + (ptrdiff_t)i * LINE_BYTES, line, LINE_BYTES);
	}
	size_t room = (size_t)LINES_MAX * LINE_BYTES - (size_t)st.st_size;

	if (pwrite(fd, all, room, st.st_size) != (ssize_t)room)
		abort();
	free(all);
}

static void make_say(const char *home, enum says says, uint32_t validity)
{
	char path[200], line[LINE_BYTES + 1];

	path_of(path, sizeof path, home);
	if (says == LINE)
		return;
	if (says == NO_FILE) {
		unlink(path);
		return;
	}
	int fd = open(path, O_RDWR);
	off_t at = line_of(fd, validity);

	format_line(line, says == DAMAGED ? validity : 1, 1);
	if (says == DAMAGED)
		line[20] ^= 1;
	if (at < 0 || pwrite(fd, line, LINE_BYTES, at) != LINE_BYTES)
		printf("# no line of %08" PRIx32 " in %s\n", validity, path);
	if (says == FULL)
		fill_up(fd);
	close(fd);
}

static void put_back(enum way way, enum says says, uint32_t validity)
{
	if (says == NO_FILE && way != OTHER_FILES)
		box_shell("rm -f ../" RESERVED_FILE);
	if (way == OTHER_FILES)
		box_shell("cd ../.. && rm -rf anna && cp -a backup anna");
	else if (way < MAILDIR)
		box_shell("find . -path '*/cur/*' -type f -delete && cp -a ../../backup/. ..");
	else
		box_shell(
			"find . -path '*/cur/*' -type f -delete && cp -a ../../backup/Maildir/. .");
	/* The one beside it, which was not put back, was lost then. */
	if (way >= MAILDIR && says != NO_FILE)
		make_say("anna", says, validity);
}

/* All that were given: each once. */
static uint32_t given[1 + 10 * EACH];
static unsigned given_count;

static bool give(struct folder *f)
{
	uint32_t uid = box_append(f, "Subject: m\r\n\r\nend\r\n", 0);
	bool again = uid == 0;

	for (unsigned i = 0; i < given_count; i++)
		again = again || given[i] == uid;
	given[given_count++] = uid;
	return !again;
}

static void close_all(struct folder **f)
{
	folder_close(f);
	store_close(&box);
}

static void check_put_back(const char *name, bool with_message, enum way way, enum says says)
{
	bool good = true, open = way == IN_PLACE_OPEN || way == MAILDIR_OPEN;

	given_count = 0;
	box_make(0);
	store_create(box, VIEW("Work"), &box_why);
	struct folder *f = box_open(strcmp(name, "INBOX") == 0 ? "Work" : "INBOX");

	folder_close(&f);
	f = box_open(name);
	uint32_t validity = folder_uidvalidity(f);

	if (with_message)
		good = give(f);
	folder_close(&f);
	box_shell("cp -a .. ../../backup");
	make_say("backup", says, validity);
	for (int i = 0; i < TIMES; i++) {
		if (f == NULL)
			f = box_open(name);
		for (int n = 0; n < EACH; n++)
			good = give(f) && good;
		good = good && folder_uidvalidity(f) == validity;
		if (!open)
			close_all(&f);
		put_back(way, says, validity);
		if (!open)
			store_open(box_home, false, 0, &box, NULL);
	}
	folder_close(&f);
	f = box_open(name);
	uint32_t next = folder_uidnext(f);

	good = good && give(f) && given[given_count - 1] == next;
	good = good && give(f) && given[given_count - 1] == next + 1;
	ok(good, "%s of %s, %s a message, put back with %s: %u, %u, %u, %u", ways[way], name,
	   with_message ? "with" : "without", sayings[says], (unsigned)given[with_message],
	   (unsigned)given[with_message + EACH], (unsigned)given[with_message + 2 * EACH],
	   (unsigned)next);
	folder_close(&f);
	box_remove();
}

/* Two restores of one home, the second jumps less far than the first. A part of the folder from
 * between the two, or a session, knows of more than the record, and not of all that was given. */
static void check_between(const char *part)
{
	bool good, session = part == NULL;

	given_count = 0;
	box_make(0);
	store_create(box, VIEW("Work"), &box_why);
	struct folder *f = box_open("Work"), *open = NULL;

	good = give(f);
	folder_close(&f);
	box_shell("cp -a .. ../../backup");
	jumps[0] = 60000000;
	jumps[1] = 1;
	box_shell("cp -a ../../backup/. .. && touch -d yesterday ../" RESERVED_FILE);
	f = box_open("Work");
	for (int i = 0; i < EACH; i++)
		good = give(f) && good;
	if (session)
		open = box_open("Work");
	box_shell("cp -a .Work ../../between");
	for (int i = 0; i < EACH; i++)
		good = give(f) && good;
	ok(good && given[1] > 60000000, "one restore: %u", (unsigned)given[1]);
	folder_close(&f);
	if (!session)
		box_shell("rm .Work/cur/*");
	box_shell("cp -a ../../backup/. ..");
	f = box_open("Work");
	for (int i = 0; i < EACH; i++)
		good = give(f) && good;
	ok(good && given[1 + 2 * EACH] < 60000000, "a second one: %u",
	   (unsigned)given[1 + 2 * EACH]);
	folder_close(&f);
	if (session)
		f = open;
	else
		box_shell("cp -a ../../between/%s .Work", part);
	if (f == NULL)
		f = box_open("Work");
	for (int i = 0; i < EACH; i++)
		good = give(f) && good;
	ok(good && given[1 + 3 * EACH] > given[2 * EACH],
	   "%s%s knows of the first: what it gives now is above that: %u",
	   session ? "a session" : "the folder's ", session ? "" : part,
	   (unsigned)given[1 + 3 * EACH]);
	folder_close(&f);
	f = box_open("Work");
	for (int i = 0; i < EACH; i++)
		good = give(f) && good;
	ok(good && given[1 + 4 * EACH] == given[4 * EACH] + 1, "and then as ever");
	folder_close(&f);
	box_remove();
	jumps[0] = 0;
}

/* An import of hundreds of thousands between the backup and its restore, which then jumps as little
 * as can be: however it is found out that something was put back. */
static void check_import(enum way way, enum says says)
{
	enum { MANY = 900000 };
	bool open = way == IN_PLACE_OPEN || way == MAILDIR_OPEN;
	struct reserved r;

	given_count = 0;
	box_make(0);
	struct folder *f = box_open("INBOX");
	bool good = give(f);
	uint32_t validity = folder_uidvalidity(f);

	folder_close(&f);
	box_shell("cp -a .. ../../backup");
	make_say("backup", says, validity);
	f = box_open("INBOX");
	struct own_uids own = { f->uid_ceiling, f->ix.h.uidnext, 0, false };

	/* As APPEND of so many does, without their files. */
	good = reserved_raise(box, validity, &own, f->ix.h.uidnext + MANY, MANY, &r) == 0 && good;
	if (!open)
		close_all(&f);
	jumps[0] = jumps[1] = 1;
	put_back(way, says, validity);
	if (!open)
		store_open(box_home, false, 0, &box, NULL);
	folder_close(&f);
	f = box_open("INBOX");
	good = give(f) && good;
	ok(good && given[1] >= r.next, "%s after an import, put back with %s: %u, of %u up",
	   ways[way], sayings[says], (unsigned)given[1], (unsigned)r.next);
	folder_close(&f);
	box_remove();
	jumps[0] = 0;
}

/* The file is there with the home's first folder, and no sync was made for it: a folder without its
 * line is one of which nobody knows. */
static void check_first(void)
{
	char path[200];
	struct stat st;

	box_make(0);
	syncs = 0;
	struct folder *f = box_open("INBOX");

	path_of(path, sizeof path, "anna");
	ok(stat(path, &st) == 0 && st.st_size == (off_t)2 * LINE_BYTES && syncs == 0,
	   "a folder's line is there with it, and costs no sync");
	box_deliver("Subject: m\r\n\r\n");
	box_sync(f);
	ok(syncs == 1 && folder_uid(f, 1) == 1, "its first UID is 1, and does");
	for (int i = 2; i < 20; i++)
		box_append(f, "Subject: m\r\n\r\n", 0);
	ok(syncs == 1 && folder_uidnext(f) == 20, "those behind it do not");
	folder_close(&f);
	box_remove();
}

/* Its UIDVALIDITY is another, and so it begins anew; a name is nothing. */
static void check_names(void)
{
	struct folder *f;
	uint32_t validity, uid;

	box_make(0);
	store_create(box, VIEW("Work"), &box_why);
	f = box_open("Work");
	validity = folder_uidvalidity(f);
	folder_close(&f);
	store_close(&box);
	box_shell("cp -a .. ../../backup && cd ../.. && rm -rf anna && cp -a backup anna");
	store_open(box_home, false, 0, &box, NULL);
	store_rename(box, VIEW("Work"), VIEW("Other"), &box_why);
	f = box_open("Other");
	uid = box_append(f, "Subject: m\r\n\r\n", 0);
	ok(folder_uidvalidity(f) == validity && uid > 65536,
	   "a folder that was put back and renamed: %u", (unsigned)uid);
	folder_close(&f);
	store_create(box, VIEW("Work"), &box_why);
	f = box_open("Work");
	ok(folder_uidvalidity(f) > validity && box_append(f, "Subject: m\r\n\r\n", 0) == 1,
	   "one that was made since begins with 1");
	validity = folder_uidvalidity(f);
	folder_close(&f);
	store_delete(box, VIEW("Work"), &box_why);
	store_create(box, VIEW("Work"), &box_why);
	f = box_open("Work");
	ok(folder_uidvalidity(f) > validity && box_append(f, "Subject: m\r\n\r\n", 0) == 1,
	   "and removed and made again under another UIDVALIDITY");
	folder_close(&f);
	box_remove();
}

/* The record of the last UIDVALIDITY is as old as the backup: a line that is there already says
 * what was given under it. Where the home was put back there is none, and it matters only where the
 * clock does not tell it from the one before. */
static void check_same_validity(const char *last, const char *restore)
{
	struct folder *f;
	uint32_t validity, uid = 0;

	box_make(0);
	f = box_open("INBOX");
	folder_close(&f);
	box_shell("echo %s >posthouse.home && cp -a .. ../../backup", last);
	store_create(box, VIEW("Work"), &box_why);
	f = box_open("Work");
	validity = folder_uidvalidity(f);
	for (int i = 0; i < EACH; i++)
		uid = box_append(f, "Subject: m\r\n\r\n", 0);
	close_all(&f);
	box_shell("%s", restore);
	store_open(box_home, false, 0, &box, NULL);
	store_create(box, VIEW("Work"), &box_why);
	f = box_open("Work");
	uint32_t first = box_append(f, "Subject: m\r\n\r\n", 0);

	ok(folder_uidvalidity(f) == validity && (first > uid || first + 1 < uid - EACH),
	   "a UIDVALIDITY that is given twice gives no UID twice: %u, %u", (unsigned)uid,
	   (unsigned)first);
	folder_close(&f);
	box_remove();
}

/* As many folders as there are lines: each still has its record. */
static void check_full(void)
{
	char path[200];
	struct stat st;
	uint32_t last = 0;
	bool good = true;

	box_make(0);
	struct folder *f = box_open("INBOX");

	folder_close(&f);
	path_of(path, sizeof path, "anna");
	int fd = open(path, O_RDWR);

	fill_up(fd);
	for (int i = 0; i < EACH; i++) {
		char name[8];

		snprintf(name, sizeof name, "N%d", i);
		store_create(box, view_of(name), &box_why);
		f = box_open(name);
		last = box_append(f, "Subject: m\r\n\r\n", 0);
		good = good && line_of(fd, folder_uidvalidity(f)) > 0 && last == 1;
		folder_close(&f);
		f = box_open(name);
		good = good && box_append(f, "Subject: m\r\n\r\n", 0) == 2;
		folder_close(&f);
	}
	ok(good && stat(path, &st) == 0 && st.st_size == (off_t)LINES_MAX * LINE_BYTES,
	   "a full record has a line for each new folder");
	close(fd);
	box_remove();
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int says = 0; says < SAYINGS; says++)
		for (int way = 0; way < WAYS; way++)
			for (int with_message = 0; with_message < 2; with_message++) {
				check_put_back("INBOX", with_message, (enum way)way,
				               (enum says)says);
				check_put_back("Work", with_message, (enum way)way,
				               (enum says)says);
			}
	for (int says = 0; says < SAYINGS; says++)
		for (int way = 0; way < WAYS; way++)
			check_import((enum way)way, (enum says)says);
	check_between(NULL);
	check_between(".");
	check_between("posthouse.uids");
	check_between("posthouse.index");
	check_first();
	check_names();
	check_same_validity("$(($(date +%s) + 100))",
	                    "rm -rf .Work && cp ../../backup/Maildir/posthouse.home .");
	check_same_validity("4000000000", "cd ../.. && rm -rf anna && cp -a backup anna");
	check_full();
	return tap_done();
}
