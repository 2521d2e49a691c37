/* SPDX-License-Identifier: ISC */
#include "lib/conf/mapsure.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

enum { TABLES = 256, HEADER_BYTES = TABLES * 8, SLOT_BYTES = 8, RECORD_BYTES = 8, SECTOR = 512 };

/* A hash table within a file: where it begins, and its slots. */
struct table {
	struct view file;
	uint32_t number;
	uint64_t at, slots;
};

static uint32_t u32_at(struct view file, uint64_t at)
{
	uint32_t number;

	memcpy(&number, file.data + at, sizeof number);
	return le32toh(number);
}

/* The tables stand one behind the other, up to the end. */
static bool find_table(struct view file, uint32_t number, struct table *out)
{
	uint64_t row = (uint64_t)number * SLOT_BYTES;

	if (file.len < HEADER_BYTES)
		return false;
	*out = (struct table){ file, number, u32_at(file, row), u32_at(file, row + 4) };
	uint64_t end = number + 1 < TABLES ? u32_at(file, row + SLOT_BYTES) : file.len;

	return out->at >= HEADER_BYTES && end <= file.len &&
	       out->at + SLOT_BYTES * out->slots == end;
}

static bool record_at(struct view file, uint64_t at, struct view *key, struct view *value)
{
	if (at < HEADER_BYTES || at + RECORD_BYTES > file.len)
		return false;
	uint64_t key_len = u32_at(file, at), value_len = u32_at(file, at + 4);

	if (key_len + value_len > file.len - at - RECORD_BYTES)
		return false;
	*key = (struct view){ file.data + at + RECORD_BYTES, key_len };
	*value = (struct view){ key->data + key_len, value_len };
	return true;
}

/* A page that was lost reads as zeros; of slots half are in use, and here there are 64. */
static bool is_hole(struct view file, uint64_t at)
{
	static const char zeros[SECTOR];
	uint64_t from = at - at % SECTOR;

	return file.len - from >= SECTOR && memcmp(file.data + from, zeros, SECTOR) == 0;
}

/* The record of a slot; MAP_MISSING: it is an empty one. */
static enum map_result look_at(const struct table *t, uint64_t slot, struct view *key,
                               struct view *value)
{
	uint32_t hash = u32_at(t->file, slot), at = u32_at(t->file, slot + 4);

	if (at == 0)
		return hash == 0 && !is_hole(t->file, slot) ? MAP_MISSING : MAP_DAMAGED;
	return record_at(t->file, at, key, value) && cdb_hash(key->data, key->len) == hash &&
	                       hash % TABLES == t->number
	               ? MAP_FOUND
	               : MAP_DAMAGED;
}

/* What stands before the trailer. */
static struct view tables_of(const struct map *m)
{
	return (struct view){ (const char *)m->cdb.cdb_mem,
		              m->cdb.cdb_fsize - (m->generation ? MAP_TRAILER_BYTES : 0) };
}

static enum map_result find_in_base(const struct map *m, struct view key, struct view *value)
{
	uint32_t hash = cdb_hash(key.data, (unsigned)key.len);
	enum map_result found = MAP_DAMAGED;
	struct table t;
	struct view other;

	if (m->cdb.cdb_mem == NULL || !find_table(tables_of(m), hash % TABLES, &t))
		return MAP_DAMAGED;
	if (t.slots == 0)
		return MAP_MISSING;
	for (uint64_t i = 0, first = hash / TABLES % t.slots; i < t.slots; i++) {
		found = look_at(&t, t.at + (first + i) % t.slots * SLOT_BYTES, &other, value);
		if (found != MAP_FOUND || view_equal(other, key))
			return found;
	}
	return MAP_DAMAGED; /* it would have an empty one */
}

enum map_result mapsure_in_base(const struct map *m, struct view key)
{
	struct view value;

	return find_in_base(m, key, &value);
}

enum map_result mapsure_judge(struct map *m, struct view key, struct view *value)
{
	enum map_mark mark;
	enum map_result over = map_mark_of(m, key, &mark, value);

	if (key.len > MAP_KEY_MAX)
		return MAP_MISSING;
	if (over == MAP_MISSING)
		return find_in_base(m, key, value);
	return over == MAP_FOUND && mark == MAP_GONE ? MAP_MISSING : over;
}

enum map_result mapsure_has(struct map *m, struct view key)
{
	struct view value;

	return mapsure_judge(m, key, &value);
}

bool mapsure_sums(struct map *m, enum map_id id)
{
	char name[MAPTABLE_FILE_NAME_MAX];

	maptable_compiled_file(id, name);
	if (!m->summed)
		m->whole = map_verify(m, name, NULL) == 0;
	m->summed = true;
	if (!m->whole)
		errno = MAP_ERRNO_DAMAGED;
	return m->whole;
}

enum map_result mapsure_get(struct map *m, enum map_id id, struct view key, struct view *value)
{
	enum map_result there = mapsure_judge(m, key, value);

	return there != MAP_FOUND || mapsure_sums(m, id) ? there : MAP_DAMAGED;
}

enum map_result mapsure_next(struct map *m, enum map_id id, struct view *key, struct view *value)
{
	return mapsure_sums(m, id) ? map_next(m, key, value) : MAP_DAMAGED;
}

enum map_result mapsure_place(struct map *m, struct view key, uint64_t *place)
{
	enum map_mark mark = MAP_CHANGED;
	struct view value;
	enum map_result found = mapsure_judge(m, key, &value);

	if (found != MAP_FOUND)
		return found;
	if (map_mark_of(m, key, &mark, &value) == MAP_FOUND && mark == MAP_ADDED) {
		*place = m->cdb.cdb_fsize + (uint64_t)(value.data - (const char *)m->over.cdb_mem);
		return MAP_FOUND;
	}
	found = find_in_base(m, key, &value);
	if (found == MAP_FOUND)
		*place = (uint64_t)(value.data - (const char *)m->cdb.cdb_mem);
	return found == MAP_FOUND ? found : MAP_DAMAGED;
}
