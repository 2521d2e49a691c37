/* SPDX-License-Identifier: ISC */
/* A message's file, its size as IMAP and POP3 count it, and its bytes with CRLF. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/store/internal.h"

enum { READ_CHUNK = 65536, MAP_FROM = 256 * 1024 };

/* Counts the LF without CR; the wire size is that much larger. */
bool measure_lines(int fd, uint64_t *file_size, uint64_t *wire_size)
{
	char *buffer = memory_get(READ_CHUNK), last = 0;
	uint64_t at = 0, bare = 0;
	ssize_t got;

	while ((got = file_read_some_at(fd, buffer, READ_CHUNK, at)) > 0) {
		const char *end = buffer + got;

		for (const char *p = buffer; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
			bare += (p > buffer ? p[-1] : last) != '\r';
		last = end[-1];
		at += (uint64_t)got;
	}
	free(buffer);
	*file_size = at;
	*wire_size = at + bare;
	return got == 0;
}

static int open_regular(int dir, const char *name, struct stat *st)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -1;
	/* What is there and is no file is no message; what cannot be looked at may be one. */
	int error = fstat(fd, st) < 0 ? errno : S_ISREG(st->st_mode) ? 0 : ENOENT;

	if (error == 0)
		return fd;
	close(fd);
	errno = error;
	return -1;
}

static int open_by_record(struct folder *f, uint32_t seq, struct stat *st)
{
	const struct record *r = record_at(f, seq - 1);
	char name[NAME_BYTES_MAX + 1];

	/* One that others removed is served for as long as its file is there. */
	if (!record_name(f, r, name)) {
		errno = ENOENT;
		return -1;
	}
	return open_regular(f->cur, name, st);
}

static enum store_result gone(const struct folder *f, struct reason *why)
{
	if (f->ix.lost)
		return fail_lost(why);
	fail(why, "the message has been removed");
	return STORE_GONE;
}

/* A name that leads nowhere: another session or program renamed or removed the file. */
enum store_result open_message_file(struct folder *f, uint32_t seq, int *fd, struct stat *st,
                                    struct reason *why)
{
	*fd = -1;
	if (seq < 1 || seq > f->told_count)
		return gone(f, why);
	uint32_t uid = record_at(f, seq - 1)->uid;

	*fd = open_by_record(f, seq, st);
	if (*fd < 0 && errno == ENOENT && !(record_at(f, seq - 1)->state & RECORD_GONE)) {
		enum store_result result = folder_refresh(f, why);

		if (result == STORE_OK && (*fd = open_by_record(f, seq, st)) < 0 &&
		    errno == ENOENT && !(record_at(f, seq - 1)->state & RECORD_GONE)) {
			f->must_scan = true;
			result = folder_refresh(f, why);
			if (result == STORE_OK)
				*fd = open_by_record(f, seq, st);
		}
		if (result != STORE_OK)
			return result;
	}
	if (*fd >= 0)
		return STORE_OK;
	if (errno == ENOENT)
		return gone(f, why);
	fail_errno(why, "open message %u", (unsigned)uid);
	return STORE_FAILED;
}

/* ---- size and date ---- */

/* What the names do not say is kept in the index, once it is known. */
static void remember(struct folder *f, const struct record *r)
{
	struct log_meta l = { .uid = r->uid,
		              .state = r->state & RECORD_STORED,
		              .size = r->size,
		              .date_s = r->date_s };

	/* What finds no room is found out again. */
	if (text_has_room(&f->pending_meta, sizeof l))
		text_add(&f->pending_meta, (struct view){ (char *)&l, sizeof l });
}

static enum store_result learn(struct folder *f, uint32_t seq, struct reason *why)
{
	struct stat st;
	uint64_t file_size, wire_size;
	int fd;
	enum store_result result = open_message_file(f, seq, &fd, &st, why);

	if (result != STORE_OK)
		return result;
	struct record *r = record_at(f, seq - 1);

	r->date_s = st.st_mtim.tv_sec;
	r->state |= RECORD_HAS_DATE;
	if (!(r->state & RECORD_HAS_SIZE)) {
		if (!measure_lines(fd, &file_size, &wire_size)) {
			fail_errno(why, "read message %u", (unsigned)r->uid);
			close(fd);
			return STORE_FAILED;
		}
		r->size = wire_size;
		r->state = (uint16_t)((r->state & ~RECORD_HAS_LF) | RECORD_HAS_SIZE |
		                      (wire_size != file_size ? RECORD_HAS_LF : 0));
	}
	close(fd);
	remember(f, r);
	return STORE_OK;
}

bool folder_file_bytes(struct folder *f, uint32_t seq, uint64_t *bytes)
{
	char name[NAME_BYTES_MAX + 1];
	struct stat st;

	if (seq < 1 || seq > f->told_count || !record_name(f, record_at(f, seq - 1), name) ||
	    fstatat(f->cur, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	*bytes = (uint64_t)st.st_size;
	return true;
}

enum store_result folder_message(struct folder *f, uint32_t seq, unsigned want,
                                 struct store_message *out, struct reason *why)
{
	enum store_result result = STORE_OK;

	*out = (struct store_message){ 0 };
	if (seq < 1 || seq > f->told_count)
		return gone(f, why);
	const struct record *r = record_at(f, seq - 1);

	if (f->ix.lost)
		return fail_lost(why);
	if ((want & STORE_WANT_SIZE && !(r->state & RECORD_HAS_SIZE)) ||
	    (want & STORE_WANT_DATE && !(r->state & RECORD_HAS_DATE)))
		result = learn(f, seq, why);
	r = record_at(f, seq - 1);
	*out = (struct store_message){ .uid = r->uid,
		                       .flags = record_flags(r),
		                       .keywords = r->keywords,
		                       .recent = (r->state & RECORD_RECENT) != 0,
		                       .modseq = r->modseq,
		                       .size = r->size,
		                       .date_s = r->date_s };
	return result;
}

/* ---- bytes ---- */

/* to has room for twice the length. */
static uint64_t to_crlf(const char *from, uint64_t length, char *to)
{
	uint64_t used = 0;

	for (uint64_t i = 0; i < length; i++) {
		if (from[i] == '\n' && (i == 0 || from[i - 1] != '\r'))
			to[used++] = '\r';
		to[used++] = from[i];
	}
	return used;
}

static enum store_result read_file(const struct message *m, char *out, uint64_t len, uint64_t at,
                                   struct reason *why)
{
	enum file_result result = file_read_at(m->fd, out, len, at);

	if (result == FILE_WHOLE)
		return STORE_OK;
	fail(why, "read message: %s", file_result_text(result));
	return STORE_FAILED;
}

static uint64_t count_bare(const char *bytes, uint64_t length)
{
	const char *end = bytes + length;
	uint64_t bare = 0;

	for (const char *p = bytes; p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL;
	     p++)
		bare += p == bytes || p[-1] != '\r';
	return bare;
}

/* The size follows from the bytes: whether one of them has been rewritten in place, its file's size
 * does not tell. */
static enum store_result convert(struct message *m, struct reason *why)
{
	char *raw = memory_get(m->file_size + 1);

	if (read_file(m, raw, m->file_size, 0, why) != STORE_OK) {
		free(raw);
		return STORE_FAILED;
	}
	m->size = m->file_size + count_bare(raw, m->file_size);
	m->bytes = memory_get(m->size + 1);
	to_crlf(raw, m->file_size, m->bytes);
	free(raw);
	return STORE_OK;
}

/* A record that the file contradicts (a name with a false W=, a file rewritten in place) is learnt
 * anew. With LF its bytes alone can tell. */
static enum store_result check_record(struct folder *f, uint32_t seq, struct message *m,
                                      struct reason *why)
{
	struct record *r = record_at(f, seq - 1);
	bool agrees = r->state & RECORD_HAS_LF ? m->file_size < r->size : m->file_size == r->size;

	if (!(r->state & RECORD_HAS_SIZE) || !agrees) {
		r->state &= (uint16_t)~RECORD_HAS_SIZE;
		enum store_result result = learn(f, seq, why);

		if (result != STORE_OK)
			return result;
		r = record_at(f, seq - 1);
	}
	m->size = r->size;
	m->converts = (r->state & RECORD_HAS_LF) != 0;
	return STORE_OK;
}

/* What is converted is read as a whole in any case, and so at once. */
static enum store_result check_converted(struct folder *f, uint32_t seq, struct message *m,
                                         struct reason *why)
{
	enum store_result result = convert(m, why);
	struct record *r = record_at(f, seq - 1);

	if (result == STORE_OK && m->size != r->size) {
		r->size = m->size;
		if (m->size == m->file_size)
			r->state &= (uint16_t)~RECORD_HAS_LF;
		remember(f, r);
	}
	return result;
}

enum store_result message_open(struct folder *f, uint32_t seq, struct message *m,
                               struct reason *why)
{
	struct stat st;
	enum store_result result;

	*m = (struct message){ .fd = -1 };
	result = open_message_file(f, seq, &m->fd, &st, why);
	if (result == STORE_OK) {
		m->file_size = (uint64_t)st.st_size;
		result = check_record(f, seq, m, why);
	}
	if (result == STORE_OK && m->converts)
		result = check_converted(f, seq, m, why);
	if (result != STORE_OK)
		message_close(m);
	return result;
}

void message_close(struct message *m)
{
	if (m->fd >= 0)
		close(m->fd);
	if (m->is_map)
		munmap(m->bytes, m->mapped);
	else
		free(m->bytes);
	*m = (struct message){ .fd = -1 };
}

static enum store_result load(struct message *m, struct reason *why)
{
	if (m->size >= MAP_FROM) {
		void *map = mmap(NULL, m->size, PROT_READ, MAP_PRIVATE, m->fd, 0);

		if (map != MAP_FAILED) {
			m->bytes = map;
			m->mapped = m->size;
			m->is_map = true;
			return STORE_OK;
		}
	}
	m->bytes = memory_get(m->size + 1);
	return read_file(m, m->bytes, m->size, 0, why);
}

enum store_result message_view(struct message *m, struct view *out, struct reason *why)
{
	*out = (struct view){ "", 0 };
	if (m->bytes == NULL) {
		enum store_result result = load(m, why);

		/* What was half read is not there for whoever asks again. */
		if (result != STORE_OK) {
			free(m->bytes);
			m->bytes = NULL;
			return result;
		}
	}
	*out = (struct view){ m->bytes, m->size };
	return STORE_OK;
}

enum store_result message_read(struct message *m, uint64_t offset, size_t max, struct text *out,
                               struct reason *why)
{
	size_t len = offset >= m->size        ? 0
	             : m->size - offset < max ? (size_t)(m->size - offset)
	                                      : max;
	struct view all;

	text_clear(out);
	if (m->bytes != NULL) {
		enum store_result result = message_view(m, &all, why);

		if (result == STORE_OK)
			text_add(out, view_take(view_skip(all, offset), len));
		return result;
	}
	char *room = text_reserve(out, len);

	if (room == NULL) {
		fail(why, "no room for %zu bytes of a message", len);
		return STORE_FAILED;
	}
	if (read_file(m, room, len, offset, why) != STORE_OK)
		return STORE_FAILED;
	out->len += len;
	room[len] = '\0';
	return STORE_OK;
}
