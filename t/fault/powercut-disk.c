/* SPDX-License-Identifier: ISC */
/*
 * powercut-disk MOUNTPOINT DIRECTORY
 *
 * Disks that remember what they were told, for t/fault/powercut.t: a FUSE file system that shows
 * DIRECTORY/disk0, disk1 ... (file systems are made on them before) as files that loop devices can
 * stand on. A loop device passes each write on at once and makes of each flush (and of a write with
 * FUA) a sync; here every write is noted with its bytes, every sync without. What a real disk may
 * still hold after a power cut at any point can be made from that (t/lib/powercut.py).
 *
 *	DIRECTORY/log      records, one behind the other
 *	DIRECTORY/count    how many there are, mapped by those who ask. A record is counted before
 *	                   the one who wrote or flushed has an answer.
 *
 * One thread, so that the log has an order. Says "ready" on standard output when it is mounted;
 * ends with the mount, or by a signal.
 */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DISKS_MAX = 8, RECORD_WRITE = 1, RECORD_FLUSH = 2 };

/* In the byte order of the machine; `length` bytes follow. */
struct record {
	uint32_t kind, disk;
	uint64_t offset, length;
};

static int disks[DISKS_MAX], disk_count, log_fd;
static uint64_t *records;

static int write_all(int fd, const void *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = write(fd, (const char *)bytes + done, size - done);

		if (n < 0 && errno != EINTR)
			return -1;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int note(const struct record *r, const void *bytes)
{
	if (write_all(log_fd, r, sizeof *r) < 0 || write_all(log_fd, bytes, r->length) < 0)
		return -1;
	__atomic_store_n(records, *records + 1, __ATOMIC_SEQ_CST);
	return 0;
}

static int number_of(const char *path)
{
	int number = -1;

	return sscanf(path, "/disk%d", &number) == 1 && number >= 0 && number < disk_count ? number
	                                                                                   : -1;
}

static int disk_getattr(const char *path, struct stat *st, struct fuse_file_info *file)
{
	int number = number_of(path);

	(void)file;
	if (number >= 0)
		return fstat(disks[number], st) < 0 ? -errno : 0;
	*st = (struct stat){ .st_mode = S_IFDIR | 0700, .st_nlink = 2 };
	return strcmp(path, "/") == 0 ? 0 : -ENOENT;
}

static int disk_open(const char *path, struct fuse_file_info *file)
{
	int number = number_of(path);

	file->fh = (uint64_t)number;
	return number < 0 ? -ENOENT : 0;
}

static int disk_read(const char *path, char *out, size_t size, off_t offset,
                     struct fuse_file_info *file)
{
	ssize_t n = pread(disks[file->fh], out, size, offset);

	(void)path;
	return n < 0 ? -errno : (int)n;
}

static int disk_write(const char *path, const char *bytes, size_t size, off_t offset,
                      struct fuse_file_info *file)
{
	const struct record r = { RECORD_WRITE, (uint32_t)file->fh, (uint64_t)offset, size };

	(void)path;
	ssize_t n = pwrite(disks[file->fh], bytes, size, offset);

	if (n != (ssize_t)size || note(&r, bytes) < 0)
		return -EIO;
	return (int)size;
}

static int disk_fsync(const char *path, int only_data, struct fuse_file_info *file)
{
	const struct record r = { .kind = RECORD_FLUSH, .disk = (uint32_t)file->fh };

	(void)path;
	(void)only_data;
	return note(&r, "") < 0 ? -EIO : 0;
}

static void *disk_ready(struct fuse_conn_info *connection, struct fuse_config *config)
{
	(void)connection;
	config->kernel_cache = 1; /* nobody else writes there */
	puts("ready");
	fflush(stdout);
	return NULL;
}

static const struct fuse_operations operations = { .init = disk_ready,
	                                           .getattr = disk_getattr,
	                                           .open = disk_open,
	                                           .read = disk_read,
	                                           .write = disk_write,
	                                           .fsync = disk_fsync };

static int open_in(const char *directory, const char *name, int flags)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/%s", directory, name);
	return open(path, flags | O_CLOEXEC, 0600);
}

int main(int argc, char **argv)
{
	char name[] = "disk0";

	if (argc != 3) {
		fprintf(stderr, "usage: powercut-disk MOUNTPOINT DIRECTORY\n");
		return 100;
	}
	for (; disk_count < DISKS_MAX; disk_count++) {
		name[4] = (char)('0' + disk_count);
		disks[disk_count] = open_in(argv[2], name, O_RDWR);
		if (disks[disk_count] < 0)
			break;
	}
	log_fd = open_in(argv[2], "log", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND);
	int page = open_in(argv[2], "count", O_RDWR | O_CREAT | O_TRUNC);

	if (disk_count == 0 || log_fd < 0 || page < 0 || ftruncate(page, sizeof *records) < 0) {
		perror(argv[2]);
		return 111;
	}
	records = mmap(NULL, sizeof *records, PROT_READ | PROT_WRITE, MAP_SHARED, page, 0);
	if (records == MAP_FAILED) {
		perror("mmap");
		return 111;
	}
	char foreground[] = "-f", one_thread[] = "-s";
	char *words[] = { argv[0], foreground, one_thread, argv[1], NULL };

	return fuse_main(4, words, &operations, NULL);
}
