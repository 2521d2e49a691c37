/* SPDX-License-Identifier: ISC */
#include "conf/overlay.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/conf/mapsure.h"

static void add(struct overlay *o, enum map_mark mark, struct view key, struct view value)
{
	o->entries = memory_grow_for(o->entries, o->count, sizeof *o->entries);
	o->entries[o->count++] = (struct overlay_entry){ mark, key, value };
	o->bytes += key.len + value.len;
}

/* Where the map's own file does not say whether it has the key there is no overlay. */
static void add_gone(struct overlay *o, struct map *map, struct view key)
{
	enum map_result there = mapsure_in_base(map, key);

	o->damaged = o->damaged || there == MAP_DAMAGED;
	if (there == MAP_FOUND)
		add(o, MAP_GONE, key, VIEW(""));
}

/* What was there keeps its place; one that comes back after it had gone stands behind all. */
static void add_old(struct overlay *o, struct map *map, const struct model_map *changes)
{
	struct view key, value;
	enum map_mark mark;
	enum map_result more;

	map_rewind(map);
	while ((more = map_next_change(map, &key, &mark, &value)) == MAP_FOUND) {
		const struct map_entry *e = hashtable_find(&changes->index, key);

		if (e == NULL)
			add(o, mark, key, value);
		else if (e->line == 0)
			add_gone(o, map, key);
		else if (mark != MAP_GONE)
			add(o, mark, key, e->compiled);
	}
	o->damaged = o->damaged || more == MAP_DAMAGED;
}

static void add_new(struct overlay *o, struct map *map, const struct map_entry *e)
{
	enum map_mark mark = MAP_CHANGED;
	struct view value;
	bool known = map_mark_of(map, e->key, &mark, &value) == MAP_FOUND;

	if (known && mark != MAP_GONE)
		return;
	enum map_result there = known ? MAP_MISSING : mapsure_in_base(map, e->key);

	o->damaged = o->damaged || there == MAP_DAMAGED;
	add(o, there == MAP_MISSING ? MAP_ADDED : MAP_CHANGED, e->key, e->compiled);
}

static void add_those_that_go(struct overlay *o, struct map *map, const struct hashtable *index)
{
	enum map_mark mark;
	struct view value;

	for (size_t i = 0; i < index->size; i++) {
		const struct map_entry *e = index->slots[i].thing;

		if (e != NULL && e->line == 0 &&
		    map_mark_of(map, e->key, &mark, &value) == MAP_MISSING)
			add_gone(o, map, e->key);
	}
}

bool overlay_make(struct overlay *o, struct map *map, const struct model_map *changes)
{
	*o = (struct overlay){ .count = 0 };
	if (changes->index.count > OVERLAY_ENTRIES_MAX)
		return false;
	add_old(o, map, changes);

	for (size_t i = 0; i < changes->count; i++)
		add_new(o, map, changes->entries[i]);
	add_those_that_go(o, map, &changes->index);
	if (!o->damaged && o->count <= OVERLAY_ENTRIES_MAX &&
	    o->count <= map_base_count(map) / OVERLAY_SHARE && o->bytes <= OVERLAY_BYTES_MAX)
		return true;
	overlay_free(o);
	return false;
}

int overlay_write(const struct overlay *o, struct cdb_make *make)
{
	struct text value;
	int result = 0;

	text_init(&value, MODEL_VALUE_MAX + 1);
	for (size_t i = 0; i < o->count && result == 0; i++) {
		const struct overlay_entry *e = &o->entries[i];

		text_clear(&value);
		text_add_byte(&value, (char)e->mark);
		text_add(&value, e->value);
		result = cdb_make_add(make, e->key.data, (unsigned)e->key.len, text_string(&value),
		                      (unsigned)value.len);
	}
	text_free(&value);
	return result;
}

void overlay_free(struct overlay *o)
{
	free(o->entries);
	*o = (struct overlay){ .count = 0 };
}
