/* SPDX-License-Identifier: ISC */
/*
 * What is known of the UIDs outside of the folders: home/posthouse.reserved has a line of 64 bytes
 * for every UIDVALIDITY of this home, which no two folders ever shared: the UIDs that are reserved
 * (synced), and the next one (not synced: a power cut is seen by the boot in the index). Every UID
 * is taken from here, whatever the folder's own files say: a folder (or all of Maildir) that is put
 * back from a backup gives none twice.
 *
 * The first line says which file this is, by what no copy of it has. When the home is put back as a
 * whole the file is another one: then as many UIDs are passed over as can have been given since.
 *
 * Lines are written in place and never lie in two sectors; one that is damaged counts as none. They
 * only rise, and stay when their folder goes: it may come back.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "lib/store/internal.h"

enum {
	LINE_BYTES = 64,
	LINES_MAX = 32768 /* folders there have ever been; later ones have none */
};

struct record_file {
	int fd;
	char *bytes;
	uint64_t len;   /* whole lines */
	uint32_t added; /* to every number: the file was put back */
	char identity[LINE_BYTES + 1];
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

/* The inode and the time of its birth: a copy that got the same number was born later. */
static void identify(int fd, char out[LINE_BYTES + 1])
{
	uint64_t inode = 0, born_ns = 0;
#ifdef STATX_BTIME
	struct statx x;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &x) == 0) {
		inode = x.stx_ino;
		if (x.stx_mask & STATX_BTIME)
			born_ns = (uint64_t)x.stx_btime.tv_sec * 1000000000 + x.stx_btime.tv_nsec;
	}
#else
	struct stat st;

	if (fstat(fd, &st) == 0)
		inode = st.st_ino;
#endif
	finish_line(out, string_print(out, LINE_BYTES + 1, "file %016" PRIx64 " %016" PRIx64, inode,
	                              born_ns));
}

/* A mailbox gets less than a message a second, and no more than UID_TRUST in any time. */
static uint32_t can_have_been_given(int fd)
{
	struct stat st;
	int64_t passed_s = fstat(fd, &st) < 0 ? 0 : now_ns() / 1000000000 - st.st_mtim.tv_sec;

	return UID_TRUST + (passed_s < 0                  ? 0
	                    : passed_s > (int64_t)1 << 28 ? 1u << 28
	                                                  : (uint32_t)passed_s);
}

static int load(struct record_file *file, int fd)
{
	struct stat st;

	*file = (struct record_file){ .fd = fd };
	if (fstat(fd, &st) < 0)
		return -1;
	uint64_t size = (uint64_t)st.st_size < LINES_MAX * LINE_BYTES ? (uint64_t)st.st_size
	                                                              : LINES_MAX * LINE_BYTES;

	file->bytes = memory_get(size + 1);
	ssize_t got = file_read_some_at(fd, file->bytes, size, 0);

	file->len = got < 0 ? 0 : (uint64_t)got / LINE_BYTES * LINE_BYTES;
	identify(fd, file->identity);
	if (file->len && memcmp(file->bytes, file->identity, LINE_BYTES) != 0)
		file->added = can_have_been_given(fd);
	return got < 0 ? -1 : 0;
}

static uint32_t raised(const struct record_file *file, uint64_t n)
{
	return n > UINT32_MAX - 1 - file->added ? UINT32_MAX - 1 : (uint32_t)n + file->added;
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
	*out = (struct reserved){ raised(file, ceiling), raised(file, next) };
	return true;
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
	return file->len ? file->len : LINE_BYTES;
}

static int open_record(struct store *store, int flags)
{
	return openat(store->directory, RESERVED_FILE, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
	              0600);
}

enum uid_record reserved_read(struct store *store, uint32_t validity, struct reserved *out)
{
	int fd = open_record(store, O_RDONLY);
	struct record_file file;

	*out = (struct reserved){ 0 };
	if (fd < 0)
		return errno == ENOENT ? UIDS_LOST : UIDS_UNREAD;
	int result = load(&file, fd), kept_errno = errno;

	if (result == 0)
		look_up(&file, validity, out);
	free(file.bytes);
	close(fd);
	errno = kept_errno;
	return result < 0 ? UIDS_UNREAD : out->ceiling ? UIDS_KNOWN : UIDS_LOST;
}

/* This file is the one now. Killed in the middle it is done again, and the numbers rise twice. */
static int make_ours(struct record_file *file)
{
	struct reserved r;
	uint32_t validity;
	char line[LINE_BYTES + 1];

	for (uint64_t at = LINE_BYTES; at < file->len && file->added; at += LINE_BYTES) {
		if (!parse_line(file, at, &validity, &r))
			continue;
		format_line(line, validity, &r);
		if (pwrite_whole(file->fd, line, LINE_BYTES, at) < 0)
			return -1;
	}
	return pwrite_whole(file->fd, file->identity, LINE_BYTES, 0);
}

static int raise_locked(struct record_file *file, uint32_t validity, struct reserved *r, bool *sync)
{
	char line[LINE_BYTES + 1];
	struct reserved known;

	if (load(file, file->fd) < 0)
		return -1;
	uint64_t at = look_up(file, validity, &known);

	r->ceiling = known.ceiling > r->ceiling ? known.ceiling : r->ceiling;
	r->next = known.next > r->next ? known.next : r->next;
	if (file->len == 0 || file->added) {
		*sync = true;
		if (make_ours(file) < 0)
			return -1;
	} else if (known.ceiling == r->ceiling && known.next == r->next) {
		*sync = false;
		return 0;
	}
	if (at >= LINES_MAX * LINE_BYTES)
		return 0;
	format_line(line, validity, r);
	return pwrite_whole(file->fd, line, LINE_BYTES, at);
}

int reserved_write(struct store *store, uint32_t validity, struct reserved r, bool sync)
{
	struct record_file file = { .fd = open_record(store, O_RDWR | O_CREAT) };
	int result = file.fd < 0 ? -1 : flock(file.fd, LOCK_EX);

	if (result == 0)
		result = raise_locked(&file, validity, &r, &sync);
	if (result == 0 && sync)
		result = fdatasync(file.fd);
	free(file.bytes);
	if (file.fd >= 0)
		close(file.fd);
	return result;
}

uint32_t reserved_claim(struct store *store, uint32_t validity, struct reserved from,
                        uint32_t count)
{
	struct reserved known;

	/* Under the folder's lock: of this UIDVALIDITY nobody else writes. */
	if (reserved_read(store, validity, &known) == UIDS_KNOWN && known.next > from.next)
		from.next = known.next;
	uint32_t first = from.next;

	from.next += count;
	reserved_write(store, validity, from, false);
	return first;
}
