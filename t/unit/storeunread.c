/* SPDX-License-Identifier: ISC */
/*
 * What cannot be read is neither missing nor empty: files of the store that open with an error, and
 * directories whose listing breaks off. Nothing is told, nothing is written anew, and all is as it
 * was when they can be read again.
 */
#include "t/unit/store.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>

#include "lib/store/internal.h"

/* ---- the library's calls ---- */

static const char *refused; /* the file that does not open */
static int refusal;
static int entries_left = -1; /* of a directory, before its listing breaks off; -1: it does not */

int openat(int at, const char *name, int flags, ...)
{
	va_list list;

	va_start(list, flags);
	mode_t mode = va_arg(list, mode_t);
	va_end(list);
	if (refused && strcmp(name, refused) == 0) {
		errno = refusal;
		return -1;
	}
	return (int)syscall(SYS_openat, at, name, flags, mode);
}

struct dirent *readdir(DIR *directory)
{
	struct dirent *(*real)(DIR *);

	if (entries_left == 0) {
		errno = EIO;
		return NULL;
	}
	*(void **)&real = dlsym(RTLD_NEXT, "readdir");
	entries_left -= entries_left > 0;
	return real(directory);
}

static bool undated; /* no file takes a time */

int futimens(int fd, const struct timespec times[2])
{
	if (undated) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_utimensat, fd, NULL, times, 0);
}

static const char *unwritten; /* the file whose writes fail */

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
	char path[60], to[300];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ssize_t n = unwritten ? readlink(path, to, sizeof to - 1) : 0;

	to[n < 0 ? 0 : n] = '\0';
	if (unwritten && strstr(to, unwritten)) {
		errno = EIO;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, bytes, len, at);
}

/* ---- files ---- */

static const int refusals[] = { EMFILE, EACCES, EIO, ELOOP };

static char kept[4096];

static const char *content(const char *file)
{
	static char bytes[4096];
	char path[300];

	snprintf(path, sizeof path, "%s/Maildir/%s", box_home, file);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? 0 : read(fd, bytes, sizeof bytes - 1);

	if (fd >= 0)
		close(fd);
	bytes[got < 0 ? 0 : got] = '\0';
	return bytes;
}

static void keep(const char *file)
{
	snprintf(kept, sizeof kept, "%s", content(file));
}

static void check_subscriptions(void)
{
	struct store_names names;

	box_make(0);
	box_shell("printf 'INBOX\\nWork\\na/b\\n\\303\\244\\n' > subscriptions");
	keep("subscriptions");
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		refused = "subscriptions";
		refusal = refusals[i];
		bool good = store_subscribe(box, VIEW("New"), true, &box_why) == STORE_FAILED &&
		            store_subscribe(box, VIEW("Work"), false, &box_why) == STORE_FAILED &&
		            store_subscriptions(box, &names, &box_why) == STORE_FAILED;

		refused = NULL;
		ok(good, "subscriptions: %s is a failure", strerror(refusals[i]));
		is_string(content("subscriptions"), kept, "and they stay");
	}
	ok(store_subscribe(box, VIEW("New"), true, &box_why) == STORE_OK, "a subscription");
	is_string(content("subscriptions"), "INBOX\nWork\na/b\n\xc3\xa4\nNew\n",
	          "names that we do not have stay");
	ok(store_subscribe(box, VIEW("inbox"), false, &box_why) == STORE_OK, "one is taken back");
	is_string(content("subscriptions"), "Work\na/b\n\xc3\xa4\nNew\n", "and no other");
	box_shell("(seq -f 'f%%g' 12000; echo Work) > subscriptions");
	ok(store_subscribe(box, VIEW("New"), true, &box_why) == STORE_LIMIT, "the list is full");
	is_string(box_why.text, "too many subscriptions", "which is said");
	ok(store_subscribe(box, VIEW("Work"), false, &box_why) == STORE_OK &&
	           box_shell(
			   "! grep -q Work subscriptions && test $(wc -l < subscriptions) = 12000"),
	   "what is in it can be taken back");
	box_shell("yes abcdefg | head -c 1100000 > subscriptions");
	ok(store_subscribe(box, VIEW("New"), true, &box_why) == STORE_FAILED &&
	           box_shell("test $(wc -c < subscriptions) = 1100000"),
	   "a file that is too long stays");
	box_remove();
}

static void check_keywords(void)
{
	box_make(0);
	struct folder *f = box_open("INBOX");

	box_append(f, "Subject: m1\r\n\r\n", 0);
	box_sync(f);
	folder_keyword(f, VIEW("$One"), true);
	folder_store(f, (uint32_t[]){ 1 }, 1, STORE_ADD, 0, 1, NULL);
	keep(KEYWORDS_FILE);
	refused = KEYWORDS_FILE;
	refusal = EACCES;
	ok(folder_keyword(f, VIEW("$Two"), true) == -1, "keywords unreadable: no new one");
	folder_close(&f);
	box_shell("rm " INDEX_FILE);
	ok(folder_open(box, VIEW("INBOX"), false, &f, &box_why) == STORE_FAILED,
	   "no index is made without them");
	refused = NULL;
	is_string(content(KEYWORDS_FILE), kept, "the names stay");
	f = box_open("INBOX");
	is_string(folder_keyword_name(f, 0), "$One", "and are known again");
	is_string(box_list(f), "1a", "on their messages");
	folder_close(&f);
	box_remove();
}

static void check_uids(void)
{
	box_make(0);
	struct folder *f = box_open("INBOX");
	struct folder_append *a;
	uint32_t validity = folder_uidvalidity(f), uid;

	box_append(f, "Subject: m1\r\n\r\n", 0);
	folder_close(&f);
	keep(UID_FILE);
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		const char *why = strerror(refusals[i]);

		refused = UID_FILE;
		refusal = refusals[i];
		if (i % 2)
			box_shell("touch -d yesterday cur"); /* it is looked through */
		f = box_open("INBOX");
		ok(f != NULL && folder_count(f) == 1, "UID record, %s: the index serves", why);
		ok(folder_append_begin(f, 3, &a, &box_why) == STORE_OK &&
		           folder_append_write(a, VIEW("x\r\n"), &box_why) == STORE_OK &&
		           folder_append_finish(&a, 0, 0, 0, &uid, &box_why) == STORE_FAILED,
		   "but no UID is assigned");
		folder_close(&f);
		box_shell("mv " INDEX_FILE " away");
		ok(folder_open(box, VIEW("INBOX"), false, &f, &box_why) == STORE_FAILED,
		   "without it the folder does not open");
		refused = NULL;
		is_string(content(UID_FILE), kept, "the record stays");
		box_shell("mv away " INDEX_FILE);
	}
	refused = INDEX_FILE;
	refusal = EMFILE;
	ok(folder_open(box, VIEW("INBOX"), false, &f, &box_why) == STORE_FAILED,
	   "no descriptor for the index is no missing index");
	refused = NULL;
	f = box_open("INBOX");
	ok(f != NULL && folder_uidvalidity(f) == validity, "UIDVALIDITY is what it was");
	is_string(box_list(f), "1", "and so are the UIDs");
	folder_close(&f);
	store_create(box, VIEW("Work"), &box_why);
	refused = HOME_FILE;
	refusal = EMFILE;
	ok(folder_open(box, VIEW("Work"), false, &f, &box_why) == STORE_FAILED,
	   "no UIDVALIDITY without the record of the last one");
	refused = NULL;
	box_remove();
}

/* New mail waits for the record, and keeps nobody from what is there. */
static void check_new_mail(void)
{
	box_make(0);
	struct folder *f = box_open("INBOX");

	box_append(f, "Subject: m1\r\n\r\n", 0);
	folder_close(&f);
	box_shell("printf 'Subject: m2\\r\\n\\r\\n' > new/1700000000.x.host");
	refused = UID_FILE;
	refusal = EACCES;
	for (int i = 0; i < 2; i++) {
		f = box_open("INBOX");
		ok(f != NULL && folder_count(f) == 1,
		   "a new message has no UID, the others are there");
		folder_close(&f);
	}
	refused = NULL;
	f = box_open("INBOX");
	is_string(box_list(f), "1 2", "when the record can be read it has one");
	folder_close(&f);
	box_remove();
}

/* What cannot be written is told, or made good. */
static void check_unwritten(void)
{
	struct store_quota quota;
	struct folder_append *a;
	uint32_t uid;

	box_make(100000);
	struct folder *f = box_open("INBOX");

	store_quota(box, &quota, &box_why);
	refused = "maildirsize";
	refusal = EMFILE;
	box_append(f, "Subject: m1\r\n\r\n", 0);
	refused = NULL;
	ok(store_quota(box, &quota, &box_why) == STORE_OK && quota.used_messages == 1,
	   "a message that could not be added to the quota is counted");
	undated = true;
	ok(folder_append_begin(f, 3, &a, &box_why) == STORE_OK &&
	           folder_append_write(a, VIEW("x\r\n"), &box_why) == STORE_OK &&
	           folder_append_finish(&a, 0, 0, 1000000000, &uid, &box_why) == STORE_FAILED,
	   "a date that the file does not take is a failure of APPEND");
	undated = false;
	folder_close(&f);
	store_create(box, VIEW("Work"), &box_why);
	unwritten = HOME_FILE;
	ok(folder_open(box, VIEW("Work"), false, &f, &box_why) == STORE_FAILED,
	   "a UIDVALIDITY that cannot be recorded is none");
	is_string(box_why.text, "write " HOME_FILE ": Input/output error", "and says why");
	unwritten = NULL;
	f = box_open("Work");
	ok(f != NULL, "when it can the folder opens");
	folder_close(&f);
	box_remove();
}

/* ---- directories ---- */

static void check_directories(void)
{
	enum { MANY = 5 };
	struct store_names names;
	struct store_quota quota;
	struct folder *f;
	bool good = true;

	box_make(100000);
	store_create(box, VIEW("A"), &box_why);
	store_create(box, VIEW("B"), &box_why);
	f = box_open("INBOX");
	for (int i = 0; i < MANY; i++)
		box_append(f, "Subject: m\r\n\r\n", 0);
	folder_close(&f);
	for (int at = 0; at < MANY; at++) {
		box_shell("rm -f " INDEX_FILE);
		entries_left = at;
		good &= folder_open(box, VIEW("INBOX"), false, &f, &box_why) == STORE_FAILED;
		entries_left = at;
		good &= store_folders(box, &names, &box_why) == STORE_FAILED;
		entries_left = at;
		box_shell("rm -f maildirsize");
		good &= store_quota(box, &quota, &box_why) == STORE_FAILED;
		entries_left = -1;
		f = box_open("INBOX");
		good &= f != NULL && strcmp(box_list(f), "1 2 3 4 5") == 0;
		folder_close(&f);
	}
	ok(good, "a listing that breaks off after any entry is a failure, and no message changes");
	ok(store_quota(box, &quota, &box_why) == STORE_OK && quota.used_messages == MANY,
	   "the quota is counted when it can be");
	box_remove();
}

/* A folder that was put back while nobody could read what was given of it since then. */
static void check_reserved_later(void)
{
	box_make(0);
	struct folder *f = box_open("INBOX");

	box_append(f, "Subject: m1\r\n\r\n", 0);
	folder_close(&f);
	box_shell("cp -a . ../backup");
	f = box_open("INBOX");
	box_append(f, "Subject: m2\r\n\r\n", 0);
	box_append(f, "Subject: m3\r\n\r\n", 0);
	uint32_t next = folder_uidnext(f);

	folder_close(&f);
	store_close(&box);
	box_shell("cd .. && rm -rf Maildir && mv backup Maildir");
	store_open(box_home, false, 0, &box, NULL);
	refused = RESERVED_FILE;
	refusal = EMFILE;
	f = box_open("INBOX");
	ok(f != NULL && folder_count(f) == 1,
	   "put back, and what was given is unreadable: it opens");
	refused = NULL;
	box_sync(f);
	ok(folder_uidnext(f) >= next,
	   "when it can be read UIDNEXT is not below what it was: %u, %u",
	   (unsigned)folder_uidnext(f), (unsigned)next);
	is_string(box_list(f), "1", "and what has a UID keeps it");
	folder_close(&f);
	box_remove();
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	check_subscriptions();
	check_keywords();
	check_uids();
	check_new_mail();
	check_unwritten();
	check_directories();
	check_reserved_later();
	return tap_done();
}
