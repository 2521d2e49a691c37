/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#if HAVE_OPENAT2
#include <linux/openat2.h>
#include <sys/syscall.h>
#endif

#include "lib/base/log.h"
#include "lib/store/internal.h"

static uint8_t boot[BOOT_BYTES];
static bool boot_known;

/* Tells a kill from a power cut: what was written under this boot is in the page cache or on
 * disk. */
const uint8_t *store_boot(void)
{
	char text[64] = "";

	if (boot_known)
		return boot;
	boot_known = true;
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return boot;
	if (file_read_some(fd, text, sizeof text - 1) > 0) {
		uint64_t parts[2] = { store_hash(1, text, strlen(text)),
			              store_hash(2, text, strlen(text)) };

		memcpy(boot, parts, sizeof boot);
	}
	close(fd);
	return boot;
}

int64_t stat_ns(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

bool is_coarse(int64_t change_ns)
{
	return change_ns % 1000000000 == 0;
}

int64_t tick_ns(int64_t change_ns)
{
	const int64_t kernel_ns = 100 * 1000000ll, second_ns = 1000000000;

	/* A second, and what two clocks may lie apart. */
	return is_coarse(change_ns) ? 2 * second_ns : kernel_ns;
}

int open_directory(int at, const char *name)
{
	return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* By the kernel's number: the C library has had no name for it for long. */
int open_directory_straight(const char *path)
{
#if HAVE_OPENAT2
	struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		                .resolve = RESOLVE_NO_SYMLINKS };

	return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
#else
	(void)path;
	errno = ENOSYS;
	return -1;
#endif
}

enum file_result read_small(int at, const char *name, char *out, size_t size)
{
	int fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), kept_errno;
	struct text bytes;

	out[0] = '\0';
	if (fd < 0)
		return FILE_FAILED;
	text_init(&bytes, size - 1);
	enum file_result result = file_read_rest(fd, &bytes);

	kept_errno = errno;
	close(fd);
	if (result == FILE_WHOLE)
		string_put(out, size, text_view(&bytes));
	text_free(&bytes);
	errno = kept_errno;
	return result;
}

bool file_missing(enum file_result result)
{
	return result == FILE_FAILED && errno == ENOENT;
}

static int write_and_sync(int fd, struct view bytes, bool sync)
{
	if (write_whole(fd, bytes.data, bytes.len) < 0)
		return -1;
	return sync ? fdatasync(fd) : 0;
}

/* A crash leaves the old file or the new one, and perhaps NAME.new, which the next writer
 * overwrites. */
int write_atomic(int at, const char *name, struct view bytes, bool sync)
{
	char temporary[64];
	int kept_errno;

	string_print(temporary, sizeof temporary, "%s.new", name);
	unlinkat(at, temporary, 0);
	int fd = openat(at, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return -1;
	int result = write_and_sync(fd, bytes, sync);

	kept_errno = errno;
	close(fd);
	errno = kept_errno;
	if (result == 0)
		result = renameat(at, temporary, at, name);
	if (result == 0 && sync)
		result = fsync(at);
	if (result < 0) {
		kept_errno = errno;
		unlinkat(at, temporary, 0);
		errno = kept_errno;
	}
	return result;
}

bool disk_refuses(int error)
{
	return error == ENOSPC || error == EDQUOT || error == EROFS;
}

enum store_result fail_disk(struct reason *why, const char *what)
{
	int error = errno;

	fail_errno(why, "%s", what);
	errno = error;
	return disk_result(error);
}

enum store_result disk_result(int error)
{
	switch (error) {
	case ENOSPC: return STORE_DISK_FULL;
	case EDQUOT: return STORE_OVER_QUOTA;
	case EROFS: return STORE_READ_ONLY;
	}
	return STORE_FAILED;
}

static void remove_below(int at, const char *name, unsigned depth);

/* A directory below `at` with all it holds, never through a link; a failure leaves the rest for
 * another time. */
static void empty_directory(int fd, unsigned depth)
{
	const struct dirent *e;
	struct walk w;

	walk_begin(&w, fd, ".");
	while ((e = walk_next(&w)) != NULL)
		if (unlinkat(fd, e->d_name, 0) < 0 && (errno == EISDIR || errno == EPERM) &&
		    depth > 0)
			remove_below(fd, e->d_name, depth - 1);
	if (walk_end(&w) < 0)
		log_warn("event=directory-unread reason=%s", log_quote(view_of(strerror(errno))));
}

static void remove_below(int at, const char *name, unsigned depth)
{
	int fd = open_directory(at, name);

	if (fd >= 0) {
		empty_directory(fd, depth);
		close(fd);
	}
	unlinkat(at, name, AT_REMOVEDIR);
}

void remove_tree(int at, const char *name)
{
	enum { DEPTH_MAX = 4 };

	remove_below(at, name, DEPTH_MAX);
}

/* The customary time after which nothing in tmp can still be in the making; by both times, since
 * APPEND sets one. */
void clean_tmp(int tmp, int64_t now_s)
{
	enum { ABANDONED_S = 36 * 3600 };
	const struct dirent *e;
	struct stat st;
	struct walk w;

	walk_begin(&w, tmp, ".");
	while ((e = walk_next(&w)) != NULL) {
		if (e->d_name[0] == '.' || fstatat(tmp, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    st.st_mtim.tv_sec > now_s - ABANDONED_S ||
		    st.st_ctim.tv_sec > now_s - ABANDONED_S)
			continue;
		if (S_ISDIR(st.st_mode))
			remove_tree(tmp, e->d_name);
		else
			unlinkat(tmp, e->d_name, 0);
	}
	if (walk_end(&w) < 0)
		log_warn("event=directory-unread reason=%s", log_quote(view_of(strerror(errno))));
}
