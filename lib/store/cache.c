/* SPDX-License-Identifier: ISC */
/*
 * The cache: one opaque piece per message in posthouse.cache, appended, found through the index.
 * Each piece carries its UID and a sum over the file's own id and over whose it is: the mailbox,
 * the folder, the message's name and size. So a stale or damaged reference finds nothing, nor does
 * an index, a cache or a message that was put here from another mailbox, nor one that was
 * rewritten.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "lib/store/internal.h"

#define CACHE_MAGIC "PHCACHE\n"

enum { CACHE_WINDOW = 131072, CACHE_SLACK = 1 << 20, CACHE_FILE_MAX = 1 << 30 };

struct cache_header {
	char magic[8];
	uint64_t id;
};
struct cache_head {
	uint32_t uid, len;
	uint64_t sum;
};

/* 0: nothing is known of this message, or cannot be read now. */
static uint64_t piece_sum(struct folder *f, uint64_t id, const struct record *r, struct view bytes)
{
	char stem[NAME_STEM_MAX + 1];
	const char *home = f->store->home;

	if (!record_stem(f, r, stem))
		return 0;
	uint64_t whose = store_hash(id ^ f->ix.h.uidvalidity, home, strlen(home));

	whose = store_hash(whose ^ r->uid, stem, strlen(stem));
	return store_hash(whose ^ (r->state & RECORD_HAS_SIZE ? r->size : 0), bytes.data,
	                  bytes.len);
}

static void cache_close(struct folder *f)
{
	if (f->cache >= 0)
		close(f->cache);
	f->cache = -1;
	text_clear(&f->cache_window);
}

static int create_cache(struct folder *f, const char *name)
{
	struct cache_header h;

	memcpy(h.magic, CACHE_MAGIC, sizeof h.magic);
	while (getrandom(&h.id, sizeof h.id, 0) < 0 && errno == EINTR)
		;
	unlinkat(f->dir, name, 0);
	int fd = openat(f->dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd >= 0 && write_whole(fd, &h, sizeof h) < 0) {
		close(fd);
		unlinkat(f->dir, name, 0);
		return -1;
	}
	return fd;
}

/* Opens it, or opens it again when another session has replaced it. */
static bool cache_open(struct folder *f, bool create)
{
	struct cache_header h;
	struct stat st;

	if (f->cache >= 0)
		return true;
	f->cache = openat(f->dir, CACHE_FILE, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (f->cache >= 0 &&
	    (fstat(f->cache, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > CACHE_FILE_MAX ||
	     file_read_at(f->cache, &h, sizeof h, 0) != FILE_WHOLE ||
	     memcmp(h.magic, CACHE_MAGIC, sizeof h.magic) != 0))
		cache_close(f);
	if (f->cache < 0 && create && (f->cache = create_cache(f, CACHE_FILE)) >= 0 &&
	    (file_read_at(f->cache, &h, sizeof h, 0) != FILE_WHOLE || fstat(f->cache, &st) < 0))
		cache_close(f);
	if (f->cache < 0)
		return false;
	f->cache_inode = st.st_ino;
	f->cache_id = h.id;
	return true;
}

/* The piece with its head, through a window: neighbours are asked for next. */
static bool read_piece(struct folder *f, uint64_t at, size_t len, const char **out)
{
	struct text *w = &f->cache_window;

	if (at < f->cache_window_at || at + len > f->cache_window_at + w->len) {
		text_clear(w);
		size_t want = len > CACHE_WINDOW ? len : CACHE_WINDOW;
		char *room = text_reserve(w, want);
		ssize_t got = room ? file_read_some_at(f->cache, room, want, at) : -1;

		if (got < (ssize_t)len)
			return false;
		f->cache_window_at = at;
		w->len = (size_t)got;
	}
	*out = w->raw + (at - f->cache_window_at);
	return true;
}

static struct view look_up(struct folder *f, const struct record *r)
{
	struct cache_head head;
	const char *piece;

	if (!read_piece(f, r->cache_at, sizeof head + r->cache_len, &piece))
		return (struct view){ NULL, 0 };
	memcpy(&head, piece, sizeof head);
	struct view bytes = { piece + sizeof head, r->cache_len };

	if (head.uid != r->uid || head.len != r->cache_len || head.sum == 0 ||
	    head.sum != piece_sum(f, f->cache_id, r, bytes))
		return (struct view){ NULL, 0 };
	return bytes;
}

static bool cache_is_current(struct folder *f)
{
	struct stat st;

	return f->cache >= 0 && fstatat(f->dir, CACHE_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_ino == f->cache_inode;
}

struct view folder_cache_get(struct folder *f, uint32_t seq)
{
	if (seq < 1 || seq > f->told_count)
		return (struct view){ NULL, 0 };
	const struct record *r = record_at(f, seq - 1);

	if (r->cache_len == 0 || r->cache_len > STORE_CACHE_MAX || !cache_open(f, false))
		return (struct view){ NULL, 0 };
	struct view found = look_up(f, r);

	if (found.data == NULL && !cache_is_current(f)) {
		cache_close(f);
		if (cache_open(f, false))
			found = look_up(f, r);
	}
	return found;
}

/* ---- putting ---- */

/* The pending buffer holds struct log_cache (at unused) and the bytes, one behind the other. */
void folder_cache_put(struct folder *f, uint32_t seq, struct view bytes)
{
	if (seq >= 1 && seq <= f->told_count)
		cache_put_uid(f, record_at(f, seq - 1)->uid, bytes);
}

void cache_put_uid(struct folder *f, uint32_t uid, struct view bytes)
{
	if (bytes.len == 0 || bytes.len > STORE_CACHE_MAX)
		return;
	struct log_cache l = { .uid = uid, .len = (uint32_t)bytes.len };

	if (f->pending.len + sizeof l + bytes.len > f->pending.max)
		folder_cache_flush(f);
	text_add(&f->pending, (struct view){ (char *)&l, sizeof l });
	text_add(&f->pending, bytes);
}

/* Puts the pieces behind each other and notes in the batch where each one goes. */
static void lay_out(struct folder *f, uint64_t end, struct text *out)
{
	struct view rest = text_view(&f->pending);
	struct log_cache l;

	while (rest.len >= sizeof l) {
		memcpy(&l, rest.data, sizeof l);
		struct view bytes = view_take(view_skip(rest, sizeof l), l.len);
		const struct record *r = record_find(f, l.uid);

		rest = view_skip(rest, sizeof l + l.len);
		if (r == NULL)
			continue;
		struct cache_head head = { .uid = l.uid,
			                   .len = l.len,
			                   .sum = piece_sum(f, f->cache_id, r, bytes) };

		l.at = end + out->len;
		text_add(out, (struct view){ (char *)&head, sizeof head });
		text_add(out, bytes);
		indexlog_put(f, LOG_CACHE, &l, sizeof l, (struct view){ NULL, 0 });
	}
}

static void append_pieces(struct folder *f)
{
	struct text out;
	struct stat st;

	if (!cache_is_current(f))
		cache_close(f);
	if (!cache_open(f, true) || fstat(f->cache, &st) < 0 || st.st_size > CACHE_FILE_MAX)
		return;
	text_init(&out, f->pending.max * 2);
	lay_out(f, (uint64_t)st.st_size, &out);
	if (out.full || pwrite_whole(f->cache, out.raw, out.len, (uint64_t)st.st_size) < 0)
		text_clear(&f->log); /* it is only a cache */
	text_free(&out);
}

static void put_meta(struct folder *f)
{
	struct view rest = text_view(&f->pending_meta);

	for (; rest.len >= sizeof(struct log_meta); rest = view_skip(rest, sizeof(struct log_meta)))
		indexlog_put(f, LOG_META, rest.data, sizeof(struct log_meta),
		             (struct view){ NULL, 0 });
}

void folder_cache_flush(struct folder *f)
{
	if (f->pending.len == 0 && f->pending_meta.len == 0)
		return;
	if (folder_lock(f, NULL) == STORE_OK) {
		if (f->pending.len)
			append_pieces(f);
		put_meta(f);
		folder_commit(f, false, NULL);
		folder_unlock(f);
	}
	text_clear(&f->pending);
	text_clear(&f->pending_meta);
}

/* ---- compaction, under the lock, before the index itself is written anew ---- */

static uint64_t live_bytes(struct folder *f)
{
	uint64_t live = 0;

	for (uint32_t i = 0; i < f->ix.count; i++) {
		const struct record *r = record_at(f, i);

		if (!(r->state & RECORD_GONE) && r->cache_len)
			live += r->cache_len + sizeof(struct cache_head);
	}
	return live;
}

static int copy_pieces(struct folder *f, int to, uint64_t new_id)
{
	uint64_t at = sizeof(struct cache_header);
	struct cache_head head;

	for (uint32_t i = 0; i < f->ix.count; i++) {
		struct record *r = record_at(f, i);
		struct view bytes = { NULL, 0 };

		if (!(r->state & RECORD_GONE) && r->cache_len && r->cache_len <= STORE_CACHE_MAX)
			bytes = look_up(f, r);
		r->cache_len = (uint32_t)bytes.len;
		if (bytes.len == 0)
			continue;
		head = (struct cache_head){ .uid = r->uid,
			                    .len = r->cache_len,
			                    .sum = piece_sum(f, new_id, r, bytes) };
		if (write_whole(to, &head, sizeof head) < 0 ||
		    write_whole(to, bytes.data, bytes.len) < 0)
			return -1;
		r->cache_at = at;
		at += sizeof head + bytes.len;
	}
	return 0;
}

/* A crash between the two renames leaves references that find nothing: the pieces are made
 * again. */
void cache_compact(struct folder *f)
{
	struct cache_header h;
	struct stat st;

	if (!cache_is_current(f))
		cache_close(f);
	if (!cache_open(f, false) || fstat(f->cache, &st) < 0 ||
	    (uint64_t)st.st_size < 2 * live_bytes(f) + CACHE_SLACK)
		return;
	int to = create_cache(f, CACHE_FILE ".new");

	if (to < 0)
		return;
	if (file_read_at(to, &h, sizeof h, 0) != FILE_WHOLE || copy_pieces(f, to, h.id) < 0 ||
	    renameat(f->dir, CACHE_FILE ".new", f->dir, CACHE_FILE) < 0)
		unlinkat(f->dir, CACHE_FILE ".new", 0);
	close(to);
	cache_close(f);
}
