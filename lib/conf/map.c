/* SPDX-License-Identifier: ISC */
#include "lib/conf/map.h"

#include <unistd.h>

int map_open(struct map *m, int fd, struct reason *why)
{
	if (cdb_init(&m->cdb, fd) != 0)
		return fail_errno(why, "open a compiled map");
	map_rewind(m);
	return 0;
}

void map_close(struct map *m)
{
	cdb_free(&m->cdb);
	close(cdb_fileno(&m->cdb));
}

enum map_result map_get(struct map *m, struct view key, struct view *value)
{
	if (key.len > MAP_KEY_MAX)
		return MAP_MISSING;
	int found = cdb_find(&m->cdb, key.data, (unsigned)key.len);

	if (found == 0)
		return MAP_MISSING;
	const char *data = found > 0 ? cdb_getdata(&m->cdb) : NULL;

	if (data == NULL)
		return MAP_DAMAGED;
	*value = (struct view){ data, cdb_datalen(&m->cdb) };
	return MAP_FOUND;
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

void map_rewind(struct map *m)
{
	cdb_seqinit(&m->position, &m->cdb);
}

enum map_result map_next(struct map *m, struct view *key, struct view *value)
{
	int more = cdb_seqnext(&m->position, &m->cdb);

	if (more == 0)
		return MAP_MISSING;
	const char *key_data = more > 0 ? cdb_getkey(&m->cdb) : NULL;
	const char *data = more > 0 ? cdb_getdata(&m->cdb) : NULL;

	if (key_data == NULL || data == NULL)
		return MAP_DAMAGED;
	*key = (struct view){ key_data, cdb_keylen(&m->cdb) };
	*value = (struct view){ data, cdb_datalen(&m->cdb) };
	return MAP_FOUND;
}
