/* SPDX-License-Identifier: ISC */
#include "queue/queued/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/log.h"

enum { DIRECTORIES = 256, FILE_NAME_MAX = 3 + QUEUE_ID_CHARS + 1, SPACE_CHECK_MS = 1000 };

static void disk_name(uint64_t id, char out[FILE_NAME_MAX])
{
	unsigned directory = queue_id_directory(id);

	out[0] = hex_digits[directory >> 4];
	out[1] = hex_digits[directory & 15];
	out[2] = '/';
	queue_id_text(id, out + 3);
}

static int make_directory(struct disk *d, const char *name, struct reason *why)
{
	if (mkdirat(d->directory, name, 0700) < 0 && errno != EEXIST)
		return fail_errno(why, "making the queue's directory %s", name);
	return 0;
}

/* A secret that was lost in a power cut would make every queue file look forged: it is synced
 * before use. */
static int make_secret(struct disk *d, unsigned char secret[QUEUE_SECRET_BYTES], struct reason *why)
{
	int fd = openat(d->directory, "secret.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		return fail_errno(why, "making the queue's secret");
	randombytes_buf(secret, QUEUE_SECRET_BYTES);
	bool good = write_whole(fd, secret, QUEUE_SECRET_BYTES) == 0 && fsync(fd) == 0;

	close(fd);
	if (!good || renameat(d->directory, "secret.new", d->directory, "secret") < 0)
		return fail_errno(why, "writing the queue's secret");
	return 0;
}

static int take_secret(struct disk *d, struct reason *why)
{
	unsigned char secret[QUEUE_SECRET_BYTES];
	int fd = openat(d->directory, "secret", O_RDONLY | O_CLOEXEC | O_NOFOLLOW), result = 0;

	if (fd < 0 && errno != ENOENT)
		return fail_errno(why, "reading the queue's secret");
	if (fd < 0) {
		result = make_secret(d, secret, why);
	} else {
		enum file_result got = file_read_at(fd, secret, sizeof secret, 0);

		if (got == FILE_FAILED)
			result = fail_errno(why, "reading the queue's secret");
		else if (got != FILE_WHOLE)
			result = fail(
				why,
				"the queue's secret is damaged: without it no queue file can be trusted; "
				"restore it, or move the queue directory away and begin a new one");
		close(fd);
	}
	if (result == 0)
		queue_key_derive(&d->key, secret);
	sodium_memzero(secret, sizeof secret);
	return result;
}

int disk_open(struct disk *d, int directory, struct reason *why)
{
	*d = (struct disk){ .directory = directory };
	if (sodium_init() < 0)
		return fail(why, "libsodium does not start");
	for (unsigned i = 0; i < DIRECTORIES; i++) {
		char name[8];

		snprintf(name, sizeof name, "%02x", i);
		if (make_directory(d, name, why) < 0)
			return -1;
	}
	if (make_directory(d, "damaged", why) < 0 || take_secret(d, why) < 0)
		return -1;
	if (fsync(directory) < 0)
		return fail_errno(why, "syncing the queue directory");
	return 0;
}

int disk_take_clean_mark(struct disk *d, bool *clean, struct reason *why)
{
	*clean = unlinkat(d->directory, "clean", 0) == 0;
	if (!*clean && errno != ENOENT)
		return fail_errno(why, "removing the queue's clean mark");
	/* Were the mark to come back after a power cut, torn files would be taken for whole
	 * ones. */
	if (*clean && fsync(d->directory) < 0)
		return fail_errno(why, "syncing the queue directory");
	return 0;
}

void disk_put_clean_mark(struct disk *d)
{
	/* Everything acknowledged is on disk; the log records and state bytes that are not must get
	 * there before the mark says that nothing needs to be checked. */
	if (syncfs(d->directory) < 0)
		return;
	int fd = openat(d->directory, "clean", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
}

uint64_t disk_space(struct disk *d, int64_t now_ms)
{
	struct statvfs v;

	if (d->space_checked_ms && now_ms - d->space_checked_ms < SPACE_CHECK_MS)
		return d->space_bytes;
	d->space_checked_ms = now_ms;
	/* A file system without an inode left is as full. Some (btrfs) count none at all. */
	if (fstatvfs(d->directory, &v) < 0 || (v.f_files && v.f_favail == 0))
		d->space_bytes = 0;
	else
		d->space_bytes = (uint64_t)v.f_bavail * v.f_frsize;
	return d->space_bytes;
}

/* One system call for many: libsodium asks the kernel each time. */
static uint32_t next_random(struct disk *d)
{
	if (d->random_left == 0) {
		randombytes_buf(d->random, sizeof d->random);
		d->random_left = sizeof d->random / sizeof d->random[0];
	}
	return d->random[--d->random_left];
}

int disk_create(struct disk *d, uint64_t *id)
{
	char name[FILE_NAME_MAX];

	for (int turn = 0; turn < 16; turn++) {
		*id = queue_id_next(d->last_id, clock_wall_us(), next_random(d));
		d->last_id = *id;
		disk_name(*id, name);
		int fd = openat(d->directory, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

		if (fd >= 0)
			return fd;
		if (errno != EEXIST) /* only when the clock was set back */
			return -1;
	}
	return -1;
}

int disk_commit(struct disk *d, int fd, struct queue_header *header, struct text *head,
                const struct text *recipients)
{
	char bytes[QUEUE_HEADER_BYTES];
	uint64_t offset = QUEUE_HEADER_BYTES + header->message_bytes + header->extra_bytes;

	/* The seal goes over one piece, the head is small: for the common few recipients they are
	 * joined. */
	if (!text_add(head, text_view(recipients))) {
		errno = EFBIG;
		return -1;
	}
	header->envelope_bytes = head->len;
	header->state = QUEUE_COMMITTED;
	queue_header_encode(header, text_view(head), &d->key, bytes);
	if (pwrite_whole(fd, head->data, head->len, offset) < 0)
		return -1;
	return pwrite_whole(fd, bytes, sizeof bytes, 0);
}

int disk_make_live(int fd)
{
	static const char live = QUEUE_LIVE;

	return pwrite_whole(fd, &live, 1, QUEUE_STATE_OFFSET);
}

int disk_reader(struct disk *d, uint64_t id)
{
	char name[FILE_NAME_MAX];

	disk_name(id, name);
	return openat(d->directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

int disk_append(struct disk *d, uint64_t id, uint64_t *end, struct view records)
{
	char name[FILE_NAME_MAX];

	disk_name(id, name);
	int fd = openat(d->directory, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return -1;
	int written = pwrite_whole(fd, records.data, records.len, *end), why = errno;

	close(fd);
	/* What it left is overwritten by the next record, or passed over as torn. */
	if (written < 0) {
		errno = why;
		return -1;
	}
	*end += records.len;
	return 0;
}

int disk_remove(struct disk *d, uint64_t id)
{
	char name[FILE_NAME_MAX];

	disk_name(id, name);
	return unlinkat(d->directory, name, 0);
}

int disk_set_aside(struct disk *d, uint64_t id)
{
	char from[FILE_NAME_MAX], to[FILE_NAME_MAX + 8];

	disk_name(id, from);
	snprintf(to, sizeof to, "damaged/%s", from + 3);
	return renameat(d->directory, from, d->directory, to);
}

static void scan_one(unsigned number, DIR *directory, void (*found)(void *context, uint64_t id),
                     void *context)
{
	struct dirent *entry;

	while ((entry = readdir(directory)) != NULL) {
		uint64_t id;

		if (entry->d_name[0] == '.')
			continue;
		if (queue_id_parse(view_of(entry->d_name), &id) && queue_id_directory(id) == number)
			found(context, id);
		else
			log_warn("event=stray-file name=%02x/%s", number,
			         log_quote(view_of(entry->d_name)));
	}
}

int disk_scan(struct disk *d, void (*found)(void *context, uint64_t id), void *context,
              struct reason *why)
{
	for (unsigned i = 0; i < DIRECTORIES; i++) {
		char name[8];

		snprintf(name, sizeof name, "%02x", i);
		int fd = openat(d->directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		DIR *directory = fd < 0 ? NULL : fdopendir(fd);

		if (directory == NULL) {
			if (fd >= 0)
				close(fd);
			return fail_errno(why, "reading the queue's directory %s", name);
		}
		scan_one(i, directory, found, context);
		closedir(directory);
	}
	return 0;
}
