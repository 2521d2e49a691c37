/* SPDX-License-Identifier: ISC */
#include "lib/store/recordfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define RESERVED_NEW RESERVED_FILE ".new"

enum {
	LINE_BYTES = 64,
	LINES_MAX = 32768,   /* folders there have ever been; then one forgets another */
	APART_BITS = 26,     /* how far two restores may be apart */
	GIVEN_MAX = 1 << 20, /* in any time, beside one a second: an import */
};

static void finish_line(char out[LINE_BYTES + 1], size_t len)
{
	uint32_t sum = (uint32_t)store_hash(INDEX_FORMAT, out, len);

	len += string_print(out + len, LINE_BYTES + 1 - len, " %08" PRIx32, sum);
	memset(out + len, ' ', LINE_BYTES - 1 - len);
	out[LINE_BYTES - 1] = '\n';
	out[LINE_BYTES] = '\0';
}

static void format_line(char out[LINE_BYTES + 1], uint32_t validity, const struct reserved *r)
{
	finish_line(out,
	            string_print(out, LINE_BYTES + 1, "%08" PRIx32 " %010" PRIu32 " %010" PRIu32,
	                         validity, r->ceiling, r->next));
}

static void format_first(char out[LINE_BYTES + 1], const struct first_line *l)
{
	finish_line(out,
	            string_print(out, LINE_BYTES + 1, "%016" PRIx64 " %016" PRIx64 " %016" PRIx64,
	                         l->inode, l->born_ns, l->written_ns));
}

static bool parse_first(const char *line, struct first_line *out)
{
	char want[LINE_BYTES + 1];

	*out = (struct first_line){ strtoull(line, NULL, 16), strtoull(line + 17, NULL, 16),
		                    strtoull(line + 34, NULL, 16) };
	format_first(want, out);
	return memcmp(line, want, LINE_BYTES) == 0;
}

/* The inode and the time of its birth: a copy that got the same number was born later. */
static void identify(int fd, struct first_line *out)
{
	*out = (struct first_line){ 0 };
#ifdef STATX_BTIME
	struct statx x;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &x) == 0) {
		out->inode = x.stx_ino;
		if (x.stx_mask & STATX_BTIME)
			out->born_ns =
				(uint64_t)x.stx_btime.tv_sec * 1000000000 + x.stx_btime.tv_nsec;
	}
#else
	struct stat st;

	if (fstat(fd, &st) == 0)
		out->inode = st.st_ino;
#endif
}

static int64_t time_ns(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* As near as ticks, or whole seconds, tell. */
static bool is_time(struct timespec t, uint64_t written_ns)
{
	int64_t apart_ns = time_ns(t) - (int64_t)written_ns;
	int64_t slack_ns = t.tv_nsec ? 100000000 : 2000000000;

	return written_ns && apart_ns <= slack_ns && -apart_ns <= slack_ns;
}

/* A write sets both times to the clock's. A copy over the file does so as well, with what the bytes
 * said before, and whoever gives it the copy's time then (or a mode, or an owner) parts the two. */
static bool last_written_at(const struct stat *st, uint64_t written_ns)
{
	return time_ns(st->st_ctim) == time_ns(st->st_mtim) && is_time(st->st_ctim, written_ns);
}

/* Without random numbers the clock's nanoseconds tell two restores apart. */
static uint32_t draw(uint32_t below)
{
	uint32_t n = (uint32_t)now_ns();

	while (getrandom(&n, sizeof n, 0) < 0 && errno == EINTR)
		;
	return n % below;
}

/* 1 to 2^APART_BITS. */
static uint32_t jump(void)
{
	return draw(1u << APART_BITS) + 1;
}

/* However it is found out that something was put back. */
static uint32_t can_have_been_given(uint64_t since_ns)
{
	int64_t passed_s = (now_ns() - (int64_t)since_ns) / 1000000000;

	return GIVEN_MAX + (passed_s < 0                  ? 0
	                    : passed_s > (int64_t)1 << 28 ? 1u << 28
	                                                  : (uint32_t)passed_s);
}

static void judge(struct record_file *file, const struct stat *st)
{
	struct first_line said;
	bool good = parse_first(file->bytes, &said);
	bool same = good && said.inode == file->first.inode && said.born_ns == file->first.born_ns;

	if (same && (said.written_ns == 0 || last_written_at(st, said.written_ns))) {
		*file->jump = 0;
		return;
	}
	file->since_ns = (uint64_t)time_ns(st->st_mtim);
	if (good && said.written_ns && said.written_ns < file->since_ns)
		file->since_ns = said.written_ns;
	file->added = can_have_been_given(file->since_ns);
	/* Every restore is followed by another file (replace), so this is the first since the file
	 * was made: there is none that it could meet. */
	file->touched = same && said.born_ns && is_time(st->st_mtim, said.written_ns);
	if (file->touched)
		return;
	/* The same until it is recorded, then never again. */
	if (*file->jump == 0)
		*file->jump = jump();
	file->added += *file->jump;
}

int record_file_load(struct record_file *file, int fd)
{
	struct stat st;

	*file = (struct record_file){ .fd = fd, .jump = file->jump };
	if (fstat(fd, &st) < 0)
		return -1;
	uint64_t size = (uint64_t)st.st_size < LINES_MAX * LINE_BYTES ? (uint64_t)st.st_size
	                                                              : LINES_MAX * LINE_BYTES;

	file->bytes = memory_get(size + 1);
	enum file_result got = file_read_at(fd, file->bytes, size, 0);

	/* What was not read is no end: a new line would go over another folder's. */
	if (got == FILE_SHORT)
		errno = EIO;
	if (got != FILE_WHOLE)
		return -1;
	file->len = size / LINE_BYTES * LINE_BYTES;
	identify(fd, &file->first);
	if (file->len)
		judge(file, &st);
	return 0;
}

/* Whatever its UIDVALIDITY. */
static bool parse_line(const struct record_file *file, uint64_t at, uint32_t *validity,
                       struct reserved *out)
{
	const char *line = file->bytes + at;
	char want[LINE_BYTES + 1], hex[9];
	uint64_t ceiling, next;

	string_put(hex, sizeof hex, (struct view){ line, 8 });
	if (!view_number((struct view){ line + 9, 10 }, UINT32_MAX, &ceiling) ||
	    !view_number((struct view){ line + 20, 10 }, UINT32_MAX, &next))
		return false;
	*validity = (uint32_t)strtoul(hex, NULL, 16);
	*out = (struct reserved){ (uint32_t)ceiling, (uint32_t)next };
	format_line(want, *validity, out);
	if (memcmp(line, want, LINE_BYTES) != 0)
		return false;
	*out = (struct reserved){ uid_above((uint32_t)ceiling, file->added),
		                  uid_above((uint32_t)next, file->added) };
	return true;
}

/* At the end; in a full file in place of any other: two of three are of folders that have gone
 * (STORE_FOLDERS_MAX), and no two folders take each other's for ever. */
static uint64_t place_for_another(const struct record_file *file)
{
	if (file->len >= LINES_MAX * LINE_BYTES)
		return LINE_BYTES * (1 + (uint64_t)draw(LINES_MAX - 1));
	return file->len ? file->len : LINE_BYTES;
}

/* Where its line is, or where a new one goes. */
uint64_t record_file_find(const struct record_file *file, uint32_t validity, struct reserved *out)
{
	char want[9];
	uint32_t found;

	string_print(want, sizeof want, "%08" PRIx32, validity);
	for (uint64_t at = LINE_BYTES; at < file->len; at += LINE_BYTES)
		if (memcmp(file->bytes + at, want, 8) == 0 && parse_line(file, at, &found, out) &&
		    found == validity)
			return at;
	*out = (struct reserved){ 0 };
	return place_for_another(file);
}

int record_file_open(struct store *store, int flags)
{
	return openat(store->directory, RESERVED_FILE, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
	              0600);
}

static bool is_named(struct store *store, int fd)
{
	struct stat st, named;

	return fstat(fd, &st) == 0 &&
	       fstatat(store->directory, RESERVED_FILE, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_ino == named.st_ino && st.st_dev == named.st_dev;
}

/* Not one that was replaced while it was waited for. */
int record_file_open_locked(struct store *store, int flags, int how)
{
	for (;;) {
		int fd = record_file_open(store, flags), result;

		if (fd < 0)
			return -1;
		while ((result = flock(fd, how)) < 0 && errno == EINTR)
			;
		if (result == 0 && is_named(store, fd))
			return fd;
		int kept_errno = errno;

		close(fd);
		errno = kept_errno;
		if (result < 0)
			return -1;
	}
}

static int write_first(const struct record_file *file)
{
	char line[LINE_BYTES + 1];

	format_first(line, &file->first);
	return pwrite_whole(file->fd, line, LINE_BYTES, 0);
}

/* The first line is written first: killed between the two it is right. line NULL: it alone. */
static int write_line(struct record_file *file, uint64_t at, const char *line)
{
	struct stat st;

	/* Again when it was kept from going on, or the clock was set. */
	for (int attempt = 0; attempt < 3; attempt++) {
		file->first.written_ns = (uint64_t)now_ns();
		if (write_first(file) < 0 ||
		    (line && pwrite_whole(file->fd, line, LINE_BYTES, at) < 0) ||
		    fstat(file->fd, &st) < 0)
			return -1;
		if (last_written_at(&st, file->first.written_ns))
			return 0;
	}
	/* They are another clock's: nothing is told by them. */
	file->first.written_ns = 0;
	return write_first(file);
}

/* In memory. */
static void raise_lines(struct record_file *file)
{
	char line[LINE_BYTES + 1];
	struct reserved r;
	uint32_t validity;

	for (uint64_t at = LINE_BYTES; at < file->len; at += LINE_BYTES)
		if (parse_line(file, at, &validity, &r)) {
			format_line(line, validity, &r);
			memcpy(file->bytes + at, line, LINE_BYTES);
		}
}

/* What is in memory becomes another file, on disk, which no backup knows: 1: not so, and nothing is
 * changed. The first line names none yet. */
static int replace(struct store *store, struct record_file *file)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	struct stat st;

	unlinkat(store->directory, RESERVED_NEW, 0);
	if (fstat(file->fd, &st) < 0 || st.st_uid != geteuid())
		return 1;
	int fd = openat(store->directory, RESERVED_NEW, flags, st.st_mode & 0777);

	if (fd < 0)
		return 1;
	if (flock(fd, LOCK_EX) < 0 || pwrite_whole(fd, file->bytes, file->len, 0) < 0 ||
	    fdatasync(fd) < 0 ||
	    renameat(store->directory, RESERVED_NEW, store->directory, RESERVED_FILE) < 0) {
		unlinkat(store->directory, RESERVED_NEW, 0);
		close(fd);
		return 1;
	}
	close(file->fd);
	file->fd = fd;
	identify(fd, &file->first);
	return fsync(store->directory);
}

/* The first line names no file until all are raised, and on disk: killed in the middle it is done
 * again, and the numbers rise twice. So does that of a file that is left behind, which may have
 * another name. */
int record_file_raise(struct store *store, struct record_file *file)
{
	const struct first_line nobody = { UINT64_MAX, 0, file->since_ns };
	char line[LINE_BYTES + 1];

	format_first(line, &nobody);
	memcpy(file->bytes, line, LINE_BYTES);
	raise_lines(file);
	if (pwrite_whole(file->fd, line, LINE_BYTES, 0) < 0)
		return -1;
	int result = replace(store, file);

	/* A file that stays may be put back in its place again. */
	if (result > 0 && file->touched) {
		file->added = jump();
		raise_lines(file);
	}
	if (result > 0)
		result = pwrite_whole(file->fd, file->bytes, file->len, 0) < 0
		                 ? -1
		                 : fdatasync(file->fd);
	if (result < 0)
		return -1;
	file->added = *file->jump = 0;
	return write_line(file, 0, NULL);
}

int record_file_write(struct record_file *file, uint64_t at, uint32_t validity,
                      const struct reserved *r)
{
	char line[LINE_BYTES + 1];

	format_line(line, validity, r);
	return write_line(file, at, line);
}

uint32_t record_file_jump(uint64_t since_ns)
{
	return can_have_been_given(since_ns) + jump();
}
