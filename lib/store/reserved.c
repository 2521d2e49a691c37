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
 * So a UID whose line cannot be written is not given. What is there already is served without the
 * file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/store/recordfile.h"

enum uid_record reserved_read(struct store *store, uint32_t validity, struct reserved *out)
{
	struct record_file file = { .fd = record_file_open(store, O_RDONLY), .jump = &store->jump };
	int result = file.fd < 0 ? -1 : record_file_load(&file, file.fd);

	*out = (struct reserved){ 0 };
	/* Somebody is writing just now, or it is so. */
	if (result == 0 && file.added) {
		free(file.bytes);
		close(file.fd);
		file = (struct record_file){ .fd = record_file_open_locked(store, O_RDONLY,
			                                                   LOCK_SH),
			                     .jump = &store->jump };
		result = file.fd < 0 ? -1 : record_file_load(&file, file.fd);
	}
	int kept_errno = errno;

	if (result == 0)
		record_file_find(&file, validity, out);
	free(file.bytes);
	if (file.fd >= 0)
		close(file.fd);
	errno = kept_errno;
	if (result < 0)
		return file.fd < 0 && errno == ENOENT ? UIDS_LOST : UIDS_UNREAD;
	return out->ceiling ? UIDS_KNOWN : UIDS_LOST;
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
	above = uid_above(above, record_file_jump(since_ns));
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
	struct reserved known;

	if (record_file_load(file, file->fd) < 0 ||
	    (file->added && record_file_raise(store, file) < 0))
		return -1;
	uint64_t at = record_file_find(file, validity, &known);

	if (raised(file, &known, own, ceiling, count, r) < 0)
		return -1;
	bool sync = known.ceiling < r->ceiling && !own->is_new;

	if (!sync && known.ceiling == r->ceiling && known.next == r->next)
		return 0;
	if (record_file_write(file, at, validity, r) < 0)
		return -1;
	if (!sync || fdatasync(file->fd) == 0)
		return 0;
	int kept_errno = errno;

	record_file_write(file, at, validity, &known);
	errno = kept_errno;
	return -1;
}

int reserved_raise(struct store *store, uint32_t validity, const struct own_uids *own,
                   uint32_t ceiling, uint32_t count, struct reserved *out)
{
	struct record_file file = { .fd = record_file_open_locked(store, O_RDWR | O_CREAT, LOCK_EX),
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
