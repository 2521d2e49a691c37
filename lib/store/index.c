/* SPDX-License-Identifier: ISC */
/* The index file: a snapshot of fixed-size records, and behind it the log of what changed since. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/store/internal.h"

#define INDEX_MAGIC "PHINDEX\n"

enum { RECORDS_SLACK = 256, INDEX_BYTES_MAX = 1 << 30 };

static_assert(sizeof(struct record) == 64, "records lie in the file as they are");

static uint32_t blocks_of(uint32_t records)
{
	return (records + INDEX_BLOCK - 1) / INDEX_BLOCK;
}

static uint64_t header_sum(const struct index_header *h)
{
	return store_hash(INDEX_FORMAT, h, offsetof(struct index_header, sum));
}

/* ---- opening ---- */

/* The header describes its own file: every offset follows from the counts before it. */
static bool header_plausible(const struct index_header *h, uint64_t file_bytes)
{
	if (memcmp(h->magic, INDEX_MAGIC, sizeof h->magic) != 0 || h->format != INDEX_FORMAT ||
	    h->record_bytes != sizeof(struct record) || h->sum != header_sum(h) ||
	    h->count > STORE_MESSAGES_MAX)
		return false;
	uint64_t sums_at = sizeof *h + (uint64_t)h->count * sizeof(struct record);
	uint64_t keywords_at = sums_at + blocks_of(h->count) * sizeof(uint64_t);

	return h->sums_at == sums_at && h->keywords_at == keywords_at &&
	       h->names_at == keywords_at + h->keyword_bytes && h->log_at >= h->names_at &&
	       h->log_at <= file_bytes && h->uidvalidity != 0 && h->uidnext != 0 &&
	       h->keyword_bytes < 65536;
}

static void read_keywords(struct folder *f)
{
	char *bytes = memory_get(f->ix.h.keyword_bytes + 1);
	struct view rest = { bytes, f->ix.h.keyword_bytes }, line;

	if (file_read_at(f->ix.fd, bytes, rest.len, f->ix.h.keywords_at) == FILE_WHOLE)
		for (unsigned n = 0; n < STORE_KEYWORDS_MAX && view_cut(&rest, '\n', &line); n++)
			if (line.len)
				keyword_set(f, n, line);
	free(bytes);
}

static bool identify(struct index *ix)
{
	struct stat st;

	if (fstat(ix->fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > INDEX_BYTES_MAX)
		return false;
	ix->device = st.st_dev;
	ix->inode = st.st_ino;
	return file_read_at(ix->fd, &ix->h, sizeof ix->h, 0) == FILE_WHOLE &&
	       header_plausible(&ix->h, (uint64_t)st.st_size);
}

/* What says nothing about the file. */
static bool passes(int error)
{
	return out_of_resources(error) || error == EINTR;
}

/* Once, by whoever holds the lock and makes it anew; without it the file may be another's by now.
 */
static void tell_damage(const struct folder *f, const char *reason)
{
	if (f->locks > 0)
		log_warn("event=index-damaged home=%s folder=%s reason=%s",
		         log_quote(view_of(f->store->home)), log_quote(view_of(f->name)),
		         log_quote(view_of(reason)));
}

int index_open(struct folder *f)
{
	struct index ix = { .fd = openat(f->dir, INDEX_FILE,
		                         O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) };

	if (ix.fd < 0 && errno == EROFS) {
		f->frozen = f->read_only = true;
		ix.fd = openat(f->dir, INDEX_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	}
	if (ix.fd < 0 && passes(errno))
		return -1;
	if (ix.fd < 0) {
		if (errno != ENOENT)
			tell_damage(f, strerror(errno));
		return 1;
	}
	if (!identify(&ix)) {
		tell_damage(f, "its header is wrong");
		close(ix.fd);
		return 1;
	}
	ix.count = ix.lazy = ix.h.count;
	ix.capacity = ix.count + RECORDS_SLACK;
	ix.records =
		calloc(ix.capacity, sizeof *ix.records); /* pages that are not read cost nothing */
	ix.loaded =
		memory_get((blocks_of(ix.count) + 63) / 64 * sizeof(uint64_t) + sizeof(uint64_t));
	ix.log_end = ix.h.log_at;
	ix.fresh = ix.h.scanned_s == 0; /* its maker was killed before the first scan was written */
	if (ix.records == NULL) {
		free(ix.loaded);
		close(ix.fd);
		errno = ENOMEM;
		return -1;
	}
	f->ix = ix;
	read_keywords(f);
	return 0;
}

void index_close(struct index *ix)
{
	if (ix->fd >= 0)
		close(ix->fd);
	free(ix->records);
	free(ix->loaded);
	free(ix->window);
	*ix = (struct index){ .fd = -1 };
}

/* ---- records, read by blocks when they are first touched ---- */

static bool read_block(struct index *ix, uint32_t block)
{
	uint32_t first = block * INDEX_BLOCK;
	uint32_t count = ix->lazy - first < INDEX_BLOCK ? ix->lazy - first : INDEX_BLOCK;
	uint64_t sum;

	if (file_read_at(ix->fd, ix->records + first, count * sizeof(struct record),
	                 sizeof ix->h + (uint64_t)first * sizeof(struct record)) != FILE_WHOLE ||
	    file_read_at(ix->fd, &sum, sizeof sum, ix->h.sums_at + block * sizeof sum) !=
	            FILE_WHOLE ||
	    sum != store_hash(ix->h.generation + block, ix->records + first,
	                      count * sizeof(struct record)))
		return false;
	for (uint32_t i = first; i < first + count; i++)
		ix->records[i].state &= RECORD_STORED;
	return true;
}

static void set_loaded(struct index *ix, uint32_t block)
{
	ix->loaded[block / 64] |= 1ull << block % 64;
}

static bool is_loaded(const struct index *ix, uint32_t block)
{
	return ix->loaded[block / 64] & 1ull << block % 64;
}

/* From the file and from nothing else: it mends nothing and asks for no other block. */
static bool load_block(struct index *ix, uint32_t block)
{
	if (!is_loaded(ix, block)) {
		if (!read_block(ix, block))
			return false;
		set_loaded(ix, block);
	}
	return true;
}

/* Damaged blocks that lie side by side are one gap. Its ends are blocks that have been loaded, so
 * that no repair ever waits for another one. */
static void find_gap(struct index *ix, uint32_t block, uint32_t *first, uint32_t *end)
{
	uint32_t low = block, high = block + 1;

	while (low > 0 && !load_block(ix, low - 1))
		low--;
	while (high < blocks_of(ix->lazy) && !load_block(ix, high))
		high++;
	*first = low * INDEX_BLOCK;
	*end = high * INDEX_BLOCK < ix->lazy ? high * INDEX_BLOCK : ix->lazy;
	for (; low < high; low++)
		set_loaded(ix, low);
}

/* The UIDs of a gap are told again by the file names. This session has never shown any of them, so
 * what is missing becomes messages that are gone. When the names cannot be read now nobody can say
 * what is missing: the index is `lost`, and nothing is told or written by this view of it. */
static void repair_gap(struct folder *f, uint32_t block)
{
	struct index *ix = &f->ix;
	uint32_t first, end, found = 0;

	find_gap(ix, block, &first, &end);
	uint32_t below = first ? ix->records[first - 1].uid : 0;
	uint32_t above = end < ix->count ? ix->records[end].uid : ix->h.uidnext;

	ix->broken = true;
	memset(ix->records + first, 0, (end - first) * sizeof(struct record));
	if (scan_range(f, below, above, ix->records + first, end - first, &found) < 0)
		ix->lost = true;
	log_warn("event=index-damaged home=%s folder=%s records=%u found=%u%s",
	         log_quote(view_of(f->store->home)), log_quote(view_of(f->name)),
	         (unsigned)(end - first), (unsigned)found,
	         ix->lost ? " reason=\"the directory cannot be read now\"" : "");
	for (uint32_t i = first + found; i < end; i++) {
		ix->records[i].uid = i ? ix->records[i - 1].uid : 0;
		ix->records[i].state = RECORD_GONE;
		f->gone++;
	}
}

struct record *record_at(struct folder *f, uint32_t i)
{
	struct index *ix = &f->ix;

	if (i < ix->lazy && !load_block(ix, i / INDEX_BLOCK))
		repair_gap(f, i / INDEX_BLOCK);
	return &ix->records[i];
}

void index_load_all(struct folder *f)
{
	for (uint32_t i = 0; i < f->ix.lazy; i += INDEX_BLOCK)
		record_at(f, i);
	f->ix.lazy = 0;
}

uint32_t record_place(struct folder *f, uint32_t uid)
{
	uint32_t low = 0, high = f->ix.count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (record_at(f, middle)->uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct record *record_find(struct folder *f, uint32_t uid)
{
	uint32_t place = record_place(f, uid);

	for (; place < f->ix.count && record_at(f, place)->uid == uid; place++)
		if (!(record_at(f, place)->state & RECORD_GONE))
			return record_at(f, place);
	return NULL;
}

uint32_t record_flags(const struct record *r)
{
	return r->flags | (r->state & RECORD_DOOMED ? STORE_FLAG_DELETED : 0);
}

struct record *index_append_record(struct folder *f)
{
	struct index *ix = &f->ix;

	if (ix->count == ix->capacity) {
		uint32_t capacity = ix->capacity + ix->capacity / 4 + RECORDS_SLACK;

		ix->records = memory_grow(ix->records, capacity * sizeof *ix->records);
		ix->capacity = capacity;
	}
	ix->records[ix->count] = (struct record){ 0 };
	return &ix->records[ix->count++];
}

/* ---- names ---- */

static bool stem_valid(struct view stem)
{
	if (stem.len == 0 || stem.len > NAME_STEM_MAX || stem.data[0] == '.')
		return false;
	for (size_t i = 0; i < stem.len; i++)
		if (stem.data[i] == '/' || stem.data[i] == '\0')
			return false;
	return true;
}

static bool in_window(const struct index *ix, uint64_t at, size_t len)
{
	return at >= ix->window_at && at + len <= ix->window_at + ix->window_len;
}

bool record_stem(struct folder *f, const struct record *r, char *out)
{
	struct index *ix = &f->ix;

	out[0] = '\0';
	if (r->name_len == 0 || r->name_len > NAME_STEM_MAX)
		return false;
	if (!in_window(ix, r->name_at, r->name_len)) {
		if (ix->window == NULL)
			ix->window = memory_get(INDEX_NAME_WINDOW);
		ssize_t got = file_read_some_at(ix->fd, ix->window, INDEX_NAME_WINDOW, r->name_at);

		ix->window_at = r->name_at;
		ix->window_len = got > 0 ? (size_t)got : 0;
		if (!in_window(ix, r->name_at, r->name_len))
			return false;
	}
	struct view stem = { ix->window + (r->name_at - ix->window_at), r->name_len };

	return stem_valid(stem) && string_copy(out, NAME_STEM_MAX + 1, stem);
}

bool record_name(struct folder *f, const struct record *r, char *out)
{
	char stem[NAME_STEM_MAX + 1];

	if (!record_stem(f, r, stem))
		return false;
	name_format(out, view_of(stem), f->ix.h.uidvalidity, r->uid, r->flags, r->keywords);
	return true;
}

/* ---- writing a new one ---- */

bool index_wants_compaction(const struct index *ix)
{
	uint64_t log = ix->log_end - ix->h.log_at;

	return log > INDEX_LOG_MIN && log > (ix->h.log_at - ix->h.sums_at) / 4;
}

/* The place for the new file: on disk, or where the disk will not take it, in this session's
 * memory. */
static int new_file(struct folder *f, bool in_memory)
{
	if (in_memory)
		return memfd_create("posthouse.index", MFD_CLOEXEC);
	unlinkat(f->dir, INDEX_FILE ".new", 0);
	return openat(f->dir, INDEX_FILE ".new", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	              0600);
}

struct snapshot {
	struct index_header h;
	struct record *records;
	uint64_t *sums;
	struct text names, keywords;
};

static void gather(struct folder *f, struct snapshot *s)
{
	struct index *ix = &f->ix;
	char stem[NAME_STEM_MAX + 1];

	index_load_all(f);
	s->h = ix->h;
	text_init(&s->names, INDEX_BYTES_MAX);
	text_init(&s->keywords, 65535);
	s->records = memory_get((ix->count + 1) * sizeof *s->records);
	s->h.count = s->h.unseen = s->h.deleted = 0;
	for (uint32_t i = 0; i < ix->count; i++) {
		if (ix->records[i].state & RECORD_GONE)
			continue;
		struct record *r = &s->records[s->h.count++];

		*r = ix->records[i];
		r->state &= RECORD_STORED;
		/* A name that is lost is found again by the scan that follows damage. */
		bool named = record_stem(f, &ix->records[i], stem) &&
		             text_has_room(&s->names, strlen(stem));

		r->name_len = named ? (uint16_t)strlen(stem) : 0;
		r->name_at = s->names.len;
		text_add(&s->names, view_take(view_of(stem), r->name_len));
		s->h.unseen += !(r->flags & STORE_FLAG_SEEN);
		s->h.deleted += (r->flags & STORE_FLAG_DELETED) != 0;
	}
	for (unsigned n = 0; n < STORE_KEYWORDS_MAX; n++)
		text_format(&s->keywords, "%s\n", f->keywords[n] ? f->keywords[n] : "");
}

static void seal(struct snapshot *s)
{
	uint32_t blocks = blocks_of(s->h.count);

	memcpy(s->h.magic, INDEX_MAGIC, sizeof s->h.magic);
	s->h.format = INDEX_FORMAT;
	s->h.record_bytes = sizeof(struct record);
	while (getrandom(&s->h.generation, sizeof s->h.generation, 0) < 0 && errno == EINTR)
		;
	s->h.sums_at = sizeof s->h + (uint64_t)s->h.count * sizeof(struct record);
	s->h.keywords_at = s->h.sums_at + blocks * sizeof(uint64_t);
	s->h.keyword_bytes = (uint32_t)s->keywords.len;
	s->h.names_at = s->h.keywords_at + s->keywords.len;
	s->h.log_at = s->h.names_at + s->names.len;
	s->sums = memory_get((blocks + 1) * sizeof *s->sums);
	for (uint32_t i = 0; i < s->h.count; i++)
		s->records[i].name_at += s->h.names_at;
	for (uint32_t b = 0; b < blocks; b++) {
		uint32_t first = b * INDEX_BLOCK, left = s->h.count - first;

		s->sums[b] = store_hash(s->h.generation + b, s->records + first,
		                        (left < INDEX_BLOCK ? left : INDEX_BLOCK) *
		                                sizeof(struct record));
	}
	s->h.sum = header_sum(&s->h);
}

static int put(int fd, const struct snapshot *s)
{
	if (write_whole(fd, &s->h, sizeof s->h) < 0 ||
	    write_whole(fd, s->records, s->h.count * sizeof(struct record)) < 0 ||
	    write_whole(fd, s->sums, blocks_of(s->h.count) * sizeof(uint64_t)) < 0 ||
	    write_whole(fd, text_string(&s->keywords), s->keywords.len) < 0)
		return -1;
	return write_whole(fd, text_string(&s->names), s->names.len);
}

/* Not synced: after a power cut a torn file fails its sums and is made anew from the names. */
static int place(struct folder *f, const struct snapshot *s, bool in_memory)
{
	int fd = new_file(f, in_memory);
	struct stat st;

	if (fd < 0)
		return -1;
	if (put(fd, s) < 0 || fstat(fd, &st) < 0 ||
	    (!in_memory && renameat(f->dir, INDEX_FILE ".new", f->dir, INDEX_FILE) < 0)) {
		int kept_errno = errno;

		close(fd);
		unlinkat(f->dir, INDEX_FILE ".new", 0);
		errno = kept_errno;
		return -1;
	}
	if (f->ix.fd >= 0)
		close(f->ix.fd);
	f->ix.fd = fd;
	f->ix.device = st.st_dev;
	f->ix.inode = st.st_ino;
	f->ix.in_memory = in_memory;
	return 0;
}

static void adopt(struct folder *f, const struct snapshot *s)
{
	struct index *ix = &f->ix;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < ix->count; i++) {
		if (ix->records[i].state & RECORD_GONE)
			continue;
		ix->records[i].name_at = s->records[kept].name_at;
		ix->records[i].name_len = s->records[kept++].name_len;
	}
	ix->h = s->h;
	ix->log_end = s->h.log_at;
	ix->window_len = 0;
	ix->broken = false;
}

static int write_to(struct folder *f, bool in_memory)
{
	struct snapshot s = { 0 };

	gather(f, &s);
	seal(&s);
	errno = EIO;
	int result = f->ix.lost ? -1 : place(f, &s, in_memory), kept_errno = errno;

	if (result == 0)
		adopt(f, &s);
	free(s.records);
	free(s.sums);
	text_free(&s.names);
	text_free(&s.keywords);
	errno = kept_errno;
	return result;
}

int index_write(struct folder *f)
{
	return write_to(f, false) == 0 ? 0 : write_to(f, true);
}

int index_to_memory(struct folder *f)
{
	return write_to(f, true);
}

/* ---- another session's file ---- */

/* Puts what this session was shown and what the new file holds, its log included, into one view:
 * what is only in the old is gone, what is only in the new comes behind. */
static void merge(struct folder *f, struct index *old)
{
	struct index *ix = &f->ix;
	struct record *merged =
		memory_get(((size_t)old->count + ix->count + RECORDS_SLACK) * sizeof *merged);
	uint32_t count = 0, j = 0;

	f->gone = 0;
	for (uint32_t i = 0; i < old->count; i++) {
		struct record *was = &old->records[i], *r = &merged[count++];

		while (j < ix->count &&
		       (ix->records[j].state & RECORD_GONE || ix->records[j].uid < was->uid))
			j++;
		if (!(was->state & RECORD_GONE) && j < ix->count &&
		    ix->records[j].uid == was->uid) {
			*r = ix->records[j++];
			r->state |= was->state & (RECORD_RECENT | RECORD_CHANGED | RECORD_DOOMED);
			if (r->flags != was->flags || r->keywords != was->keywords)
				note_changed(f, r);
		} else {
			*r = *was;
			r->state |= RECORD_GONE;
			f->gone++;
		}
	}
	uint32_t last = count ? merged[count - 1].uid : 0;

	for (; j < ix->count; j++)
		if (ix->records[j].uid > last && !(ix->records[j].state & RECORD_GONE))
			merged[count++] = ix->records[j];
	ix->capacity = old->count + ix->count + RECORDS_SLACK;
	free(ix->records);
	ix->records = merged;
	ix->count = count;
}

enum index_reloaded index_reload(struct folder *f)
{
	struct index old;

	index_load_all(f);
	if (f->ix.lost) {
		errno = EIO;
		return INDEX_UNREAD;
	}
	old = f->ix;
	int result = index_open(f);

	if (result != 0)
		return result > 0 ? INDEX_DAMAGED : INDEX_UNREAD;
	if (f->ix.h.uidvalidity != old.h.uidvalidity) {
		/* Made anew under another UIDVALIDITY: nothing that this session knows holds any
		 * more. */
		index_close(&f->ix);
		f->ix = old;
		return INDEX_OTHER;
	}
	/* A file that was put back from a backup knows of fewer UIDs than were shown here. */
	if (f->ix.h.uidnext < old.h.uidnext) {
		f->ix.h.uidnext = old.h.uidnext;
		f->must_scan = true;
	}
	index_load_all(f);
	/* Before the merge: the log of a file that was made anew tells of messages that this view
	 * has. */
	index_read_log(f, true);
	merge(f, &old);
	index_close(&old);
	return INDEX_MERGED;
}
