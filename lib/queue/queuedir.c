/* SPDX-License-Identifier: ISC */
#include "lib/queue/queuedir.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/file.h"

static const char *const places[] = { "", "damaged", "torn" };

void queuedir_name(uint64_t id, char out[QUEUEDIR_NAME_MAX])
{
	unsigned directory = queue_id_directory(id);

	out[0] = hex_digits[directory >> 4];
	out[1] = hex_digits[directory & 15];
	out[2] = '/';
	queue_id_text(id, out + 3);
}

/* A message's name; what was set aside twice has a number behind it. */
static bool read_id(struct view name, bool aside, uint64_t *id)
{
	if (aside && name.len > QUEUE_ID_CHARS && name.data[QUEUE_ID_CHARS] == '.' &&
	    view_find(name, '/') == name.len)
		name = view_take(name, QUEUE_ID_CHARS);
	return queue_id_parse(name, id);
}

bool queuedir_parse(const char *name, uint64_t *id, bool *aside)
{
	struct view rest = view_of(name), place;

	if (!view_cut(&rest, '/', &place))
		return false;
	*aside = view_equal(place, view_of(places[QUEUEDIR_DAMAGED])) ||
	         view_equal(place, view_of(places[QUEUEDIR_TORN]));

	if (!*aside && (place.len != 2 || byte_hex_value(place.data[0]) < 0 ||
	                byte_hex_value(place.data[1]) < 0))
		return false;
	return read_id(rest, *aside, id);
}

int queuedir_make_live(int fd)
{
	static const char live = QUEUE_LIVE;

	return pwrite_whole(fd, &live, 1, QUEUE_STATE_OFFSET);
}

/* ---- files ---- */

/* Without noting when it was read, which is a write for each message: the owner may say so. */
int queuedir_open_known(int directory, const char *name, int flags)
{
	int all = flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	int fd = openat(directory, name, all | O_NOATIME, 0 /* nothing is made */);

	return fd < 0 && errno == EPERM ? openat(directory, name, all, 0) : fd;
}

int queuedir_open_sized(int directory, const char *name, int flags, uint64_t *size)
{
	struct stat st;
	int fd = queuedir_open_known(directory, name, flags);

	if (fd < 0)
		return -1;
	int error = fstat(fd, &st) < 0 ? errno : S_ISREG(st.st_mode) ? 0 : ENXIO;

	*size = (uint64_t)st.st_size;
	if (error == 0)
		return fd;
	close(fd);
	errno = error;
	return -1;
}

int queuedir_open(int directory, const char *name, int flags)
{
	uint64_t size;

	return queuedir_open_sized(directory, name, flags, &size);
}

/* A link; a socket, a FIFO, a device; a directory that was to be written. */
bool queuedir_is_stray(int error)
{
	return error == ELOOP || error == ENXIO || error == ENODEV || error == EISDIR;
}

const char *queuedir_error(int error)
{
	return queuedir_is_stray(error) ? "not a regular file" : strerror(error);
}

static bool same_file(int directory, const char *a, const char *b)
{
	struct stat one, other;

	return fstatat(directory, a, &one, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(directory, b, &other, AT_SYMLINK_NOFOLLOW) == 0 &&
	       one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

/* Two steps where the file system cannot rename without replacing. A crash between them leaves the
 * file with both names: the first one goes when it is moved again. */
int queuedir_give_name(int directory, const char *from, const char *to)
{
	if (renameat2(directory, from, directory, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS && errno != EEXIST)
		return -1;
	if (linkat(directory, from, directory, to, 0) < 0 &&
	    (errno != EEXIST || !same_file(directory, from, to)))
		return -1;
	return unlinkat(directory, from, 0);
}

int queuedir_move(int directory, const char *from, enum queuedir_place place,
                  char to[QUEUEDIR_NAME_MAX])
{
	enum { NAMES = 100 };
	const char *slash = strrchr(from, '/'), *name = slash ? slash + 1 : from;

	for (unsigned i = 0; i < NAMES; i++) {
		bool fits =
			i == 0 ? string_format(to, QUEUEDIR_NAME_MAX, "%s/%s", places[place], name)
			       : string_format(to, QUEUEDIR_NAME_MAX, "%s/%s.%u", places[place],
		                               name, i);

		if (!fits) {
			errno = ENAMETOOLONG;
			return -1;
		}
		if (queuedir_give_name(directory, from, to) == 0)
			return 0;
		if (errno != EEXIST)
			return -1;
	}
	return -1;
}

/* ---- the secret ---- */

int queuedir_secret(int directory, struct queue_key *key, struct reason *why)
{
	unsigned char secret[QUEUE_SECRET_BYTES];
	int fd = queuedir_open(directory, "secret", O_RDONLY);

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return fail(why, "reading the queue's secret: %s", queuedir_error(errno));
	enum file_result got = file_read_at(fd, secret, sizeof secret, 0);
	int result = 1;

	if (got == FILE_FAILED)
		result = fail_errno(why, "reading the queue's secret");
	else if (got != FILE_WHOLE)
		result = fail(
			why,
			"the queue's secret is damaged: without it no queue file can be trusted; "
			"restore it, or remove it and see queue check in posthouse(8)");
	close(fd);
	if (result == 1)
		queue_key_derive(key, secret);
	sodium_memzero(secret, sizeof secret);
	return result;
}

bool queuedir_secret_is_lost(int directory, const struct queue_key *key)
{
	struct queue_key found;
	struct reason why;

	errno = 0;
	int there = queuedir_secret(directory, &found, &why);
	bool is_wrong = there > 0 && (memcmp(found.seal, key->seal, sizeof found.seal) != 0 ||
	                              memcmp(found.log, key->log, sizeof found.log) != 0);

	sodium_memzero(&found, sizeof found);
	return is_wrong || there == 0 || (there < 0 && (errno == 0 || queuedir_is_stray(errno)));
}

int queuedir_make_secret(int directory, struct queue_key *key, struct reason *why)
{
	unsigned char secret[QUEUE_SECRET_BYTES];

	randombytes_buf(secret, sizeof secret);
	int made = file_replace(directory, "secret", secret, sizeof secret), error = errno;

	queue_key_derive(key, secret);
	sodium_memzero(secret, sizeof secret);
	errno = error;
	return made == 0 ? 0 : fail_errno(why, "writing the queue's secret");
}

/* ---- what is there ---- */

struct survey {
	int directory;
	struct queuedir_entry entry;
	bool (*visit)(void *context, const struct queuedir_entry *e);
	void *context;
};

static enum queuedir_kind kind_of(const struct survey *w, const struct dirent *d, uint64_t *id)
{
	*id = 0;
	if (d->d_type != DT_REG && d->d_type != DT_UNKNOWN)
		return QUEUEDIR_STRAY;
	if (!read_id(view_of(d->d_name), w->entry.place != QUEUEDIR_LIVE, id))
		return QUEUEDIR_STRAY;
	return w->entry.place == QUEUEDIR_LIVE && queue_id_directory(*id) != w->entry.number
	               ? QUEUEDIR_MISPLACED
	               : QUEUEDIR_MESSAGE;
}

/* false: enough was seen. */
static bool walk_one(struct survey *w, const char *name)
{
	const struct dirent *d;
	struct walk walk;
	bool more = true;

	walk_begin(&walk, w->directory, name);
	while (more && (d = walk_next(&walk)) != NULL) {
		if (d->d_name[0] == '.')
			continue;
		w->entry.kind = kind_of(w, d, &w->entry.id);
		string_print(w->entry.name, sizeof w->entry.name, "%s/%s", name, d->d_name);
		more = w->visit(w->context, &w->entry);
	}
	/* One that was never made is empty. */
	if (walk_end(&walk) == 0 || errno == ENOENT || !more)
		return more;
	w->entry.kind = QUEUEDIR_UNREADABLE;
	w->entry.error = errno;
	string_print(w->entry.name, sizeof w->entry.name, "%s", name);
	return w->visit(w->context, &w->entry);
}

void queuedir_walk(int directory, enum queuedir_place place,
                   bool (*visit)(void *context, const struct queuedir_entry *e), void *context)
{
	struct survey w = { .directory = directory, .visit = visit, .context = context };
	bool more = true;
	char name[8];

	w.entry.place = place;
	if (place != QUEUEDIR_LIVE) {
		walk_one(&w, places[place]);
		return;
	}
	for (; more && w.entry.number < QUEUEDIR_DIRECTORIES; w.entry.number++) {
		string_print(name, sizeof name, "%02x", w.entry.number);
		more = walk_one(&w, name);
	}
}

/* ---- counting ---- */

static bool count_one(void *context, const struct queuedir_entry *e)
{
	struct control_counts *c = context;

	if (e->kind == QUEUEDIR_UNREADABLE)
		c->unreadable++;
	else if (e->place == QUEUEDIR_DAMAGED)
		c->damaged++;
	else if (e->place == QUEUEDIR_TORN)
		c->torn++;
	else if (e->kind == QUEUEDIR_MISPLACED)
		c->misplaced++;
	else if (e->kind == QUEUEDIR_STRAY)
		c->stray++;
	return true;
}

void queuedir_count_aside(int directory, struct control_counts *out)
{
	*out = (struct control_counts){ 0 };
	queuedir_walk(directory, QUEUEDIR_DAMAGED, count_one, out);
	queuedir_walk(directory, QUEUEDIR_TORN, count_one, out);
}

void queuedir_count(int directory, struct control_counts *out)
{
	queuedir_count_aside(directory, out);
	queuedir_walk(directory, QUEUEDIR_LIVE, count_one, out);
}
