/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "lib/store/internal.h"

enum { CACHE_PENDING_MAX = 4 << 20, META_PENDING_MAX = 4 << 20 };

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static int open_parts(struct folder *f, struct reason *why)
{
	static const char *const names[] = { "cur", "new", "tmp" };
	int *const parts[] = { &f->cur, &f->new, &f->tmp };

	for (int i = 0; i < 3; i++) {
		*parts[i] = open_directory(f->dir, names[i]);
		/* Another program's folder may lack one. */
		if (*parts[i] < 0 && errno == ENOENT && make_directory(f->dir, names[i]) == 0)
			*parts[i] = open_directory(f->dir, names[i]);
		if (*parts[i] < 0)
			return fail_errno(why, "open %s", names[i]);
	}
	return 0;
}

enum store_result folder_open(struct store *store, struct view name, bool read_only,
                              struct folder **out, struct reason *why)
{
	struct folder *f = memory_get(sizeof *f);
	enum store_result result;

	*out = NULL;
	*f = (struct folder){ .store = store,
		              .dir = -1,
		              .cur = -1,
		              .new = -1,
		              .tmp = -1,
		              .lock = -1,
		              .notify = -1,
		              .cache = -1,
		              .read_only = read_only,
		              .ix.fd = -1 };
	string_put(f->name, sizeof f->name, view_take(name, STORE_NAME_MAX));
	text_init(&f->pending, CACHE_PENDING_MAX);
	text_init(&f->pending_meta, META_PENDING_MAX);
	text_init(&f->cache_window, STORE_CACHE_MAX * 2);
	result = open_folder_dir(store, name, &f->dir, why);
	if (result == STORE_OK && open_parts(f, why) < 0)
		result = STORE_FAILED;
	if (result == STORE_OK)
		result = folder_first_sync(f, why);
	if (result != STORE_OK) {
		folder_close(&f);
		return result;
	}
	f->told_count = f->ix.count;
	f->told_recent = f->recent;
	*out = f;
	if (f->gone || f->changed_count) {
		struct folder_changes nobody_was_told;

		result = folder_sync(f, STORE_EXPUNGES, &nobody_was_told, why);
		if (result != STORE_OK)
			folder_close(out);
	}
	return result;
}

void folder_close(struct folder **folder)
{
	struct folder *f = *folder;

	if (f == NULL)
		return;
	if (f->ix.fd >= 0)
		folder_cache_flush(f);
	index_close(&f->ix);
	close_fd(f->dir);
	close_fd(f->cur);
	close_fd(f->new);
	close_fd(f->tmp);
	close_fd(f->lock);
	close_fd(f->notify);
	close_fd(f->cache);
	for (unsigned n = 0; n < STORE_KEYWORDS_MAX; n++)
		free(f->keywords[n]);
	text_free(&f->log);
	text_free(&f->pending);
	text_free(&f->pending_meta);
	text_free(&f->cache_window);
	free(f->changed);
	free(f->list);
	free(f);
	*folder = NULL;
}

uint32_t folder_count(const struct folder *f)
{
	return f->told_count;
}

uint32_t folder_recent(const struct folder *f)
{
	return f->told_recent;
}

uint32_t folder_first_unseen(struct folder *f)
{
	if (f->ix.h.unseen == 0)
		return 0;
	for (uint32_t i = 0; i < f->told_count; i++) {
		const struct record *r = record_at(f, i);

		if (!(r->state & RECORD_GONE) && !(r->flags & STORE_FLAG_SEEN))
			return i + 1;
	}
	return 0;
}

uint32_t folder_uidvalidity(const struct folder *f)
{
	return f->ix.h.uidvalidity;
}

uint32_t folder_uidnext(const struct folder *f)
{
	return f->ix.h.uidnext;
}

bool folder_read_only(const struct folder *f)
{
	return f->read_only;
}

uint32_t folder_uid(struct folder *f, uint32_t seq)
{
	return seq >= 1 && seq <= f->told_count ? record_at(f, seq - 1)->uid : 0;
}

bool folder_gone(struct folder *f, uint32_t seq)
{
	return seq >= 1 && seq <= f->told_count && (record_at(f, seq - 1)->state & RECORD_GONE);
}

uint32_t folder_seq_from(struct folder *f, uint32_t uid)
{
	uint32_t place = record_place(f, uid);

	return (place < f->told_count ? place : f->told_count) + 1;
}

/* ---- status ---- */

static enum store_result sum_sizes(struct folder *f, uint64_t *bytes, struct reason *why)
{
	struct store_message m;

	for (uint32_t seq = 1; seq <= f->told_count; seq++) {
		enum store_result result = folder_message(f, seq, STORE_WANT_SIZE, &m, why);

		if (result == STORE_GONE)
			continue;
		if (result != STORE_OK)
			return result;
		*bytes += m.size;
	}
	return STORE_OK;
}

static uint32_t count_from(struct folder *f, uint32_t uid)
{
	uint32_t count = 0;

	for (uint32_t i = f->ix.count; i > 0 && record_at(f, i - 1)->uid >= uid; i--)
		count += !(record_at(f, i - 1)->state & RECORD_GONE);
	return count;
}

enum store_result folder_status(struct store *store, struct view name, bool want_bytes,
                                struct folder_status *out, struct reason *why)
{
	struct folder *f;
	enum store_result result = folder_open(store, name, true, &f, why);

	*out = (struct folder_status){ 0 };
	if (result != STORE_OK)
		return result;
	const struct index_header *h = &f->ix.h;

	*out = (struct folder_status){ .messages = h->count,
		                       .unseen = h->unseen,
		                       .deleted = h->deleted,
		                       .uidvalidity = h->uidvalidity,
		                       .uidnext = h->uidnext,
		                       .modseq = h->modseq };
	if (h->first_recent < h->uidnext)
		out->recent = count_from(f, h->first_recent);
	if (want_bytes)
		result = sum_sizes(f, &out->bytes, why);
	folder_close(&f);
	return result;
}

/* ---- watching ---- */

/* Names under cur and new are all that a session shows; keywords beyond the letters show up at the
 * next sync. inotify wants a path: the folder becomes the working directory, which nothing else in
 * the house relies on. */
static int add_watches(struct folder *f, int fd)
{
	const uint32_t events =
		IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ONLYDIR | IN_DONT_FOLLOW;

	if (fchdir(f->dir) < 0 || inotify_add_watch(fd, "new", events) < 0)
		return -1;
	return inotify_add_watch(fd, "cur", events) < 0 ? -1 : 0;
}

int folder_watch(struct folder *f)
{
	if (f->notify >= 0)
		return f->notify;
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd < 0)
		return -1;
	if (add_watches(f, fd) < 0) {
		int kept_errno = errno;

		close(fd);
		errno = kept_errno;
		return -1;
	}
	f->notify = fd;
	return fd;
}

void drain_watch(struct folder *f)
{
	char events[4096];

	if (f->notify < 0)
		return;
	while (file_read_some(f->notify, events, sizeof events) > 0)
		f->stirred = true;
}
