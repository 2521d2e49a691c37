/* SPDX-License-Identifier: ISC */
#include "lib/conf/map.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/sum.h"
#include "lib/base/file.h"

enum { HEADER_TABLES = 256, HEADER_BYTES = HEADER_TABLES * 8, SLOT_BYTES = 8 };

static const char trailer_magic[8] = "phsum 2\n", old_magic[8] = "phsum 1\n";

struct trailer {
	char magic[sizeof trailer_magic];
	uint64_t generation, length, sum; /* little-endian */
};

/* Of before there were names and numbers in the sum. */
struct old_trailer {
	char magic[sizeof old_magic];
	uint64_t length, sum;
};

static_assert(sizeof(struct trailer) == MAP_TRAILER_BYTES && sizeof(struct old_trailer) == 24,
              "the trailers have no holes");

/* What the trailer's sum has beside that of the body. */
static uint64_t sum_of_rest(const struct trailer *t, const char *name)
{
	struct {
		uint64_t generation, length;
		char name[64];
	} rest = { .generation = t->generation, .length = t->length };

	string_put(rest.name, sizeof rest.name, view_of(name));
	return sum64((struct view){ (const char *)&rest, sizeof rest });
}

static struct trailer trailer_of(struct view body, const char *name, uint64_t generation)
{
	struct trailer t = { .generation = htole64(generation), .length = htole64(body.len) };

	t.sum = htole64(sum64(body) ^ sum_of_rest(&t, name));
	memcpy(t.magic, trailer_magic, sizeof t.magic);
	return t;
}

static uint64_t u32_at(struct view file, size_t at)
{
	uint32_t number;

	memcpy(&number, file.data + at, sizeof number);
	return le32toh(number);
}

/* Where the last of the hash tables ends, by the header. */
static uint64_t tables_end(struct view file)
{
	uint64_t end = HEADER_BYTES;

	for (size_t at = 0; at < HEADER_BYTES; at += 8) {
		uint64_t table_end = u32_at(file, at) + SLOT_BYTES * u32_at(file, at + 4);

		end = table_end > end ? table_end : end;
	}
	return end;
}

static bool has_magic(struct view file, size_t trailer_len, const char magic[8])
{
	return file.len >= HEADER_BYTES + trailer_len &&
	       memcmp(file.data + file.len - trailer_len, magic, sizeof trailer_magic) == 0;
}

static int verify_old(struct view file, struct reason *why)
{
	struct old_trailer found;
	struct view body = view_take(file, file.len - sizeof found);

	memcpy(&found, file.data + body.len, sizeof found);
	if (found.length != htole64(body.len) || found.sum != htole64(sum64(body)))
		return fail(why, "damaged: its checksum does not match");
	return 0;
}

/* whole: so it was when it was last written. */
static int verify(struct map *m, struct view file, const char *name, bool whole, struct reason *why)
{
	struct trailer found, right;

	if (file.len < HEADER_BYTES)
		return fail(why, "damaged: it is too short");
	if (has_magic(file, sizeof(struct old_trailer), old_magic))
		return verify_old(file, why);
	if (!has_magic(file, sizeof found, trailer_magic))
		return tables_end(file) == file.len
		               ? 0
		               : fail(why, "damaged: it does not end where it should");
	struct view body = view_take(file, file.len - sizeof found);

	memcpy(&found, file.data + body.len, sizeof found);
	m->generation = le64toh(found.generation);
	m->sum = le64toh(found.sum);
	if (whole)
		return 0;
	right = trailer_of(body, name, m->generation);
	if (found.length != right.length || found.sum != right.sum)
		return fail(why, "damaged, or another file: its checksum does not match");
	return 0;
}

bool map_identify(int fd, struct map_identity *out)
{
	struct stat st;

	*out = (struct map_identity){ 0 };
	if (fstat(fd, &st) != 0)
		return false;
	*out = (struct map_identity){ .device = st.st_dev,
		                      .inode = st.st_ino,
		                      .size = (uint64_t)st.st_size,
		                      .mtime_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000 +
		                                  (uint64_t)st.st_mtim.tv_nsec };
	return true;
}

bool map_same_identity(const struct map_identity *a, const struct map_identity *b)
{
	return a->inode != 0 && a->device == b->device && a->inode == b->inode &&
	       a->size == b->size && a->mtime_ns == b->mtime_ns;
}

int map_open(struct map *m, int fd, const char *name, struct reason *why)
{
	return map_open_known(m, fd, name, NULL, why);
}

int map_open_known(struct map *m, int fd, const char *name, const struct map_identity *known,
                   struct reason *why)
{
	*m = (struct map){ .damaged_fd = -1 };
	bool whole = map_identify(fd, &m->identity) && known != NULL &&
	             map_same_identity(known, &m->identity);

	if (cdb_init(&m->cdb, fd) != 0)
		return errno == MAP_ERRNO_DAMAGED ? fail(why, "damaged: it is too short")
		                                  : fail_errno(why, "open a compiled map");
	if (verify(m, (struct view){ (const char *)m->cdb.cdb_mem, m->cdb.cdb_fsize }, name, whole,
	           why) != 0) {
		cdb_free(&m->cdb);
		errno = MAP_ERRNO_DAMAGED;
		return -1;
	}
	m->summed = m->whole = !whole;
	map_rewind(m);
	return 0;
}

int map_verify(const struct map *m, const char *name, struct reason *why)
{
	struct map again = { .damaged_fd = -1 };
	const struct view file = { (const char *)m->cdb.cdb_mem, m->cdb.cdb_fsize };

	errno = MAP_ERRNO_DAMAGED;
	return verify(&again, file, name, false, why);
}

void map_open_damaged(struct map *m, int fd)
{
	*m = (struct map){ .damaged_fd = fd };
}

static bool is_damaged(const struct map *m)
{
	return m->cdb.cdb_mem == NULL;
}

void map_lay(struct map *m, const struct map *overlay)
{
	map_unlay(m);
	m->over = overlay->cdb;
	map_rewind(m);
}

void map_unlay(struct map *m)
{
	map_rewind(m);
	if (m->over.cdb_mem == NULL)
		return;
	close(cdb_fileno(&m->over));
	cdb_free(&m->over);
	m->over = (struct cdb){ .cdb_fd = -1 };
}

bool map_has_overlay(const struct map *m)
{
	return m->over.cdb_mem != NULL;
}

void map_release(struct map *m)
{
	map_unlay(m);
	if (!is_damaged(m))
		cdb_free(&m->cdb);
}

void map_close(struct map *m)
{
	int fd = is_damaged(m) ? m->damaged_fd : cdb_fileno(&m->cdb);

	map_release(m);
	close(fd);
}

bool map_is_of(const struct map *m, int fd)
{
	struct map_identity other;

	return !is_damaged(m) && map_identify(fd, &other) &&
	       map_same_identity(&m->identity, &other);
}

int map_seal(int fd, const char *name, uint64_t generation, uint64_t *sum, struct reason *why)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return fail_errno(why, "look at a compiled map");
	size_t len = (size_t)st.st_size;
	void *memory = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		return fail_errno(why, "map a compiled map");
	struct trailer t = trailer_of((struct view){ memory, len }, name, generation);

	munmap(memory, len);
	*sum = le64toh(t.sum);
	if (lseek(fd, 0, SEEK_END) < 0 || write_whole(fd, &t, sizeof t) != 0)
		return fail_errno(why, "write a compiled map's checksum");
	return 0;
}

bool map_entries_sum(int fd, const char *name, uint64_t *sum)
{
	struct trailer t;
	off_t end = lseek(fd, 0, SEEK_END);

	if (end < (off_t)sizeof t ||
	    pread(fd, &t, sizeof t, end - (off_t)sizeof t) != (ssize_t)sizeof t ||
	    memcmp(t.magic, trailer_magic, sizeof t.magic) != 0)
		return false;
	*sum = le64toh(t.sum) ^ sum_of_rest(&t, name);
	return true;
}

/* ---- lookups ---- */

static enum map_result find_in(struct cdb *file, struct view key, struct view *value)
{
	int found = cdb_find(file, key.data, (unsigned)key.len);

	if (found == 0)
		return MAP_MISSING;
	const char *data = found > 0 ? cdb_getdata(file) : NULL;

	if (data == NULL)
		return MAP_DAMAGED;
	*value = (struct view){ data, cdb_datalen(file) };
	return MAP_FOUND;
}

static enum map_result take_mark(enum map_mark *mark, struct view *value)
{
	if (value->len == 0)
		return MAP_DAMAGED;
	*mark = (enum map_mark)value->data[0];
	*value = view_skip(*value, 1);
	return MAP_FOUND;
}

static enum map_result find_mark(struct cdb *over, struct view key, enum map_mark *mark,
                                 struct view *value)
{
	enum map_result result = over->cdb_mem != NULL ? find_in(over, key, value) : MAP_MISSING;

	return result == MAP_FOUND ? take_mark(mark, value) : result;
}

enum map_result map_mark_of(struct map *m, struct view key, enum map_mark *mark, struct view *value)
{
	return find_mark(&m->over, key, mark, value);
}

enum map_result map_get(struct map *m, struct view key, struct view *value)
{
	enum map_mark mark;

	if (is_damaged(m))
		return MAP_DAMAGED;
	if (key.len > MAP_KEY_MAX)
		return MAP_MISSING;
	enum map_result result = find_mark(&m->over, key, &mark, value);

	if (result == MAP_MISSING)
		return find_in(&m->cdb, key, value);
	return result == MAP_FOUND && mark == MAP_GONE ? MAP_MISSING : result;
}

size_t map_base_count(const struct map *m)
{
	struct view file = { (const char *)m->cdb.cdb_mem, m->cdb.cdb_fsize };
	uint64_t slots = 0;

	for (size_t at = 0; !is_damaged(m) && at < HEADER_BYTES; at += 8)
		slots += u32_at(file, at + 4);
	return slots / 2; /* half of them are empty */
}

enum map_result map_get_lower(struct map *m, struct view prefix, struct view key,
                              struct view *value)
{
	char lower[MAP_KEY_MAX];

	if (prefix.len > sizeof lower || key.len > sizeof lower - prefix.len)
		return MAP_MISSING;
	for (size_t i = 0; i < prefix.len; i++)
		lower[i] = prefix.data[i];
	for (size_t i = 0; i < key.len; i++)
		lower[prefix.len + i] = byte_lower(key.data[i]);
	return map_get(m, (struct view){ lower, prefix.len + key.len }, value);
}

enum map_result map_widen(map_getter *get, void *context, struct view address, struct view *value)
{
	struct view domain = address_domain(address);
	enum map_result result = MAP_MISSING;

	if (domain.len != address.len)
		result = get(context, address, value);
	if (result == MAP_MISSING)
		result = get(context, domain, value);
	while (result == MAP_MISSING && domain.len) {
		domain = view_skip(domain, 1);
		domain = view_skip(domain, view_find(domain, '.'));
		if (domain.len)
			result = get(context, domain, value);
	}
	return result == MAP_MISSING ? get(context, VIEW("*"), value) : result;
}

struct widening {
	struct map *map;
	struct view prefix;
};

static enum map_result get_prefixed(void *context, struct view key, struct view *value)
{
	const struct widening *w = context;

	return map_get_lower(w->map, w->prefix, key, value);
}

enum map_result map_get_widening(struct map *m, struct view prefix, struct view address,
                                 struct view *value)
{
	struct widening w = { m, prefix };

	return map_widen(get_prefixed, &w, address, value);
}

/* ---- one after the other ---- */

void map_rewind(struct map *m)
{
	cdb_seqinit(&m->position, &m->cdb);
	if (m->over.cdb_mem != NULL)
		cdb_seqinit(&m->over_position, &m->over);
}

static enum map_result next_in(struct cdb *file, unsigned *position, struct view *key,
                               struct view *value)
{
	int more = file->cdb_mem != NULL ? cdb_seqnext(position, file) : 0;

	if (more == 0)
		return MAP_MISSING;
	const char *key_data = more > 0 ? cdb_getkey(file) : NULL;
	const char *data = more > 0 ? cdb_getdata(file) : NULL;

	if (key_data == NULL || data == NULL)
		return MAP_DAMAGED;
	*key = (struct view){ key_data, cdb_keylen(file) };
	*value = (struct view){ data, cdb_datalen(file) };
	return MAP_FOUND;
}

/* The next of the first file that is still there, as it is now. */
static enum map_result next_of_base(struct map *m, struct view *key, struct view *value)
{
	enum map_result result;

	while ((result = next_in(&m->cdb, &m->position, key, value)) == MAP_FOUND) {
		enum map_mark mark = MAP_CHANGED;
		struct view instead;
		enum map_result over = find_mark(&m->over, *key, &mark, &instead);

		if (over == MAP_FOUND && mark == MAP_CHANGED)
			*value = instead;
		if (over == MAP_DAMAGED || mark == MAP_CHANGED)
			return over == MAP_DAMAGED ? over : result;
	}
	return result;
}

enum map_result map_next_change(struct map *m, struct view *key, enum map_mark *mark,
                                struct view *value)
{
	enum map_result result = next_in(&m->over, &m->over_position, key, value);

	return result == MAP_FOUND ? take_mark(mark, value) : result;
}

static enum map_result next_added(struct map *m, struct view *key, struct view *value)
{
	enum map_mark mark = MAP_ADDED;
	enum map_result result;

	do {
		result = map_next_change(m, key, &mark, value);
	} while (result == MAP_FOUND && mark != MAP_ADDED);
	return result;
}

enum map_result map_next(struct map *m, struct view *key, struct view *value)
{
	if (is_damaged(m))
		return MAP_DAMAGED;
	enum map_result result = next_of_base(m, key, value);

	return result == MAP_MISSING ? next_added(m, key, value) : result;
}
