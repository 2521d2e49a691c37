/* SPDX-License-Identifier: ISC */
/*
 * A file system whose times are whole seconds: what others change in the second of our own last
 * look has the time that we know already. The clock and the directories' times are this test's.
 */
#include "t/unit/store.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <time.h>

#include "lib/store/internal.h"

enum { SECOND = 1700000000, MANY = 200 };

static int64_t wall_ms; /* since SECOND */
static time_t new_s;    /* the time of the directory `new`, since then too */
static unsigned scans, cur_scans;
static bool no_lock;
/* A file that comes behind the end of its directory's listing, which takes long. */
static const char *straggler;

int clock_gettime(clockid_t clock, struct timespec *t)
{
	if (clock != CLOCK_REALTIME)
		return (int)syscall(SYS_clock_gettime, clock, t);
	*t = (struct timespec){ SECOND + wall_ms / 1000, wall_ms % 1000 * 1000000 };
	return 0;
}

/* Is it this directory of the mailbox? */
static bool is_directory(int fd, const char *name)
{
	char path[60], to[300];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(path, to, sizeof to - 1);
	struct view is = { to, n < 0 ? 0 : (size_t)n };

	return view_ends_nocase(is, view_of(name));
}

/* All that happens to directories here happens in one second, but for `new`. */
int fstat(int fd, struct stat *st)
{
	int result = fstatat(fd, "", st, AT_EMPTY_PATH);

	if (result == 0 && S_ISDIR(st->st_mode))
		st->st_mtim =
			(struct timespec){ SECOND + (is_directory(fd, "/new") ? new_s : 0), 0 };
	return result;
}

DIR *fdopendir(int fd)
{
	DIR *(*real)(int);

	scans++;
	cur_scans += is_directory(fd, "/cur");
	*(void **)&real = dlsym(RTLD_NEXT, "fdopendir");
	return real(fd);
}

int closedir(DIR *directory)
{
	int (*real)(DIR *);

	if (straggler &&
	    is_directory(dirfd(directory), strncmp(straggler, "cur", 3) == 0 ? "/cur" : "/new")) {
		box_shell("echo > %s", straggler);
		wall_ms += 3000;
		straggler = NULL;
	}
	*(void **)&real = dlsym(RTLD_NEXT, "closedir");
	return real(directory);
}

int flock(int fd, int operation)
{
	if (no_lock) {
		errno = ENOLCK;
		return -1;
	}
	return (int)syscall(SYS_flock, fd, operation);
}

static struct folder *begin(void)
{
	wall_ms = 500;
	new_s = 0;
	box_make(0);
	box_shell("for n in $(seq 1000 %d); do echo > cur/1600000000.$n.test:2,; done",
	          1000 + MANY - 1);
	return box_open("INBOX");
}

static void end(struct folder *f)
{
	folder_close(&f);
	box_remove();
	if (chdir("/") < 0) /* a watch goes there */
		abort();
}

static void check_new(void)
{
	struct folder *f = begin();

	wall_ms = 600;
	box_sync(f);
	box_deliver("Subject: m\r\n\r\n");
	box_sync(f);
	ok(folder_count(f) == MANY + 1, "new: a delivery in the second of the last look is seen");
	box_deliver("Subject: m\r\n\r\n");
	wall_ms = 1900;
	box_sync(f);
	ok(folder_count(f) == MANY + 2, "and one behind it");
	end(f);
}

static void check_cur(void)
{
	struct folder *f = begin();

	box_sync(f);
	box_shell("echo > cur/1600000000.2000.test:2,");
	wall_ms = 2500;
	scans = 0;
	box_sync(f);
	ok(folder_count(f) == MANY + 1, "cur: a message in the second of the last look is seen");
	unsigned once = scans;

	/* The scan renamed it; that is looked at once more. */
	wall_ms = 5000;
	box_sync(f);
	ok(scans <= 2 * once, "with one more scan");
	scans = 0;
	wall_ms = 6000;
	box_sync(f);
	ok(scans == 0, "and then none");
	end(f);
}

/* What is renamed here has a name in its canonical form. */
static void check_own(void)
{
	struct folder *f = begin();
	uint32_t one = 1;

	wall_ms = 3000;
	box_sync(f);
	folder_store(f, &one, 1, STORE_ADD, STORE_FLAG_SEEN, 0, &box_why);
	box_shell("mv cur/1600000000.1005.* $(echo cur/1600000000.1005.*)F");
	wall_ms = 5500;
	box_sync(f);
	struct store_message m;

	folder_message(f, 6, 0, &m, NULL);
	ok(m.flags == STORE_FLAG_FLAGGED,
	   "a foreign flag in the second of our own is seen with the next look");
	end(f);
}

static void check_watch(void)
{
	struct folder *f = begin();

	ok(folder_watch(f) >= 0, "a watch");
	box_sync(f);
	box_shell("echo > cur/1600000000.2000.test:2,");
	box_sync(f);
	ok(folder_count(f) == MANY + 1, "who idles is told of the first change");
	box_shell("rm cur/1600000000.2000.*");
	box_sync(f);
	ok(folder_count(f) == MANY, "and of the second, within the second");
	end(f);
}

/* What the watch has told is known until a look has succeeded, and no longer. */
static void check_stirred(void)
{
	struct folder *f = begin();
	struct folder_changes changes;

	folder_watch(f);
	box_sync(f);
	box_shell("echo > cur/1600000000.2000.test:2,");
	no_lock = true;
	ok(folder_sync(f, STORE_EXPUNGES, &changes, &box_why) == STORE_FAILED,
	   "the watch told of a change, and the folder cannot be locked");
	no_lock = false;
	box_sync(f);
	ok(folder_count(f) == MANY + 1, "is made good by the next one, within the second");
	box_sync(f); /* of the name that it got here the watch told too */
	cur_scans = 0;
	box_sync(f);
	ok(cur_scans == 0, "and then it is not read until the second is over");
	end(f);
}

/* A listing that takes longer than a tick: what comes behind its end has the time of before it. */
static void check_long_listing(void)
{
	struct folder *f;

	wall_ms = 500;
	new_s = 0;
	box_make(0);
	straggler = "cur/1600000000.1.test:2,";
	f = box_open("INBOX");
	ok(straggler == NULL && folder_count(f) == 0, "cur: a message comes behind its listing");
	wall_ms = 6000;
	box_sync(f);
	ok(folder_count(f) == 1, "and is seen when that second is over");
	wall_ms = 9000;
	box_sync(f);
	new_s = 10;
	wall_ms = 10500;
	straggler = "new/1600000000.2.test";
	box_sync(f);
	ok(straggler == NULL && folder_count(f) == 1, "new: the same");
	wall_ms = 16000;
	box_sync(f);
	ok(folder_count(f) == 2, "and is seen too");
	end(f);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	check_new();
	check_cur();
	check_own();
	check_watch();
	check_stirred();
	check_long_listing();
	return tap_done();
}
