/* SPDX-License-Identifier: ISC */
/*
 * Quota, kept as Maildir++ keeps it (Courier, Dovecot and maildrop read the same file): maildirsize
 * begins with the limit and has a line of bytes and messages for every change; when it grows long,
 * or the limit is another, everything is counted anew by the S= in the names. So it is before
 * anything is refused, unless that was done just now: programs that know nothing of the file remove
 * messages too, and a mailbox that takes nothing would never find out.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "lib/store/internal.h"

enum { MAILDIRSIZE_BYTES_MAX = 5120, RECOUNT_S = 15 * 60 };

static int count_directory(int folder, const char *part, struct store_quota *q)
{
	const struct dirent *e;
	struct message_name name;
	struct stat st;
	struct walk w;

	walk_begin(&w, folder, part);
	while ((e = walk_next(&w)) != NULL) {
		if (!name_parse(view_of(e->d_name), &name))
			continue;
		if (name.has_size)
			q->used_bytes += name.size;
		else if (fstatat(walk_fd(&w), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			q->used_bytes += (uint64_t)st.st_size;
		q->used_messages++;
	}
	/* Another program's folder may lack one. */
	return walk_end(&w) < 0 && errno != ENOENT ? -1 : 0;
}

static enum store_result count_folder(struct store *store, const char *name, struct store_quota *q,
                                      struct reason *why)
{
	int fd;
	enum store_result result = open_folder_dir(store, view_of(name), &fd, why);

	if (result != STORE_OK)
		return result == STORE_NOT_FOUND ? STORE_OK : result; /* deleted meanwhile */
	if (count_directory(fd, "cur", q) < 0 || count_directory(fd, "new", q) < 0) {
		fail_errno(why, "count the messages of %s", name);
		result = STORE_FAILED;
	}
	close(fd);
	return result;
}

/* A part of it would be no quota: it fails rather. */
static enum store_result count_all(struct store *store, struct store_quota *q, struct reason *why)
{
	struct store_names names;
	enum store_result result = store_folders(store, &names, why);

	for (unsigned i = 0; result == STORE_OK && i < names.count; i++)
		if (names.names[i].selectable)
			result = count_folder(store, names.names[i].name, q, why);
	store_names_free(&names);
	return result;
}

static bool signed_number(struct view v, int64_t *out)
{
	bool negative = v.len && v.data[0] == '-';
	uint64_t n;

	if (!view_number(view_skip(v, negative), INT64_MAX, &n))
		return false;
	*out = negative ? -(int64_t)n : (int64_t)n;
	return true;
}

/* The sum of the file; *changes: the lines behind the one that was counted. False: missing,
 * unreadable, too long, damaged, or for another limit. It may be written anew in any case, since
 * everything is counted first. */
static bool read_maildirsize(struct store *store, struct store_quota *q, unsigned *changes)
{
	char bytes[MAILDIRSIZE_BYTES_MAX], want[32];
	struct view rest, line, first;
	int64_t sum_bytes = 0, sum_messages = 0, n, m;

	if (read_small(store->maildir, "maildirsize", bytes, sizeof bytes) != FILE_WHOLE)
		return false;
	rest = view_of(bytes);
	string_print(want, sizeof want, "%" PRIu64 "S", store->quota_bytes);
	if (!view_cut(&rest, '\n', &line) || !view_equal(line, view_of(want)))
		return false;
	for (*changes = 0; view_cut(&rest, '\n', &line); ++*changes) {
		line = view_trim(line);
		if (!view_cut(&line, ' ', &first) || !signed_number(first, &n) ||
		    !signed_number(view_trim(line), &m))
			return false;
		sum_bytes += n;
		sum_messages += m;
	}
	if (sum_bytes < 0 || sum_messages < 0)
		return false;
	q->used_bytes = (uint64_t)sum_bytes;
	q->used_messages = (uint64_t)sum_messages;
	*changes -= *changes > 0;
	return true;
}

/* Within RECOUNT_S, and nothing has changed since that we know of. */
static bool counted_lately(struct store *store, unsigned changes)
{
	struct stat st;

	if (changes || fstatat(store->maildir, "maildirsize", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	int64_t age_s = now_ns() / 1000000000 - st.st_mtime;

	return age_s >= 0 && age_s < RECOUNT_S;
}

static enum store_result count_anew(struct store *store, struct store_quota *out,
                                    struct reason *why)
{
	char bytes[96];

	*out = (struct store_quota){ .limit_bytes = store->quota_bytes };
	enum store_result result = count_all(store, out, why);

	if (result == STORE_OK && store->quota_bytes) {
		size_t len =
			string_print(bytes, sizeof bytes, "%" PRIu64 "S\n%" PRIu64 " %" PRIu64 "\n",
		                     store->quota_bytes, out->used_bytes, out->used_messages);

		/* Without the file it is counted again next time. */
		write_atomic(store->maildir, "maildirsize", (struct view){ bytes, len }, false);
	}
	return result;
}

enum store_result store_quota(struct store *store, struct store_quota *out, struct reason *why)
{
	unsigned changes;

	*out = (struct store_quota){ .limit_bytes = store->quota_bytes };
	return store->quota_bytes && read_maildirsize(store, out, &changes)
	               ? STORE_OK
	               : count_anew(store, out, why);
}

static bool has_room(const struct store_quota *q, uint64_t size_bytes)
{
	return q->used_bytes + size_bytes <= q->limit_bytes;
}

enum store_result store_quota_check(struct store *store, uint64_t size_bytes, struct reason *why)
{
	struct store_quota q = { .limit_bytes = store->quota_bytes };
	unsigned changes;

	if (store->quota_bytes == 0)
		return STORE_OK;
	if (size_bytes > store->quota_bytes) {
		fail(why, "the message is larger than the quota");
		return STORE_TOO_LARGE;
	}
	bool known = read_maildirsize(store, &q, &changes);

	if (known && has_room(&q, size_bytes))
		return STORE_OK;
	enum store_result result =
		known && counted_lately(store, changes) ? STORE_OK : count_anew(store, &q, why);

	if (result != STORE_OK || has_room(&q, size_bytes))
		return result;
	fail(why, "the mailbox is full");
	return STORE_OVER_QUOTA;
}

void quota_add(struct store *store, int64_t bytes, int64_t messages)
{
	char line[64];
	size_t len = string_print(line, sizeof line, "%" PRId64 " %" PRId64 "\n", bytes, messages);
	int fd = openat(store->maildir, "maildirsize",
	                O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return;
	if (fd < 0 || write_whole(fd, line, len) < 0)
		unlinkat(store->maildir, "maildirsize", 0);
	if (fd >= 0)
		close(fd);
}
