/* SPDX-License-Identifier: ISC */
#include "conf/changes.h"

#include <errno.h>
#include <unistd.h>

#include "lib/conf/generation.h"

int changes_open_of(int generation, enum map_id id, struct map *out, struct reason *why)
{
	char name[MAPTABLE_FILE_NAME_MAX];
	struct reason detail;

	maptable_compiled_file(id, name);
	if (maptable_open(generation, id, false, out, &detail) == 0)
		return 0;
	bool mends = errno == MAP_ERRNO_DAMAGED || errno == ENOENT;

	return fail(why, "%s of the current generation is %s%s", name, detail.text,
	            mends ? "; run posthouse build" : "");
}

int changes_open(const struct model *m, enum map_id id, struct map *out, struct reason *why)
{
	int generation = generation_open(m->settings.directory_state, why);

	if (generation < 0)
		return -1;
	int result = changes_open_of(generation, id, out, why);

	close(generation);
	return result;
}

int changes_of_map(const struct model *m, enum map_id id, struct map *compiled,
                   changes_found *found, void *context)
{
	struct view key, value;
	enum map_result more;

	while ((more = map_next(compiled, &key, &value)) == MAP_FOUND) {
		const struct map_entry *e = hashtable_find(&m->maps[id].index, key);

		if (e == NULL || !view_equal(e->compiled, value))
			found(context, id, '-', key, value);
	}
	if (more == MAP_DAMAGED)
		return -1;
	for (size_t i = 0; i < m->maps[id].count; i++) {
		const struct map_entry *e = m->maps[id].entries[i];

		if (map_get(compiled, e->key, &value) != MAP_FOUND ||
		    !view_equal(value, e->compiled))
			found(context, id, '+', e->key, e->compiled);
	}
	return 0;
}

struct counting {
	const struct model *m;
	size_t count;
};

/* A changed entry once, and no index of all (mapbuild.h), which no text has. */
static void count_one(void *context, enum map_id id, char mark, struct view key, struct view value)
{
	struct counting *c = context;
	struct text key_text, value_text;

	if (mark == '-' && hashtable_find(&c->m->maps[id].index, key) != NULL)
		return;
	text_init(&key_text, 1 << 16);
	text_init(&value_text, 1 << 24);
	c->count += map_kinds[id].show(key, value, &key_text, &value_text);
	text_free(&key_text);
	text_free(&value_text);
}

size_t changes_count_in(const struct model *m, enum map_id id, struct map *compiled)
{
	struct counting counting = { .m = m };

	changes_of_map(m, id, compiled, count_one, &counting);
	return counting.count;
}

size_t changes_count(const struct model *m, enum map_id id)
{
	struct map compiled;

	if (changes_open(m, id, &compiled, NULL) != 0)
		return 0;
	size_t count = changes_count_in(m, id, &compiled);

	map_close(&compiled);
	return count;
}

bool changes_of_settings(const struct model *m, int generation)
{
	struct settings old = { 0 };
	struct text before, now;
	bool differ = false;

	if (settings_load_generation(&old, generation, NULL) != 0)
		return false;
	text_init(&before, 2 * SETTING_VALUE_MAX);
	text_init(&now, 2 * SETTING_VALUE_MAX);
	for (size_t i = 0; i < settings_count && !differ; i++) {
		text_clear(&before);
		text_clear(&now);
		setting_format(&old, &settings_table[i], &before);
		setting_format(&m->settings, &settings_table[i], &now);
		differ = !view_equal(text_view(&before), text_view(&now));
	}
	text_free(&before);
	text_free(&now);
	settings_free(&old);
	return differ;
}

bool changes_of_certificates(const struct model *m, int generation)
{
	struct certificate old;
	struct map compiled;
	bool differ = false;
	int fd = generation_file(generation, "tls.cdb", NULL);

	if (fd < 0 || map_open(&compiled, fd, "tls.cdb", NULL) != 0) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	for (size_t i = 0; i < m->certificate_count && !differ; i++)
		differ = certificates_at(&compiled, (uint32_t)i, &old) != MAP_FOUND ||
		         !view_equal(old.chain, m->certificates[i].certificate.chain);
	if (certificates_at(&compiled, (uint32_t)m->certificate_count, &old) == MAP_FOUND)
		differ = true;
	map_close(&compiled);
	return differ;
}

/* ---- in a few words ---- */

static void add_words(struct text *out, const char *name, size_t entries)
{
	text_format(out, "%s%s", out->len ? ", " : "", name);
	if (entries)
		text_format(out, " (%zu %s)", entries, entries == 1 ? "entry" : "entries");
}

/* Nobody knows whether it differs. */
static void add_damaged(struct text *out, const char *name)
{
	add_words(out, name, 0);
	text_add_string(out, " (perhaps: what was built of it is damaged)");
}

static bool can_be_read(int generation, const char *name)
{
	struct map map;
	int fd = generation_file(generation, name, NULL);

	if (fd >= 0 && map_open(&map, fd, name, NULL) == 0) {
		map_close(&map);
		return true;
	}
	if (fd >= 0)
		close(fd);
	return false;
}

static void sum_up(int generation, const char *compiled, const char *name, bool differ,
                   struct text *out)
{
	if (differ)
		add_words(out, name, 0);
	else if (!can_be_read(generation, compiled))
		add_damaged(out, name);
}

static void sum_up_map(const struct model *m, enum map_id id, int generation, struct text *out)
{
	char name[MAPTABLE_FILE_NAME_MAX];
	struct map compiled;

	maptable_text_file(id, name);
	if (changes_open_of(generation, id, &compiled, NULL) != 0) {
		add_damaged(out, name);
		return;
	}
	size_t count = changes_count_in(m, id, &compiled);

	map_close(&compiled);
	if (count)
		add_words(out, name, count);
}

void changes_summary(const struct model *m, struct text *out)
{
	int generation = generation_open(m->settings.directory_state, NULL);

	if (generation < 0)
		return;
	sum_up(generation, "settings.cdb", "posthouse.conf", changes_of_settings(m, generation),
	       out);
	for (int id = 0; id < MAPS; id++)
		sum_up_map(m, (enum map_id)id, generation, out);
	sum_up(generation, "tls.cdb", "certificates", changes_of_certificates(m, generation), out);
	close(generation);
}
