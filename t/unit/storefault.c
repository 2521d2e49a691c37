/* SPDX-License-Identifier: ISC */
/*
 * The store under fire: a process that dies before or after each of its changes to the disk, and an
 * index, cache, UID record that is removed, cut or scribbled at any place and time. After each the
 * mailbox is opened by another process: every message is there, whole, once, under the UID it had.
 *
 * The library's calls that change the disk are caught here by name and counted.
 */
#include "t/unit/store.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/store/internal.h"

/* ---- dying ---- */

static int steps, die_at; /* 2n: before the n-th call, 2n + 1: behind it; 0: never */

static long step(long result_if_done, bool before)
{
	steps++;
	if (die_at && steps == die_at)
		_exit(9);
	(void)before;
	return result_if_done;
}

static long call(long number, long a, long b, long c, long d, long e)
{
	step(0, true);
	long result = syscall(number, a, b, c, d, e);
	int kept_errno = errno;

	step(0, false);
	errno = kept_errno;
	return result;
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return (int)call(SYS_renameat, from_dir, (long)from, to_dir, (long)to, 0);
}

int unlinkat(int dir, const char *name, int flags)
{
	return (int)call(SYS_unlinkat, dir, (long)name, flags, 0, 0);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	return (int)call(SYS_linkat, from_dir, (long)from, to_dir, (long)to, flags);
}

int mkdirat(int dir, const char *name, mode_t mode)
{
	return (int)call(SYS_mkdirat, dir, (long)name, (long)mode, 0, 0);
}

/* ---- a full disk: nothing can be written but what is in memory, nothing made ---- */

static bool disk_full, overwrites; /* overwrites: what has its blocks already (ext4, not btrfs) */

static bool refused(int fd)
{
	if (!disk_full || fd <= 2 || fcntl(fd, F_GET_SEALS) >= 0)
		return false;
	errno = ENOSPC;
	return true;
}

/* Half of it, then the rest: a torn write between them. */
ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
	struct stat st;

	if (!(overwrites && fstat(fd, &st) == 0 && at + (off_t)len <= st.st_size) && refused(fd))
		return -1;
	size_t half = die_at ? len / 2 : 0;

	if (half) {
		step(0, true);
		if (syscall(SYS_pwrite64, fd, bytes, half, at) != (long)half)
			return -1;
	}
	long rest = call(SYS_pwrite64, fd, (long)bytes + (long)half, (long)(len - half),
	                 at + (long)half, 0);

	return rest < 0 ? rest : rest + (long)half;
}

ssize_t write(int fd, const void *bytes, size_t len)
{
	if (fd == 1)
		return syscall(SYS_write, fd, bytes, len);
	if (refused(fd))
		return -1;
	size_t part = die_at && len > 1 ? len / 2 : len;

	return call(SYS_write, fd, (long)bytes, (long)part, 0, 0);
}

/* ---- what must hold ---- */

enum { MESSAGES = 6 };

/* "Subject: mN" of message N, which had UID N. */
static unsigned number_of(struct folder *f, uint32_t seq)
{
	struct message m;
	struct view bytes;
	unsigned number = 0;

	if (message_open(f, seq, &m, &box_why) != STORE_OK)
		return 0;
	if (message_view(&m, &bytes, &box_why) == STORE_OK &&
	    view_starts(bytes, VIEW("Subject: m")) && view_ends_nocase(bytes, VIEW("\r\nend\r\n")))
		number = (unsigned)atol(bytes.data + strlen("Subject: m"));
	message_close(&m);
	return number;
}

struct seen {
	unsigned count[100]; /* by number, in INBOX and Work together */
	bool good;
};

static void look(const char *name, struct seen *seen)
{
	struct folder *f = NULL;
	struct reason why = { "" };

	if (folder_open(box, view_of(name), false, &f, &why) != STORE_OK) {
		printf("# %s: %s\n", name, why.text);
		seen->good = false;
		return;
	}
	uint32_t before = 0;

	for (uint32_t seq = 1; seq <= folder_count(f); seq++) {
		unsigned number = number_of(f, seq);
		uint32_t uid = folder_uid(f, seq);
		bool inbox = strcmp(name, "INBOX") == 0;

		if (number == 0 || number >= 100 || uid <= before ||
		    (inbox && number <= MESSAGES && uid != number) ||
		    (inbox && number > MESSAGES && uid <= MESSAGES)) {
			printf("# %s: message m%u at %u has UID %u\n", name, number, (unsigned)seq,
			       (unsigned)uid);
			seen->good = false;
		} else {
			seen->count[number]++;
		}
		before = uid;
	}
	if (folder_uidnext(f) <= before) {
		printf("# UIDNEXT %u\n", (unsigned)folder_uidnext(f));
		seen->good = false;
	}
	folder_close(&f);
}

static const char message_text[] = "Subject: m%d\r\n\r\nend\r\n";

static void text_of(char *out, size_t size, int number)
{
	snprintf(out, size, message_text, number);
}

static void template_make(void)
{
	char text[100];

	box_make(0);
	struct folder *f = box_open("INBOX");

	for (int i = 1; i <= MESSAGES; i++) {
		text_of(text, sizeof text, i);
		box_append(f, text, i == 2 ? STORE_FLAG_SEEN : 0);
	}
	struct folder_changes c = box_sync(f);

	(void)c;
	folder_keyword(f, VIEW("$One"), true);
	folder_store(f, (uint32_t[]){ 3 }, 1, STORE_ADD, 0, 1, NULL);
	for (uint32_t seq = 1; seq <= MESSAGES; seq++)
		folder_cache_put(f, seq, VIEW("cached text"));
	folder_close(&f);
	store_create(box, VIEW("Work"), NULL);
	f = box_open("Work");
	folder_close(&f);
	box_shell("cp -a ../../anna ../../template");
}

static void template_restore(void)
{
	store_close(&box);
	char command[200];

	snprintf(command, sizeof command, "cd %s && rm -rf anna && cp -a template anna", box_root);
	if (system(command) != 0)
		abort();
	store_open(box_home, false, 0, &box, NULL);
}

/* ---- the operations; each runs in a process that dies somewhere in it ---- */

static void op_deliver(void)
{
	char text[100];

	text_of(text, sizeof text, 10);
	box_deliver(text);
}

static void op_take_in(void)
{
	struct folder *f = box_open("INBOX");

	folder_close(&f);
}

static void op_store(void)
{
	struct folder *f = box_open("INBOX");

	folder_store(f, (uint32_t[]){ 1, 2, 5 }, 3, STORE_ADD, STORE_FLAG_FLAGGED, 1, NULL);
	folder_close(&f);
}

static void op_expunge(void)
{
	struct folder *f = box_open("INBOX");

	folder_remove(f, (uint32_t[]){ 5, 6 }, 2, NULL);
	folder_close(&f);
}

static void op_append(void)
{
	struct folder *f = box_open("INBOX");
	char text[100];

	text_of(text, sizeof text, 11);
	box_append(f, text, STORE_FLAG_SEEN);
	folder_close(&f);
}

static void op_copy(void)
{
	struct folder *f = box_open("INBOX"), *to = box_open("Work");

	folder_copy(f, (uint32_t[]){ 1, 3 }, 2, to, NULL, NULL);
	folder_close(&to);
	folder_close(&f);
}

static void op_move(void)
{
	struct folder *f = box_open("INBOX"), *to = box_open("Work");

	folder_move(f, (uint32_t[]){ 2, 4 }, 2, to, NULL, NULL);
	folder_close(&to);
	folder_close(&f);
}

static void op_compact(void)
{
	struct folder *f = box_open("INBOX");

	folder_lock(f, NULL);
	cache_compact(f);
	index_write(f);
	folder_unlock(f);
	folder_close(&f);
}

static void op_rename_inbox(void)
{
	store_rename(box, VIEW("INBOX"), VIEW("Kept"), NULL);
}

static const struct operation {
	const char *name;
	void (*run)(void);
	const char *before; /* shell */
	uint32_t may_go;    /* bits of messages that may be missing */
	uint32_t may_double, may_come;
} operations[] = {
	{ "delivery", op_deliver, ":", 0, 0, 1 << 10 },
	{ "taking in new mail", op_take_in,
	  "printf 'Subject: m10\\r\\n\\r\\nend\\r\\n' > new/1.a; printf 'Subject: m11\\n\\nend\\n' > new/2.b",
	  0, 0, 1 << 10 | 1 << 11 },
	{ "rebuilding", op_take_in, "rm posthouse.index", 0, 0, 0 },
	{ "STORE", op_store, ":", 0, 0, 0 },
	{ "EXPUNGE", op_expunge, ":", 1 << 5 | 1 << 6, 0, 0 },
	{ "APPEND", op_append, ":", 0, 0, 1 << 11 },
	{ "COPY", op_copy, ":", 0, 1 << 1 | 1 << 3, 0 },
	{ "MOVE", op_move, ":", 0, 1 << 2 | 1 << 4, 0 },
	{ "compaction", op_compact, ":", 0, 0, 0 },
	{ "RENAME INBOX", op_rename_inbox, ":", 0, 0x7e, 0 },
};

static bool holds(const struct operation *op, const char *when)
{
	struct seen seen = { .good = true };
	struct store_names names;

	look("INBOX", &seen);
	store_folders(box, &names, NULL);
	for (unsigned i = 0; i < names.count; i++)
		if (strcmp(names.names[i].name, "INBOX") != 0)
			look(names.names[i].name, &seen);
	store_names_free(&names);
	for (unsigned n = 1; n < 100; n++) {
		uint32_t bit = n < 32 ? 1u << n : 0;
		unsigned low = n <= MESSAGES && !(op->may_go & bit),
			 high = n <= MESSAGES || op->may_come & bit;

		if (seen.count[n] < low || seen.count[n] > high + ((op->may_double & bit) != 0)) {
			printf("# m%u is there %u times\n", n, seen.count[n]);
			seen.good = false;
		}
	}
	if (!seen.good)
		printf("# %s\n", when);
	return seen.good;
}

/* All the steps of one operation; the number of its steps comes from a run that does not die. */
static void check_deaths(const struct operation *op)
{
	int last = 0;
	bool good = true;
	char when[100];

	for (int at = 1; last == 0; at++) {
		template_restore();
		box_shell("%s", op->before);
		fflush(stdout);
		pid_t child = fork();
		int status;

		if (child == 0) {
			steps = 0;
			die_at = at;
			op->run();
			_exit(0);
		}
		waitpid(child, &status, 0);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			last = at;
		else if (!WIFEXITED(status) || WEXITSTATUS(status) != 9)
			good = false;
		snprintf(when, sizeof when, "%s, killed at step %d (status %x)", op->name, at,
		         (unsigned)status);
		good &= holds(op, when);
		good &= holds(op, "opened again");
	}
	ok(good && last > 2, "%s: killed at each of its %d steps", op->name, last - 1);
}

/* ---- damage ---- */

static void scribble(const char *file, off_t at, int kind)
{
	char path[300];
	struct stat st;

	snprintf(path, sizeof path, "%s/Maildir/%s", box_home, file);
	if (kind == 2) {
		unlink(path);
		return;
	}
	int fd = open(path, O_RDWR);

	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	if (kind == 1) {
		if (ftruncate(fd, at) < 0)
			abort();
	} else {
		char byte = 0;

		if (pread(fd, &byte, 1, at) == 1) {
			byte ^= 0x55;
			syscall(SYS_pwrite64, fd, &byte, 1, at);
		}
	}
	close(fd);
}

static off_t size_of(const char *file)
{
	char path[300];
	struct stat st;

	snprintf(path, sizeof path, "%s/Maildir/%s", box_home, file);
	return stat(path, &st) < 0 ? 0 : st.st_size;
}

static const struct operation nothing = { "damage", NULL, NULL, 0, 0, 1 << 10 };

/* Opened behind the damage. */
static void check_cold(const char *file, int kind, int stride)
{
	bool good = true;
	off_t size;
	char when[100];

	template_restore();
	size = size_of(file);
	for (off_t at = 0; at < size && good; at += stride) {
		template_restore();
		scribble(file, at, kind);
		snprintf(when, sizeof when, "%s damaged (%d) at %ld", file, kind, (long)at);
		good = holds(&nothing, when);
	}
	ok(good && size > 0, "%s: %s everywhere", file,
	   kind == 1   ? "cut"
	   : kind == 2 ? "removed"
	               : "scribbled");
}

/* A session that has it open goes on: what it showed stays, what it does arrives. */
static bool hot(const char *file, off_t at, int kind)
{
	struct folder *f = box_open("INBOX");
	struct folder_changes c;
	char text[100];

	if (at % 2)
		folder_uid(f, 4);
	scribble(file, at, kind);
	bool good = folder_store(f, (uint32_t[]){ 4 }, 1, STORE_ADD, STORE_FLAG_ANSWERED, 0,
	                         &box_why) == STORE_OK;

	text_of(text, sizeof text, 10);
	box_deliver(text);
	good &= folder_sync(f, STORE_EXPUNGES, &c, &box_why) == STORE_OK && c.expunged_count == 0 &&
	        folder_count(f) == MESSAGES + 1;
	for (uint32_t seq = 1; seq <= MESSAGES; seq++)
		good &= folder_uid(f, seq) == seq && number_of(f, seq) == seq;
	struct store_message m;

	good &= folder_message(f, 4, 0, &m, NULL) == STORE_OK && m.flags == STORE_FLAG_ANSWERED;
	if (!good)
		printf("# %s, uids %s\n", box_why.text, box_list(f));
	folder_close(&f);
	return good;
}

static void check_hot(const char *file, int kind, int stride)
{
	bool good = true;
	off_t size;
	char when[100];

	template_restore();
	size = size_of(file);
	for (off_t at = 0; at < size && good; at += stride) {
		template_restore();
		snprintf(when, sizeof when, "%s damaged (%d) at %ld in a session", file, kind,
		         (long)at);
		good = hot(file, at, kind);
		good &= holds(&nothing, when);
		if (!good)
			printf("# %s\n", when);
	}
	ok(good && size > 0, "%s: %s everywhere, in a session", file,
	   kind == 1   ? "cut"
	   : kind == 2 ? "removed"
	               : "scribbled");
}

/* Two UIDs are never the same message's number: also when all records are lost together. */
static void check_honest(void)
{
	template_restore();
	struct folder *f = box_open("INBOX");
	uint32_t validity = folder_uidvalidity(f);

	folder_remove(f, (uint32_t[]){ MESSAGES }, 1, NULL);
	folder_close(&f);
	box_shell("rm posthouse.index");
	f = box_open("INBOX");
	ok(folder_uidvalidity(f) == validity && folder_uidnext(f) > MESSAGES + 1,
	   "the last UID's record outlives the index");
	box_append(f, "Subject: m20\r\n\r\nend\r\n", 0);
	box_sync(f);
	ok(folder_uid(f, MESSAGES) > MESSAGES, "an expunged UID is not given again");
	folder_close(&f);
	box_shell("rm posthouse.uids");
	f = box_open("INBOX");
	folder_close(&f);
	box_shell("rm posthouse.index");
	f = box_open("INBOX");
	ok(folder_uidvalidity(f) == validity && folder_count(f) == MESSAGES,
	   "one lost after the other: each is made from the other");
	folder_close(&f);
	box_shell("rm posthouse.index posthouse.uids");
	f = box_open("INBOX");
	ok(folder_uidvalidity(f) > validity && folder_count(f) == MESSAGES,
	   "with both lost UIDVALIDITY changes");
	is_string(box_list(f), "1 2S 3a 4 5 6", "and the UIDs begin anew");
	folder_close(&f);
}

/* Reading, flags and above all removing go on; when there is room again everything is as it was
 * done. */
static void check_full(bool in_place)
{
	const uint32_t taken = in_place ? MESSAGES + 1 : MESSAGES;

	template_restore();
	overwrites = in_place;
	char text[100];

	/* The home was put back: that is known before the disk is full. */
	struct folder *f = box_open("INBOX");

	folder_close(&f);
	text_of(text, sizeof text, 10);
	box_deliver(text);
	disk_full = true;
	f = box_open("INBOX");
	struct folder *g = box_open("INBOX");
	struct folder_changes c;

	ok(f != NULL && g != NULL && folder_count(f) == taken, "a full disk: the folder opens%s",
	   in_place ? " with its new mail" : "");
	if (f == NULL || g == NULL)
		return;
	ok((!in_place || number_of(f, 7) == 10) && number_of(g, 1) == 1, "messages can be read");
	ok(folder_store(f, (uint32_t[]){ 5 }, 1, STORE_ADD, STORE_FLAG_DELETED, 0, &box_why) ==
	           STORE_OK,
	   "flags set");
	ok(folder_expunge(f, NULL, 0, &box_why) == STORE_OK &&
	           folder_sync(f, STORE_EXPUNGES, &c, NULL) == STORE_OK && c.expunged_count == 1,
	   "messages removed");
	ok(folder_sync(g, STORE_EXPUNGES, &c, NULL) == STORE_OK && c.expunged_count == 1 &&
	           c.expunged[0] == 5,
	   "and others told");
	is_string(box_list(f), box_list(g), "both see the same");
	disk_full = false;
	text_of(text, sizeof text, 11);
	box_deliver(text);
	box_sync(g);
	box_sync(f);
	is_string(box_list(f), box_list(g), "also when there is room again");
	ok(folder_count(f) == MESSAGES + 1, "and new mail");
	char list[1000];

	string_put(list, sizeof list, view_of(box_list(f)));
	folder_close(&f);
	folder_close(&g);
	f = box_open("INBOX");
	is_string(box_list(f), list, "and in a new session");
	folder_close(&f);
}

/* The machine went down: the end of the index may be missing. */
static void check_power(void)
{
	template_restore();
	char path[300];
	struct index_header h;
	struct folder *f = box_open("INBOX");

	folder_remove(f, (uint32_t[]){ MESSAGES }, 1, NULL);
	folder_lock(f, NULL);
	index_write(f);
	folder_unlock(f);
	folder_close(&f);
	snprintf(path, sizeof path, "%s/Maildir/posthouse.index", box_home);
	int fd = open(path, O_RDWR);

	file_read_at(fd, &h, sizeof h, 0);
	/* As it was before that UID was given, and from an earlier boot. */
	h.uidnext = MESSAGES;
	memset(h.boot, 7, sizeof h.boot);
	h.sum = store_hash(INDEX_FORMAT, &h, offsetof(struct index_header, sum));
	pwrite_whole(fd, &h, sizeof h, 0);
	close(fd);
	f = box_open("INBOX");
	ok(folder_uidnext(f) > MESSAGES + 1,
	   "after a power cut no UID is given that may have been seen");
	is_string(box_list(f), "1 2S 3a 4 5", "and the others stay");
	folder_close(&f);
}

/* ---- a folder put back from a backup ---- */

/* What is appended after it, and what names it: no UID that named another message. */
static void put_back(const char *name, const char *directory, const char *what, int since,
                     bool open)
{
	char when[150];

	template_restore();
	snprintf(when, sizeof when, "%s put back after %d, %s%s", name, since, what,
	         open ? ", in a session" : "");
	struct folder *f = box_open(name);
	uint32_t validity = folder_uidvalidity(f), first, last = 0;

	first = box_append(f, "Subject: m30\r\n\r\nend\r\n", 0);
	if (!open)
		folder_close(&f);
	box_shell("cp -a %s ../../backup && cd ../../backup && rm -rf .Work", directory);
	struct folder *g = box_open(name);

	for (int i = 0; i < since; i++)
		last = box_append(g, "Subject: m31\r\n\r\nend\r\n", 0);
	folder_close(&g);
	box_shell(
		"cd ../../backup && rm -f %s && cd - >/dev/null && rm -f %s/cur/* %s/posthouse.* && "
		"cp -a ../../backup/. %s/ && rm -rf ../../backup",
		what, directory, directory, directory);
	if (open)
		box_sync(f);
	g = box_open(name);
	bool good = folder_count(g) >= 1 && folder_uidvalidity(g) == validity &&
	            folder_uid(g, folder_count(g)) == first;
	uint32_t uid = box_append(g, "Subject: m32\r\n\r\nend\r\n", 0), next = 0;

	if (open)
		next = box_append(f, "Subject: m33\r\n\r\nend\r\n", 0);
	ok(good && uid > last && (!open || next > uid), "%s: the next UID is %u, above %u", when,
	   (unsigned)uid, (unsigned)last);
	folder_close(&g);
	folder_close(&f);
	g = box_open(name);
	ok(box_append(g, "Subject: m34\r\n\r\nend\r\n", 0) == uid + (open ? 2 : 1) &&
	           folder_uidvalidity(g) == validity,
	   "and then as ever");
	folder_close(&g);
}

static void check_put_back(void)
{
	static const char *const removed[] = { "nothing.missing", "posthouse.index",
		                               "posthouse.cache posthouse.keywords" };

	for (size_t i = 0; i < sizeof removed / sizeof *removed; i++)
		for (int open = 0; open < 2; open++)
			for (int since = 3; since <= 300; since += 297) {
				put_back("INBOX", ".", removed[i], since, open);
				put_back("Work", ".Work", removed[i], since, open);
			}
}

/* Made an hour ago, says what it says of its time. */
static void age(const char *home)
{
	char path[200], line[64 + 1];
	int at;

	snprintf(path, sizeof path, "%s/%s/posthouse.reserved", box_root, home);
	int fd = open(path, O_RDWR);
	struct timespec times[2] = { { 0, UTIME_OMIT }, { 0, 0 } };

	if (fd < 0)
		return;
	if (pread(fd, line, 64, 0) == 64) {
		uint64_t written_ns = strtoull(line + 34, NULL, 16) - UINT64_C(3600000000000);

		times[1] = (struct timespec){ (time_t)(written_ns / 1000000000), 0 };
		at = 34 + snprintf(line + 34, 17, "%016" PRIx64, written_ns);
		snprintf(line + at, 10, " %08" PRIx32,
		         (uint32_t)store_hash(INDEX_FORMAT, line, (size_t)at));
		line[at + 9] = ' ';
		if (pwrite(fd, line, 64, 0) == 64)
			futimens(fd, times);
	}
	close(fd);
}

/* All of Maildir with other files, or over those that are there, or the index alone. */
static void put_back_as(const char *name, const char *save, const char *restore)
{
	template_restore();
	struct folder *f = box_open("INBOX");
	uint32_t validity = folder_uidvalidity(f), last = 0;

	folder_close(&f);
	store_close(&box);
	box_shell("%s", save);
	age("backup");
	store_open(box_home, false, 0, &box, NULL);
	f = box_open("INBOX");
	for (int i = 0; i < 3; i++)
		last = box_append(f, "Subject: m31\r\n\r\nend\r\n", 0);
	/* None of them is there any more: their names say nothing. */
	folder_remove(f, (uint32_t[]){ last - 2, last - 1, last }, 3, NULL);
	folder_close(&f);
	store_close(&box);
	box_shell("%s", restore);
	store_open(box_home, false, 0, &box, NULL);
	f = box_open("INBOX");
	ok(folder_uidvalidity(f) == validity && folder_uidnext(f) > last,
	   "%s put back: UIDNEXT is %u, above %u", name, (unsigned)folder_uidnext(f),
	   (unsigned)last);
	uint32_t uid = box_append(f, "Subject: m32\r\n\r\nend\r\n", 0);

	ok(uid > last, "and so is the next UID");
	folder_close(&f);
	f = box_open("INBOX");
	ok(box_append(f, "Subject: m33\r\n\r\nend\r\n", 0) == uid + 1, "and then as ever");
	folder_close(&f);
	box_shell("rm -rf ../../backup");
}

static void check_put_back_as(void)
{
	put_back_as("Maildir", "cp -a . ../../backup",
	            "cd .. && rm -rf Maildir && cp -a ../backup Maildir");
	put_back_as("Maildir, over what is there,", "cp -a . ../../backup",
	            "cp -a ../../backup/. .");
	put_back_as("the index", "mkdir ../../backup && cp -a posthouse.index ../../backup",
	            "cp -a ../../backup/posthouse.index .");
	put_back_as("the home", "cp -a .. ../../backup",
	            "cd ../.. && rm -rf anna && cp -a backup anna");
	put_back_as("the home, without its times,", "cp -r .. ../../backup",
	            "cd ../.. && rm -rf anna && cp -r backup anna");
	put_back_as("the home, over what is there,", "cp -a .. ../../backup",
	            "cp -a ../../backup/. ..");
	put_back_as("the home, over what is there, without its times,", "cp -r .. ../../backup",
	            "cp -r ../../backup/. ..");
}

/* A volume that is back at a snapshot has the times of then; INSTALL has it told. */
static void check_touched(void)
{
	template_restore();
	struct folder *f = box_open("INBOX");
	uint32_t next = folder_uidnext(f);

	folder_close(&f);
	store_close(&box);
	age("anna");
	box_shell("find ../.. -name posthouse.reserved -type f -exec touch {} +");
	store_open(box_home, false, 0, &box, NULL);
	f = box_open("INBOX");
	ok(folder_uidnext(f) >= next + (1 << 20) + 3600,
	   "a volume put back, and touched: UIDNEXT is %u", (unsigned)folder_uidnext(f));
	next = box_append(f, "Subject: m32\r\n\r\nend\r\n", 0);
	folder_close(&f);
	f = box_open("INBOX");
	ok(box_append(f, "Subject: m33\r\n\r\nend\r\n", 0) == next + 1, "once");
	folder_close(&f);
}

int main(void)
{
	static const struct {
		const char *file;
		int stride;
	} files[] = { { "posthouse.index", 29 },
		      { "posthouse.uids", 3 },
		      { "posthouse.cache", 37 },
		      { "posthouse.keywords", 5 },
		      { "posthouse.home", 5 } };

	setvbuf(stdout, NULL, _IOLBF, 0);
	template_make();
	for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
		check_deaths(&operations[i]);
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		for (int kind = 0; kind < 3; kind++) {
			int stride = kind == 2 ? 1 << 20 : files[i].stride;

			check_cold(files[i].file, kind, stride);
			check_hot(files[i].file, kind, stride);
		}
	check_honest();
	check_power();
	check_full(true);
	check_full(false); /* nor can the new message's UID be recorded: it waits in new */
	check_put_back();
	check_put_back_as();
	check_touched();
	box_remove();
	return tap_done();
}
