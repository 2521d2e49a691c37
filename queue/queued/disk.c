/* SPDX-License-Identifier: ISC */
#include "queue/queued/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/queue/whose.h"

static int make_directory(struct disk *d, const char *name, struct reason *why)
{
	if (mkdirat(d->directory, name, 0700) < 0 && errno != EEXIST)
		return fail_errno(why, "making the queue's directory %s", name);
	return 0;
}

static bool note_any(void *context, const struct queuedir_entry *e)
{
	*(struct queuedir_entry *)context = *e;
	return false;
}

/* A new one is made only for an empty queue: without theirs all messages would look forged, and so
 * they do with another's. */
static int take_secret(struct disk *d, struct reason *why)
{
	struct queuedir_entry any = { .name = "" };
	int there = queuedir_secret(d->directory, &d->key, why);

	if (there > 0 && queue_secret_is_others(d->directory, &d->key)) {
		errno = EINVAL; /* not what a file that cannot be read has left */
		return fail(why, "%s", QUEUE_SECRET_IS_OTHERS);
	}
	if (there != 0)
		return there < 0 ? -1 : 0;
	for (enum queuedir_place place = QUEUEDIR_LIVE;
	     any.name[0] == '\0' && place <= QUEUEDIR_TORN; place++)
		queuedir_walk(d->directory, place, note_any, &any);
	if (any.name[0] != '\0')
		return fail(
			why,
			"the queue's secret is missing, and there are messages (%s): restore the file "
			"`secret' of queue.directory, or accept messages without it, see `queue check "
			"--unverified' in posthouse(8)",
			any.name);
	return queuedir_make_secret(d->directory, &d->key, why);
}

int disk_open(struct disk *d, int directory, struct reason *why)
{
	*d = (struct disk){ .directory = directory };
	if (sodium_init() < 0)
		return fail(why, "libsodium does not start");
	for (unsigned i = 0; i < QUEUEDIR_DIRECTORIES; i++) {
		char name[8];

		string_print(name, sizeof name, "%02x", i);
		if (make_directory(d, name, why) < 0)
			return -1;
	}
	if (make_directory(d, "damaged", why) < 0 || make_directory(d, "torn", why) < 0 ||
	    take_secret(d, why) < 0)
		return -1;
	if (queue_secret_remember(d->directory, &d->key) < 0) /* the next start tries again */
		log_warn("event=secret-unremembered reason=\"%m\"");
	if (fsync(directory) < 0)
		return fail_errno(why, "syncing the queue directory");
	return 0;
}

#define CLEAN "clean"

enum { STOP_CHARS = 20 }; /* of a time; another length than an id's */

/* Empty, with the time of the kept records, or with the greatest id that it is for. Whatever else
 * stands there is no mark. */
uint64_t disk_was_clean(struct disk *d)
{
	char text[STOP_CHARS];
	uint64_t size, until = 0;
	int fd = queuedir_open_sized(d->directory, CLEAN, O_RDONLY, &size);
	struct view v = { text, fd < 0 ? 0 : (size_t)size };

	d->stop_us = 0;
	if (fd < 0)
		return 0;
	if (size == 0)
		until = UINT64_MAX;
	else if (size > sizeof text || file_read_at(fd, text, v.len, 0) != FILE_WHOLE)
		until = 0;
	else if (size == STOP_CHARS && view_number(v, UINT64_MAX, &d->stop_us))
		until = UINT64_MAX;
	else if (size != QUEUE_ID_CHARS || !queue_id_parse(v, &until))
		until = 0;
	close(fd);
	return until;
}

int disk_limit_clean_mark(struct disk *d, uint64_t until)
{
	char id[QUEUE_ID_CHARS + 1];

	queue_id_text(until, id);
	return file_replace(d->directory, CLEAN, id, QUEUE_ID_CHARS);
}

int disk_forget_clean_mark(struct disk *d, struct reason *why)
{
	if (unlinkat(d->directory, CLEAN, 0) < 0)
		return errno == ENOENT ? 0 : fail_errno(why, "removing the queue's clean mark");
	/* Were the mark to come back after a power cut, torn files would be taken for whole
	 * ones. */
	return fsync(d->directory) < 0 ? fail_errno(why, "syncing the queue directory") : 0;
}

bool disk_put_clean_mark(struct disk *d)
{
	if (d->unexamined || d->unknown)
		return false;
	/* Everything acknowledged is on disk; the log records and state bytes that are not must get
	 * there before the mark says that nothing needs to be checked. */
	if (syncfs(d->directory) < 0)
		return false;
	/* One that was limited is for all now. */
	int fd = openat(d->directory, CLEAN,
	                O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int disk_name_clean_mark(struct disk *d, uint64_t stop_us)
{
	char text[STOP_CHARS + 1];

	string_print(text, sizeof text, "%0*llu", STOP_CHARS, (unsigned long long)stop_us);
	return file_replace(d->directory, CLEAN, text, STOP_CHARS);
}

uint64_t disk_space(const struct disk *d)
{
	struct statvfs v;

	/* A file system without an inode left is as full. Some (btrfs) count none at all. */
	if (fstatvfs(d->directory, &v) < 0 || (v.f_files && v.f_favail == 0))
		return 0;
	return (uint64_t)v.f_bavail * v.f_frsize;
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

/* The next id whose directory can be used: an id is about a second of a directory. */
static uint64_t next_id(struct disk *d)
{
	uint64_t first = queue_id_next(d->last_id, clock_wall_us(), next_random(d)), id = first;

	for (unsigned i = 0; i < QUEUEDIR_DIRECTORIES; i++, id += UINT64_C(1) << 32)
		if (!d->unusable[queue_id_directory(id)])
			return id;
	/* None can: which are well again is found out by trying. */
	memset(d->unusable, 0, sizeof d->unusable);
	return first;
}

/* The directory is at fault, not the disk or our own number of descriptors. */
static bool is_directorys(int error)
{
	return error == EACCES || error == EPERM || error == ENOENT || error == ENOTDIR ||
	       error == ELOOP;
}

uint64_t disk_next_id(struct disk *d)
{
	return d->last_id = next_id(d);
}

int disk_create(struct disk *d, uint64_t *id)
{
	enum { TURNS = 16 };
	char name[QUEUEDIR_NAME_MAX];

	for (int turn = 0; turn < TURNS; turn++) {
		if (turn || *id == 0)
			*id = next_id(d);
		queuedir_name(*id, name);
		int fd = openat(d->directory, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

		/* There is one only when the clock was set back. Where none was made for other
		 * reasons, ids must not run ahead of the clock. */
		if ((fd >= 0 || errno == EEXIST) && *id > d->last_id)
			d->last_id = *id;
		if (fd >= 0)
			return fd;
		if (errno == EEXIST)
			continue;
		if (!is_directorys(errno))
			return -1;
		log_warn("event=directory-unusable name=%.2s reason=\"%m\"", name);
		d->unusable[queue_id_directory(*id)] = true;
	}
	return -1;
}

int disk_seal(struct disk *d, struct queue_header *header, struct text *head,
              const struct text *recipients, char bytes[QUEUE_HEADER_BYTES])
{
	/* The seal goes over one piece, the head is small: for the common few recipients they are
	 * joined. */
	if (!text_add(head, text_view(recipients))) {
		errno = EFBIG;
		return -1;
	}
	header->envelope_bytes = head->len;
	header->state = QUEUE_COMMITTED;
	queue_header_encode(header, text_view(head), &d->key, bytes);
	struct disk_fresh *fresh = &d->fresh[header->id % DISK_FRESH_MAX];

	*fresh = (struct disk_fresh){ .id = header->id, .written_ms = clock_ms() };
	memcpy(fresh->checksum, header->checksum, sizeof fresh->checksum);
	return 0;
}

int disk_commit(struct disk *d, int fd, struct queue_header *header, struct text *head,
                const struct text *recipients, bool has_envelope)
{
	char bytes[QUEUE_HEADER_BYTES];
	uint64_t offset = QUEUE_HEADER_BYTES + header->message_bytes + header->extra_bytes;

	if (disk_seal(d, header, head, recipients, bytes) < 0)
		return -1;
	if ((!has_envelope && pwrite_whole(fd, text_string(head), head->len, offset) < 0) ||
	    pwrite_whole(fd, bytes, sizeof bytes, 0) < 0)
		return -1;
	return 0;
}

int disk_reader(struct disk *d, uint64_t id)
{
	char name[QUEUEDIR_NAME_MAX];

	queuedir_name(id, name);
	return queuedir_open(d->directory, name, O_RDONLY);
}

static bool take_fresh(struct disk *d, const struct queue_header *taken,
                       struct queue_header *header)
{
	struct disk_fresh *fresh = &d->fresh[taken->id % DISK_FRESH_MAX];

	if (fresh->id != taken->id)
		return false;
	fresh->id = 0;
	*header = *taken;
	memcpy(header->checksum, fresh->checksum, sizeof header->checksum);
	return clock_ms() - fresh->written_ms <= DISK_FRESH_MS;
}

static bool is_taken(const struct queue_header *h, const struct queue_header *taken)
{
	return h->id == taken->id && h->message_bytes == taken->message_bytes &&
	       h->extra_bytes == taken->extra_bytes && h->envelope_bytes == taken->envelope_bytes;
}

/* FILE_WHOLE: it is the one that was taken. */
static enum file_result read_header(int fd, const struct queue_header *taken,
                                    struct queue_header *header)
{
	char bytes[QUEUE_HEADER_BYTES];
	enum file_result got = file_read_at(fd, bytes, sizeof bytes, 0);

	if (got == FILE_WHOLE &&
	    (!queue_header_decode((struct view){ bytes, sizeof bytes }, header) ||
	     !is_taken(header, taken)))
		return FILE_SHORT;
	return got;
}

/* Made by us a moment ago, and no other file has got its name since. */
static int open_fresh(const struct disk *d, uint64_t id, bool *damaged)
{
	char name[QUEUEDIR_NAME_MAX];

	queuedir_name(id, name);
	int fd = queuedir_open_known(d->directory, name, O_RDONLY);

	*damaged = fd < 0 && queuedir_is_stray(errno);
	return fd;
}

int disk_message(struct disk *d, const struct queue_header *taken, struct queue_header *header,
                 bool *damaged)
{
	if (take_fresh(d, taken, header))
		return open_fresh(d, taken->id, damaged);
	char name[QUEUEDIR_NAME_MAX];
	uint64_t size, least = QUEUE_HEADER_BYTES + taken->message_bytes + taken->extra_bytes +
	                       taken->envelope_bytes;

	queuedir_name(taken->id, name);
	int fd = queuedir_open_sized(d->directory, name, O_RDONLY, &size);
	enum file_result got = fd < 0         ? FILE_FAILED
	                       : size < least ? FILE_SHORT
	                                      : read_header(fd, taken, header);
	int error = errno;

	*damaged = fd < 0 ? queuedir_is_stray(errno) : got == FILE_SHORT;
	if (got == FILE_WHOLE)
		return fd;
	if (fd >= 0)
		close(fd);
	errno = error;
	return -1;
}

static void tell_changed(const struct disk *d)
{
	if (d->changed)
		d->changed();
}

/* What came back may be an older copy, without the last records: a hole spoils the one behind it.
 */
static uint64_t end_of(int fd, uint64_t end)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (uint64_t)st.st_size < end ? (uint64_t)st.st_size : end;
}

int disk_append(struct disk *d, uint64_t id, uint64_t *end, struct view records, bool anew)
{
	char name[QUEUEDIR_NAME_MAX];

	queuedir_name(id, name);
	int fd = queuedir_open(d->directory, name, O_WRONLY);

	if (fd < 0)
		return -1;
	uint64_t at = end_of(fd, *end);
	int written = -1;

	/* Not these records alone are missing then. */
	if (!anew && at < *end)
		errno = ESTALE;
	else
		written = pwrite_whole(fd, records.data, records.len, at);

	/* Whole records of an earlier attempt would be read behind those that are newer. */
	if (written == 0 && anew)
		written = ftruncate(fd, (off_t)(at + records.len));
	int why = errno;

	close(fd);
	if (written < 0) {
		errno = why;
		return -1;
	}
	*end = at + records.len;
	tell_changed(d);
	return 0;
}

int disk_remove(struct disk *d, uint64_t id)
{
	char name[QUEUEDIR_NAME_MAX];

	queuedir_name(id, name);
	if (unlinkat(d->directory, name, 0) < 0)
		return -1;
	tell_changed(d);
	return 0;
}

int disk_set_aside(struct disk *d, uint64_t id, enum queuedir_place place,
                   char to[QUEUEDIR_NAME_MAX])
{
	char from[QUEUEDIR_NAME_MAX];

	queuedir_name(id, from);
	if (queuedir_move(d->directory, from, place, to) == 0)
		return 0;
	int error = errno;

	disk_note_odd(d, QUEUEDIR_UNREADABLE, from);
	errno = error;
	return -1;
}

/* ---- what is not served ---- */

void disk_note_odd(struct disk *d, enum queuedir_kind kind, const char *name)
{
	if (kind == QUEUEDIR_UNREADABLE)
		d->unexamined = true;
	if (d->odd_count < DISK_ODD_MAX)
		d->odd[d->odd_count++] = (struct disk_odd){ kind, memory_string(view_of(name)) };
}

static bool is_at(const struct disk_odd *odd, const char *name)
{
	size_t len = strlen(odd->name);

	return strncmp(odd->name, name, len) == 0 && (name[len] == '\0' || name[len] == '/');
}

void disk_forget_odd(struct disk *d, const char *name)
{
	for (unsigned i = 0; i < d->odd_count;) {
		if (!is_at(&d->odd[i], name)) {
			i++;
			continue;
		}
		free(d->odd[i].name);
		d->odd[i] = d->odd[--d->odd_count];
	}
}

/* A directory that was put right, and in which no message waits to be taken back: new ones may go
 * into it. */
static bool is_well_again(struct disk *d, const struct disk_odd *odd)
{
	const struct dirent *e;
	struct walk w;
	bool empty = true;

	if (odd->kind != QUEUEDIR_UNREADABLE || strlen(odd->name) != 2)
		return false;
	walk_begin(&w, d->directory, odd->name);
	while ((e = walk_next(&w)) != NULL) {
		char name[QUEUEDIR_NAME_MAX];
		uint64_t id;
		bool aside;

		empty = empty &&
		        !(string_format(name, sizeof name, "%s/%s", odd->name, e->d_name) &&
		          queuedir_parse(name, &id, &aside));
	}
	if (walk_end(&w) != 0 || !empty)
		return false;
	d->unusable[strtoul(odd->name, NULL, 16)] = false;
	return true;
}

void disk_counts(struct disk *d, struct control_counts *out)
{
	queuedir_count_aside(d->directory, out);
	out->secret_lost = queuedir_secret_is_lost(d->directory, &d->key);
	for (unsigned i = d->odd_count; i-- > 0;) {
		const struct disk_odd *odd = &d->odd[i];
		struct stat st;

		if (is_well_again(d, odd)) {
			char name[QUEUEDIR_NAME_MAX];

			string_cut(name, sizeof name, view_of(odd->name));
			disk_forget_odd(d, name);
			continue;
		}
		if (fstatat(d->directory, odd->name, &st, AT_SYMLINK_NOFOLLOW) < 0 &&
		    errno == ENOENT)
			continue;
		if (odd->kind == QUEUEDIR_STRAY)
			out->stray++;
		else if (odd->kind == QUEUEDIR_MISPLACED)
			out->misplaced++;
		else
			out->unreadable++;
	}
}

struct torn {
	struct disk *disk;
	int64_t age_ms, now_s;
};

static bool remove_old(void *context, const struct queuedir_entry *e)
{
	const struct torn *t = context;
	struct stat st;

	/* Its last change is the move to torn/. */
	if (e->kind != QUEUEDIR_MESSAGE ||
	    fstatat(t->disk->directory, e->name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    t->now_s - st.st_ctime < t->age_ms / 1000)
		return true;
	if (unlinkat(t->disk->directory, e->name, 0) < 0)
		log_warn("event=remove-failed name=%s reason=\"%m\"", log_quote(view_of(e->name)));
	else
		log_info("event=torn-removed name=%s age_s=%lld bytes=%lld",
		         log_quote(view_of(e->name)), (long long)(t->now_s - st.st_ctime),
		         (long long)st.st_size);
	return true;
}

void disk_remove_torn(struct disk *d, int64_t age_ms)
{
	struct torn t = { .disk = d, .age_ms = age_ms, .now_s = clock_wall_s() };

	queuedir_walk(d->directory, QUEUEDIR_TORN, remove_old, &t);
}

/* ---- the scan ---- */

struct scan {
	struct disk *disk;
	void (*found)(void *context, uint64_t id);
	void *context;
	unsigned unreadable;
	int error;
};

static bool scan_one(void *context, const struct queuedir_entry *e)
{
	struct scan *s = context;

	switch (e->kind) {
	case QUEUEDIR_MESSAGE: s->found(s->context, e->id); return true;
	case QUEUEDIR_MISPLACED:
		log_warn("event=misplaced-file name=%s", log_quote(view_of(e->name)));
		break;
	case QUEUEDIR_STRAY:
		log_warn("event=stray-file name=%s", log_quote(view_of(e->name)));
		break;
	case QUEUEDIR_UNREADABLE:
		log_warn(
			"event=directory-unreadable name=%s reason=\"%s; its messages wait until it can be read and queued is started again\"",
			e->name, log_text(view_of(strerror(e->error))));
		s->unreadable++;
		s->error = e->error;
		s->disk->unusable[e->number] = true;
		break;
	}
	disk_note_odd(s->disk, e->kind, e->name);
	return true;
}

int disk_scan(struct disk *d, void (*found)(void *context, uint64_t id), void *context,
              struct reason *why)
{
	struct scan s = { .disk = d, .found = found, .context = context };

	queuedir_walk(d->directory, QUEUEDIR_LIVE, scan_one, &s);
	if (s.unreadable < QUEUEDIR_DIRECTORIES)
		return 0;
	errno = s.error;
	return fail_errno(why, "reading the queue's directories");
}
