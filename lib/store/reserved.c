/* SPDX-License-Identifier: ISC */
/*
 * The reserved UIDs a second time, outside of the folders: home/posthouse.reserved has a line of 32
 * bytes for every UIDVALIDITY of this home, which no two folders ever shared. A folder (or all of
 * Maildir) that is put back from a backup brings an older record of its own with it; by this one
 * that is noticed. Lines are written in place and never lie in two sectors; one that is damaged
 * counts as none. They only rise, and stay when their folder goes: it may come back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/store/internal.h"

enum {
	LINE_BYTES = 32,
	LINES_MAX = 32768 /* folders there have ever been; later ones have none */
};

static void format_line(char out[LINE_BYTES + 1], uint32_t validity, uint32_t ceiling)
{
	size_t len = uids_format(out, LINE_BYTES + 1, validity, ceiling) - 1;

	memset(out + len, ' ', LINE_BYTES - 1 - len);
	out[LINE_BYTES - 1] = '\n';
	out[LINE_BYTES] = '\0';
}

/* The number in a line of this UIDVALIDITY; 0: it is another's, or damaged. */
static uint32_t ceiling_in(const char *line, uint32_t validity)
{
	char want[LINE_BYTES + 1];
	uint64_t ceiling;

	format_line(want, validity, 1);
	if (memcmp(line, want, 9) != 0 ||
	    !view_number((struct view){ line + 9, 10 }, UINT32_MAX, &ceiling))
		return 0;
	format_line(want, validity, (uint32_t)ceiling);
	return memcmp(line, want, LINE_BYTES) == 0 ? (uint32_t)ceiling : 0;
}

/* *at: where its line is, or where a new one goes. */
static enum uid_record look_up(int fd, uint32_t validity, uint32_t *ceiling, uint64_t *at)
{
	char *bytes = memory_get(LINES_MAX * LINE_BYTES);
	ssize_t got = file_read_some_at(fd, bytes, LINES_MAX * LINE_BYTES, 0);
	int kept_errno = errno;

	*ceiling = 0;
	*at = got < 0 ? 0 : (uint64_t)got / LINE_BYTES * LINE_BYTES;
	for (ssize_t i = 0; i + LINE_BYTES <= got && *ceiling == 0; i += LINE_BYTES) {
		*ceiling = ceiling_in(bytes + i, validity);
		if (*ceiling)
			*at = (uint64_t)i;
	}
	free(bytes);
	errno = kept_errno;
	return got < 0 ? UIDS_UNREAD : *ceiling ? UIDS_KNOWN : UIDS_LOST;
}

enum uid_record reserved_read(struct store *store, uint32_t validity, uint32_t *ceiling)
{
	int fd = openat(store->directory, RESERVED_FILE,
	                O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	uint64_t at;

	*ceiling = 0;
	if (fd < 0)
		return errno == ENOENT ? UIDS_LOST : UIDS_UNREAD;
	enum uid_record result = look_up(fd, validity, ceiling, &at);
	int kept_errno = errno;

	close(fd);
	errno = kept_errno;
	return result;
}

static int write_locked(int fd, uint32_t validity, uint32_t ceiling)
{
	char line[LINE_BYTES + 1];
	uint32_t known;
	uint64_t at;

	if (look_up(fd, validity, &known, &at) == UIDS_UNREAD)
		return -1;
	if (known >= ceiling || at >= LINES_MAX * LINE_BYTES)
		return 0;
	format_line(line, validity, ceiling);
	return pwrite_whole(fd, line, LINE_BYTES, at) < 0 ? -1 : fdatasync(fd);
}

int reserved_write(struct store *store, uint32_t validity, uint32_t ceiling)
{
	int fd = openat(store->directory, RESERVED_FILE,
	                O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	int result = fd < 0 ? -1 : flock(fd, LOCK_EX);

	if (result == 0)
		result = write_locked(fd, validity, ceiling);
	if (fd >= 0)
		close(fd);
	return result;
}
