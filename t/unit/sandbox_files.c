/* SPDX-License-Identifier: ISC */
/* The sandbox: files that a program has promised, others, and those that it was given open. */
#include <errno.h>
#include <sys/inotify.h>
#include <sys/mman.h>

#include "t/unit/sandboxed.h"

static int given_file;

/* ---- what is tried: 0 or -1 ---- */

static int try_read_allowed(void)
{
	return open(path(allowed_directory, "file"), O_RDONLY);
}

static int try_read_other(void)
{
	return open(path(other_directory, "file"), O_RDONLY);
}

static int try_passwd(void)
{
	return open("/etc/passwd", O_RDONLY);
}

static int try_create_allowed(void)
{
	int fd = open(path(allowed_directory, "new"), O_CREAT | O_EXCL | O_WRONLY, 0600);
	char to[128];

	snprintf(to, sizeof to, "%s", path(allowed_directory, "sub/renamed"));
	mkdir(path(allowed_directory, "sub"), 0700);
	if (fd < 0 || write(fd, "x", 1) != 1 || ftruncate(fd, 0) < 0 || fsync(fd) < 0)
		return -1;
	return rename(path(allowed_directory, "new"), to) == 0 && unlink(to) == 0 &&
	                       rmdir(path(allowed_directory, "sub")) == 0
	               ? 0
	               : -1;
}

static int try_create_other(void)
{
	return open(path(other_directory, "new"), O_CREAT | O_WRONLY, 0600);
}

static int try_unlink_other(void)
{
	return unlink(path(other_directory, "file"));
}

static int try_truncate_other(void)
{
	return truncate(path(other_directory, "file"), 0);
}

/* What Landlock would refuse anyway, the filter refuses as well. */
static int by_filter(long result)
{
	return result < 0 && errno == ENOSYS ? -1 : 0;
}

/* Landlock lets it: of its own files, or of those of others of its uid. */
static int try_mode(void)
{
	return by_filter(chmod(path(allowed_directory, "file"), 0600));
}

static int try_mode_at(void)
{
	return by_filter(fchmodat(AT_FDCWD, path(other_directory, "file"), 0600, 0));
}

static int try_times(void)
{
	return by_filter(utimensat(AT_FDCWD, path(allowed_directory, "file"), NULL, 0));
}

/* A name that is null in its low half. */
static int try_times_high(void)
{
	char *high = mmap((void *)(1ul << 32), 4096, PROT_READ | PROT_WRITE,
	                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (high == MAP_FAILED)
		return -1;
	strcpy(high, path(allowed_directory, "file"));
	return utimensat(AT_FDCWD, high, NULL, 0);
}

static int try_times_of_open(void)
{
	return futimens(given_file, NULL);
}

static int try_owner(void)
{
	return by_filter(chown(path(allowed_directory, "file"), getuid(), getgid()));
}

static int try_truncate(void)
{
	return by_filter(truncate(path(allowed_directory, "file"), 0));
}

static int try_change_directory(void)
{
	return by_filter(chdir(other_directory));
}

static int try_link_text(void)
{
	return by_filter(symlink("/etc", path(allowed_directory, "link")));
}

static int try_inotify(void)
{
	int fd = inotify_init1(0);

	return fd < 0 ? -1 : inotify_add_watch(fd, allowed_directory, IN_CREATE);
}

/* Beyond its end, where no limit of sizes counts it. */
static int try_reserve_given(void)
{
	return fallocate(given_file, FALLOC_FL_KEEP_SIZE, 0, 1 << 20);
}

static int try_truncate_given(void)
{
	return ftruncate(given_file, 0);
}

static int try_narrow(void)
{
	static const struct sandbox_profile nothing = { 0 };

	sandbox_enter(&nothing);
	return try_read_allowed();
}

static void narrow(const char *path)
{
	sandbox_narrow(open(path, O_RDONLY | O_DIRECTORY));
}

static int try_read_below(void)
{
	narrow(allowed_directory);
	return try_read_allowed();
}

static int try_move_below(void)
{
	narrow(allowed_directory);
	int directory = open(allowed_directory, O_RDONLY | O_DIRECTORY);

	return mkdirat(directory, "sub", 0700) < 0 ||
	                       renameat(directory, "file", directory, "sub/file") < 0 ||
	                       renameat(directory, "sub/file", directory, "file") < 0
	               ? -1
	               : unlinkat(directory, "sub", AT_REMOVEDIR);
}

static int try_other_beside(void)
{
	narrow(allowed_directory);
	return try_read_other();
}

static int try_narrow_to_more(void)
{
	int more = open("/tmp", O_RDONLY | O_DIRECTORY);

	narrow(allowed_directory);
	sandbox_narrow(more);
	return try_read_other();
}

static const struct attempt attempts[] = {
	{ "read a file of its own", try_read_allowed, SET(FILES) | SET(READS) | SET(NOTIFIES),
	  FAILED },
	{ "read another's file", try_read_other, 0, FAILED },
	{ "read /etc/passwd", try_passwd, 0, FAILED },
	{ "create, write, rename, remove", try_create_allowed, SET(FILES) | SET(NOTIFIES), FAILED },
	{ "create elsewhere", try_create_other, 0, FAILED },
	{ "remove elsewhere", try_unlink_other, 0, FAILED },
	{ "truncate elsewhere", try_truncate_other, 0, FAILED },
	{ "change a mode", try_mode, 0, FAILED },
	{ "change a mode elsewhere", try_mode_at, 0, FAILED },
	{ "change times", try_times, 0, FAILED },
	{ "change times by a high name", try_times_high, 0, FAILED },
	{ "change times of an open file", try_times_of_open,
	  SET(FILES) | SET(READS) | SET(NOTIFIES), FAILED },
	{ "change an owner", try_owner, 0, FAILED },
	{ "truncate by name", try_truncate, 0, FAILED },
	{ "change the directory", try_change_directory, 0, FAILED },
	{ "make a symbolic link", try_link_text, 0, FAILED },
	{ "watch a directory", try_inotify, SET(NOTIFIES), FAILED },
	{ "empty a file it was given", try_truncate_given, SET(FILES) | SET(READS) | SET(NOTIFIES),
	  FAILED },
	{ "reserve room in it", try_reserve_given, 0, FAILED },
	{ "read after narrowing", try_narrow, 0, FAILED },
};

static void test_narrow(void)
{
	static const struct sandbox_profile files = { .promises = SANDBOX_FILES,
		                                      .paths = { { "/tmp", true } } };

	ok(outcome(&files, &files, try_read_other) == WORKED, "files: all of them");
	ok(outcome(&files, &files, try_read_below) == WORKED, "narrowed: those below");
	ok(outcome(&files, &files, try_move_below) == WORKED, "also from directory to directory");
	ok(outcome(&files, &files, try_other_beside) == FAILED, "not those beside");
	ok(outcome(&files, &files, try_narrow_to_more) == FAILED, "for good");
}

int main(void)
{
	if (!begin())
		return 0;
	given_file = open(path(other_directory, "file"), O_RDWR | O_CLOEXEC);
	TRY_ALL(attempts);
	test_narrow();
	clean();
	return tap_done();
}
