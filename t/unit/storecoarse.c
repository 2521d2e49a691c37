/* SPDX-License-Identifier: ISC */
/*
 * A file system whose times are whole seconds: what others change in the second of our own last
 * look has the time that we know already. The clock and the directories' times are this test's.
 */
#include "t/unit/store.h"

#include <dirent.h>
#include <dlfcn.h>
#include <sys/syscall.h>
#include <time.h>

#include "lib/store/internal.h"

enum { SECOND = 1700000000, MANY = 200 };

static int64_t wall_ms; /* since SECOND */
static unsigned scans;

int clock_gettime(clockid_t clock, struct timespec *t)
{
	if (clock != CLOCK_REALTIME)
		return (int)syscall(SYS_clock_gettime, clock, t);
	*t = (struct timespec){ SECOND + wall_ms / 1000, wall_ms % 1000 * 1000000 };
	return 0;
}

/* All that happens to directories here happens in one second. */
int fstat(int fd, struct stat *st)
{
	int result = fstatat(fd, "", st, AT_EMPTY_PATH);

	if (result == 0 && S_ISDIR(st->st_mode))
		st->st_mtim = (struct timespec){ SECOND, 0 };
	return result;
}

DIR *fdopendir(int fd)
{
	DIR *(*real)(int);

	scans++;
	*(void **)&real = dlsym(RTLD_NEXT, "fdopendir");
	return real(fd);
}

static struct folder *begin(void)
{
	wall_ms = 500;
	box_make(0);
	box_shell("for n in $(seq 1000 %d); do echo > cur/1600000000.$n.test:2,; done",
	          1000 + MANY - 1);
	return box_open("INBOX");
}

static void end(struct folder *f)
{
	folder_close(&f);
	box_remove();
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

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	check_new();
	check_cur();
	check_own();
	check_watch();
	return tap_done();
}
