/* SPDX-License-Identifier: ISC */
/* The record of UIDVALIDITY and of the UIDs that are handed out: read, written, and held against
 * the one outside of the folder (reserved.c) when it is opened. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/store/internal.h"

enum {
	UID_BATCH = 256,
	UID_FILE_BYTES = 29,
	AHEAD_S = 3600 /* folders of one second are numbered ahead of the clock; no more than so far
	                */
};

/* "VVVVVVVV NNNNNNNNNN SSSSSSSS\n": UIDVALIDITY in hexadecimal; every UID below N may have been
 * given; a sum, since a damaged record must not pass for another folder's. */
size_t uids_format(char *out, size_t size, uint32_t validity, uint32_t ceiling)
{
	size_t len = string_print(out, size, "%08" PRIx32 " %010" PRIu32, validity, ceiling);
	uint32_t sum = (uint32_t)store_hash(INDEX_FORMAT, out, len);

	return len + string_print(out + len, size - len, " %08" PRIx32 "\n", sum);
}

static bool parse_uids(const char *bytes, uint32_t *validity, uint32_t *ceiling)
{
	char want[UID_FILE_BYTES + 2];
	struct view rest = view_of(bytes), word;
	uint64_t next;

	if (!view_cut(&rest, ' ', &word) || !view_cut(&rest, ' ', &word) ||
	    !view_number(word, UINT32_MAX, &next))
		return false;
	*validity = (uint32_t)strtoul(bytes, NULL, 16);
	*ceiling = (uint32_t)next;
	uids_format(want, sizeof want, *validity, *ceiling);
	return *validity != 0 && next != 0 && strcmp(bytes, want) == 0;
}

static enum uid_record read_uid_file(struct folder *f, uint32_t *validity, uint32_t *ceiling)
{
	char bytes[UID_FILE_BYTES + 2];
	enum file_result result = read_small(f->dir, UID_FILE, bytes, sizeof bytes);

	if (result == FILE_FAILED)
		return errno == ENOENT ? UIDS_LOST : UIDS_UNREAD;
	return result == FILE_WHOLE && parse_uids(bytes, validity, ceiling) ? UIDS_KNOWN
	                                                                    : UIDS_LOST;
}

/* Once for a session, until it works again; errno stays. */
static void tell_unwritten(struct folder *f, const char *file)
{
	int error = errno;

	if (!f->store->told_unwritten)
		log_warn("event=uids-unwritten home=%s folder=%s file=%s reason=\"%s\"",
		         log_quote(view_of(f->store->home)), log_quote(view_of(f->name)), file,
		         log_text(view_of(strerror(error))));
	f->store->told_unwritten = true;
	errno = error;
}

static struct own_uids own_uids(struct folder *f)
{
	struct own_uids own = { .ceiling = f->uid_ceiling, .next = f->ix.h.uidnext };
	struct stat st;

	if (fstatat(f->dir, UID_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mtim.tv_sec > 0)
		own.written_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000;
	return own;
}

/* -> *r: 0 where it failed, which is told; that no UID comes of it is claim_uids's. */
static void raise_reserved(struct folder *f, uint32_t ceiling, struct reserved *r)
{
	struct own_uids own = own_uids(f);

	if (reserved_raise(f->store, f->ix.h.uidvalidity, &own, ceiling, 0, r) == 0)
		return;
	tell_unwritten(f, RESERVED_FILE);
	*r = (struct reserved){ 0 };
}

/* Of a UIDVALIDITY that was made just now, before it stands anywhere else. Where that fails the
 * folder is one without a line. Far ahead of the clock, which was set back then, it is just the one
 * behind the last that the home knows of: after a restore it was given before. */
static void begin_reserved(struct folder *f, uint32_t validity, struct reserved *r)
{
	int64_t now = now_ns();
	struct own_uids own = { .ceiling = 1,
		                .next = 1,
		                .written_ns = (uint64_t)now,
		                .is_new = validity <= now / 1000000000 + AHEAD_S };

	if (reserved_raise(f->store, validity, &own, 1, 0, r) < 0)
		*r = (struct reserved){ 0 };
}

static int write_uid_file(struct folder *f, uint32_t ceiling, bool sync)
{
	char bytes[UID_FILE_BYTES + 2];
	size_t len = uids_format(bytes, sizeof bytes, f->ix.h.uidvalidity, ceiling);
	struct reserved r;

	/* First, so that it is never behind the folder's own. */
	if (sync)
		raise_reserved(f, ceiling, &r);
	if (write_atomic(f->dir, UID_FILE, (struct view){ bytes, len }, sync) == 0) {
		f->uid_ceiling = ceiling;
		return 0;
	}
	/* A full disk must not keep a user from deleting mail: the same bytes in
	 * place. */
	int error = errno;
	int fd = openat(f->dir, UID_FILE, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0) {
		errno = error;
		return -1;
	}
	int result = pwrite_whole(fd, bytes, len, 0);

	if (result == 0 && sync)
		result = fdatasync(fd);
	close(fd);
	if (result == 0)
		f->uid_ceiling = ceiling;
	return result;
}

/* 0; -1, errno: the record cannot be read now. */
int know_ceiling(struct folder *f)
{
	uint32_t validity, ceiling;

	if (f->uid_ceiling)
		return 0;
	enum uid_record record = read_uid_file(f, &validity, &ceiling);

	if (record == UIDS_UNREAD)
		return -1;
	if (record == UIDS_KNOWN && validity == f->ix.h.uidvalidity)
		f->uid_ceiling = ceiling;
	struct reserved r;

	if (reserved_read(f->store, f->ix.h.uidvalidity, &r) == UIDS_KNOWN &&
	    r.ceiling > f->uid_ceiling)
		f->uid_ceiling = r.ceiling;
	return 0;
}

uint32_t uid_above(uint32_t uid, uint32_t count)
{
	return uid < UINT32_MAX - count ? uid + count : UINT32_MAX - 1;
}

int reserve_uids(struct folder *f, uint32_t count, struct reason *why)
{
	uint64_t need = (uint64_t)f->ix.h.uidnext + count;

	f->refused = false;
	if (know_ceiling(f) < 0) {
		f->refused = true; /* what is there is served, and new messages wait */
		return fail_errno(why, "read " UID_FILE);
	}
	if (need <= f->uid_ceiling)
		return 0;
	f->used_up = need > UINT32_MAX - UID_BATCH;
	if (f->used_up)
		return fail(why, "the folder has no UIDs left; it gets others when it is opened");
	if (write_uid_file(f, (uint32_t)need + UID_BATCH, true) == 0) {
		f->unrecorded = false;
		return 0;
	}
	f->refused = disk_refuses(errno);
	tell_unwritten(f, UID_FILE);
	/* A UIDVALIDITY that nobody will find again: its UIDs are this session's alone. */
	if (f->refused && f->unrecorded) {
		f->uid_ceiling = (uint32_t)need + UID_BATCH;
		return 0;
	}
	return fail_errno(why, "write " UID_FILE);
}

void tell_behind(const struct folder *f)
{
	log_info("event=uids-behind home=%s folder=%s", log_quote(view_of(f->store->home)),
	         log_quote(view_of(f->name)));
}

int claim_uids(struct folder *f, uint32_t count, struct reason *why)
{
	struct index_header *h = &f->ix.h;
	uint32_t first = h->uidnext;
	struct reserved r;

	if (reserve_uids(f, count, why) < 0)
		return -1;
	struct own_uids own = own_uids(f);

	if (reserved_raise(f->store, h->uidvalidity, &own, 0, count, &r) == 0) {
		first = r.next - count;
		f->store->told_unwritten = false;
	} else if (errno == EOVERFLOW) {
		f->used_up = true;
		return fail(why, "the folder has no UIDs left; it gets others when it is opened");
	} else {
		tell_unwritten(f, RESERVED_FILE);
		/* As above: nobody who comes later believes this UIDVALIDITY's UIDs. */
		if (!f->unrecorded || !disk_refuses(errno)) {
			f->refused = true;
			return fail_errno(why, "write " RESERVED_FILE);
		}
	}
	if (first > h->uidnext) {
		tell_behind(f);
		h->uidnext = first;
	}
	return reserve_uids(f, count, why);
}

void rewrite_lost_uids(struct folder *f)
{
	if (f->uids_lost && write_uid_file(f, f->ix.h.uidnext + UID_BATCH, true) == 0)
		f->uids_lost = false;
}

/* ---- when the folder is opened ---- */

/* A session before this one had no room for the record either: its names tell the UIDVALIDITY. Its
 * last UIDs may have gone with their messages. */
static void adopt_validity(struct folder *f)
{
	uint32_t validity = scan_validity(f);

	if (validity == 0)
		return;
	f->ix.h.uidvalidity = validity;
	struct reserved r;

	if (reserved_read(f->store, validity, &r) == UIDS_KNOWN)
		f->uid_floor = r.next;
	else
		f->rebooted = true;
}

/* Few are left, after many restores: all messages get new UIDs, as where the records are lost. On a
 * disk that does not take the new UIDVALIDITY the old one stays. */
bool renew_validity(struct folder *f)
{
	const struct index_header old = f->ix.h;
	const uint32_t old_ceiling = f->uid_ceiling;
	uint32_t validity = store_new_uidvalidity(f->store, NULL);
	struct reserved r;

	if (validity == 0)
		return false;
	f->ix.h.uidvalidity = validity;
	f->ix.h.uidnext = f->uid_ceiling = 1;
	begin_reserved(f, validity, &r);
	if (write_uid_file(f, 1, true) == 0) {
		log_info("event=uidvalidity-renewed home=%s folder=%s",
		         log_quote(view_of(f->store->home)), log_quote(view_of(f->name)));
		return true;
	}
	f->ix.h = old;
	f->uid_ceiling = old_ceiling;
	return false;
}

static bool is_worn_out(uint32_t ceiling, const struct reserved *r)
{
	const uint32_t most = UINT32_MAX - UIDS_LEFT_MIN;

	return ceiling > most || r->ceiling > most || r->next > most;
}

int create_index(struct folder *f, struct reason *why)
{
	uint32_t validity, ceiling;
	enum uid_record record = read_uid_file(f, &validity, &ceiling);
	bool recorded = record == UIDS_KNOWN;

	if (record == UIDS_UNREAD)
		return fail_errno(why, "read " UID_FILE);
	struct reserved reserved;

	if (recorded) {
		/* Looked at again, and mended, as soon as there is an index. */
		f->unreserved = reserved_read(f->store, validity, &reserved) != UIDS_KNOWN ||
		                reserved.ceiling < ceiling;
	} else {
		ceiling = 1;
		validity = store_new_uidvalidity(f->store, why);
		if (validity == 0)
			return -1;
		begin_reserved(f, validity, &reserved);
		f->unreserved = false;
	}
	if (is_worn_out(ceiling, &reserved) && renew_validity(f)) {
		validity = f->ix.h.uidvalidity;
		ceiling = 1;
		recorded = true;
	} else if (reserved.ceiling > ceiling) {
		tell_behind(f);
		f->uids_lost = true;
		ceiling = reserved.ceiling;
	}
	index_close(&f->ix);
	f->ix.h = (struct index_header){ .uidvalidity = validity,
		                         .uidnext = ceiling,
		                         .first_recent = ceiling };
	f->ix.fresh = f->must_scan = true;
	f->uid_ceiling = recorded ? ceiling : 0;
	if (keywords_load(f) < 0)
		return fail_errno(why, "read " KEYWORDS_FILE);
	if (!recorded && write_uid_file(f, ceiling, false) < 0) {
		f->unrecorded = disk_refuses(errno);
		if (!f->unrecorded)
			return fail_errno(why, "write " UID_FILE);
		adopt_validity(f);
	}
	return index_write(f) < 0 ? fail_errno(why, "write " INDEX_FILE) : 0;
}

/* Without the lock the records may be read at two moments: whether they differ is looked at again
 * under it. recorded: the folder's own, 0 when that is lost. */
static bool reserved_agrees(struct folder *f, uint32_t recorded, struct reserved *r)
{
	enum uid_record record = reserved_read(f->store, f->ix.h.uidvalidity, r);

	if (record == UIDS_UNREAD) {
		f->unreserved = true; /* looked at again at the next occasion */
		return true;
	}
	if (record == UIDS_LOST)
		return false;
	return (recorded > 1 ? r->ceiling == recorded : r->ceiling <= f->ix.h.uidnext) &&
	       r->next <= f->ix.h.uidnext && f->ix.h.uidnext <= r->ceiling;
}

/* A folder that knows less than was reserved for it, or more, whose index knows of fewer UIDs than
 * were given, or of which nobody knows, has been put back from a backup (or a crash came between
 * the records): what has a UID keeps it, what is new gets one that never named another message. */
void check_reserved(struct folder *f)
{
	uint32_t validity, ceiling = 0;
	struct reserved r;
	enum uid_record record = read_uid_file(f, &validity, &ceiling);

	f->unreserved = false;
	if (record != UIDS_KNOWN || validity != f->ix.h.uidvalidity)
		ceiling = 0;
	if (record == UIDS_UNREAD || reserved_agrees(f, ceiling, &r))
		return;
	if (f->uid_ceiling < ceiling)
		f->uid_ceiling = ceiling;
	if (r.ceiling == 0 || r.ceiling < ceiling || r.ceiling < f->ix.h.uidnext)
		raise_reserved(f, 0, &r);
	if (r.ceiling == 0)
		return;
	if (r.next > f->ix.h.uidnext) {
		f->uid_floor = r.next;
		f->must_scan = true;
	}
	if (r.ceiling <= ceiling)
		return;
	if (ceiling)
		tell_behind(f);
	f->uid_ceiling = r.ceiling;
	f->uids_lost = f->rebooted = f->must_scan = true;
}

bool validity_agrees(struct folder *f)
{
	uint32_t validity, ceiling;
	enum uid_record record = read_uid_file(f, &validity, &ceiling);

	f->uids_lost = record == UIDS_LOST;
	f->worn_out = false;
	if (record == UIDS_KNOWN && validity != f->ix.h.uidvalidity)
		return false;
	struct reserved reserved;

	f->unreserved = false;
	if (record != UIDS_KNOWN)
		ceiling = 0;
	if (record == UIDS_UNREAD)
		return true;
	if (!reserved_agrees(f, ceiling, &reserved))
		f->unreserved = true;
	f->worn_out = is_worn_out(ceiling, &reserved);
	return true;
}
