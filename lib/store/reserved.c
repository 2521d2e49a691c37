/* SPDX-License-Identifier: ISC */
/*
 * What is known of the UIDs outside of the folders: home/posthouse.reserved has a line of 64 bytes
 * for every UIDVALIDITY of this home, which no two folders ever shared: the UIDs that are reserved
 * (synced), and the next one (not synced: a power cut is seen by the boot in the index). Every UID
 * is taken from here, whatever the folder's own files say: a folder (or all of Maildir) that is put
 * back from a backup gives none twice.
 *
 * A folder's line is made with its UIDVALIDITY, before that stands anywhere else, and so is the
 * file. A UIDVALIDITY without one, or whose line is damaged, is one of which nobody knows what was
 * given: the backup is from before its line, or the file is gone, or was never made. Its UIDs are
 * passed over like those of a file that was put back, as soon as somebody writes its line.
 *
 * The first line says which file this is and when it was last written, by what no copy has: a file
 * that was copied is another one, and one that was copied over was changed (ctime) at a time that
 * it does not name. Then as many UIDs are passed over as can have been given since, and a random
 * number more: what was given after an earlier restore from the same backup is recorded nowhere any
 * more. Two restores that give n and m UIDs meet with a probability of about (n + m) / 2^26 (200
 * and 200: 1 in 168,000). On average 128 restores use up a UIDVALIDITY; the folder gets another one
 * then (uids.c).
 *
 * So a UID whose line cannot be written is not given. What is there already is served without the
 * file.
 *
 * Lines are written in place and never lie in two sectors. They only rise, and stay when their
 * folder goes: it may come back. When there is no room for another one, one of them goes, whose
 * folder then has none.
 */
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

#include "lib/store/internal.h"

#define RESERVED_NEW RESERVED_FILE ".new"

enum {
	LINE_BYTES = 64,
	LINES_MAX = 32768, /* folders there have ever been; then one forgets another */
	APART_BITS = 26    /* how far two restores may be apart */
};

struct first_line {
	uint64_t inode, born_ns;
	uint64_t written_ns; /* 0: this file system's times are not of this clock */
};

struct record_file {
	int fd;
	char *bytes;
	uint64_t len;      /* whole lines */
	uint32_t added;    /* to every number: the file was put back */
	bool touched;      /* or its mode, owner or links were changed: once in its life */
	uint64_t since_ns; /* 0: it was not; what was written until then is in it */
	uint32_t *jump;    /* the session's */
	struct first_line first;
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

/* A write sets both times to the clock's. A copy over the file does so as well, with what the bytes
 * said before, and whoever gives it the copy's time then (or a mode, or an owner) parts the two. */
static bool last_written_at(const struct stat *st, uint64_t written_ns)
{
	int64_t changed_ns = time_ns(st->st_ctim), apart_ns = changed_ns - (int64_t)written_ns;
	/* Ticks, or whole seconds. */
	int64_t slack_ns = st->st_ctim.tv_nsec ? 100000000 : 2000000000;

	return changed_ns == time_ns(st->st_mtim) && apart_ns <= slack_ns && -apart_ns <= slack_ns;
}

/* The bytes are those that were written then, as far as anybody can say. */
static bool has_time_of(const struct stat *st, uint64_t written_ns)
{
	int64_t apart_ns = time_ns(st->st_mtim) - (int64_t)written_ns;
	int64_t slack_ns = st->st_mtim.tv_nsec ? 100000000 : 2000000000;

	return written_ns && apart_ns <= slack_ns && -apart_ns <= slack_ns;
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

/* A mailbox gets less than a message a second, and no more than UID_TRUST in any time. */
static uint32_t can_have_been_given(uint64_t since_ns)
{
	int64_t passed_s = (now_ns() - (int64_t)since_ns) / 1000000000;

	return UID_TRUST + (passed_s < 0                  ? 0
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
	file->touched = same && said.born_ns && has_time_of(st, said.written_ns);
	if (file->touched)
		return;
	/* The same until it is recorded, then never again. */
	if (*file->jump == 0)
		*file->jump = jump();
	file->added += *file->jump;
}

static int load(struct record_file *file, int fd)
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
static uint64_t look_up(const struct record_file *file, uint32_t validity, struct reserved *out)
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

static int open_record(struct store *store, int flags)
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
static int open_locked(struct store *store, int flags, int how)
{
	for (;;) {
		int fd = open_record(store, flags), result;

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

enum uid_record reserved_read(struct store *store, uint32_t validity, struct reserved *out)
{
	struct record_file file = { .fd = open_record(store, O_RDONLY), .jump = &store->jump };
	int result = file.fd < 0 ? -1 : load(&file, file.fd);

	*out = (struct reserved){ 0 };
	/* Somebody is writing just now, or it is so. */
	if (result == 0 && file.added) {
		free(file.bytes);
		close(file.fd);
		file = (struct record_file){ .fd = open_locked(store, O_RDONLY, LOCK_SH),
			                     .jump = &store->jump };
		result = file.fd < 0 ? -1 : load(&file, file.fd);
	}
	int kept_errno = errno;

	if (result == 0)
		look_up(&file, validity, out);
	free(file.bytes);
	if (file.fd >= 0)
		close(file.fd);
	errno = kept_errno;
	if (result < 0)
		return file.fd < 0 && errno == ENOENT ? UIDS_LOST : UIDS_UNREAD;
	return out->ceiling ? UIDS_KNOWN : UIDS_LOST;
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
static int raise_all(struct store *store, struct record_file *file)
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

static uint32_t higher(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* Above both, and more than can have been given since the folder, or the file, was written. */
static struct reserved pass_over(const struct record_file *file, uint32_t above,
                                 const struct own_uids *own)
{
	uint64_t since_ns = own->written_ns;

	if (file->since_ns && file->since_ns < since_ns)
		since_ns = file->since_ns;
	above = uid_above(above, can_have_been_given(since_ns) + jump());
	return (struct reserved){ above, above };
}

/* -> *r: what is to stand there. -1: there are not as many UIDs. Whoever knows of more than the
 * line, which is always written first, knows it from another time than the line: from between two
 * restores, and others may have been given more then. No crash explains it: what it can take of
 * the line lies below the ceiling. */
static int raised(const struct record_file *file, const struct reserved *known,
                  const struct own_uids *own, uint32_t ceiling, uint32_t count, struct reserved *r)
{
	uint32_t top = higher(known->ceiling, known->next),
		 own_top = higher(own->ceiling, own->next);

	if (!own->is_new && (known->ceiling == 0 || own_top > top))
		*r = pass_over(file, higher(top, own_top), own);
	else
		*r = (struct reserved){ higher(known->ceiling, own->ceiling),
			                higher(known->next, own->next) };
	r->ceiling = higher(r->ceiling, ceiling);
	if (count > UINT32_MAX - r->next) {
		errno = EOVERFLOW;
		return -1;
	}
	r->next += count;
	return 0;
}

/* -> *r: what stands there now. A sync that fails leaves bytes that a later one takes for synced:
 * the line gets back what it said, and whoever comes next does it again. A line in which nothing
 * was given yet needs none: without it the folder is one without a line. */
static int raise_locked(struct store *store, struct record_file *file, uint32_t validity,
                        const struct own_uids *own, uint32_t ceiling, uint32_t count,
                        struct reserved *r)
{
	char line[LINE_BYTES + 1], before[LINE_BYTES + 1];
	struct reserved known;

	if (load(file, file->fd) < 0 || (file->added && raise_all(store, file) < 0))
		return -1;
	uint64_t at = look_up(file, validity, &known);

	if (raised(file, &known, own, ceiling, count, r) < 0)
		return -1;
	bool sync = known.ceiling < r->ceiling && !own->is_new;

	if (!sync && known.ceiling == r->ceiling && known.next == r->next)
		return 0;
	format_line(line, validity, r);
	if (write_line(file, at, line) < 0)
		return -1;
	if (!sync || fdatasync(file->fd) == 0)
		return 0;
	int kept_errno = errno;

	format_line(before, validity, &known);
	write_line(file, at, before);
	errno = kept_errno;
	return -1;
}

int reserved_raise(struct store *store, uint32_t validity, const struct own_uids *own,
                   uint32_t ceiling, uint32_t count, struct reserved *out)
{
	struct record_file file = { .fd = open_locked(store, O_RDWR | O_CREAT, LOCK_EX),
		                    .jump = &store->jump };

	if (file.fd < 0)
		return -1;
	int result = raise_locked(store, &file, validity, own, ceiling, count, out);
	int kept_errno = errno;

	free(file.bytes);
	close(file.fd);
	errno = kept_errno;
	return result;
}
