/* SPDX-License-Identifier: ISC */
#include "conf/mine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/changes.h"
#include "lib/conf/generation.h"
#include "lib/conf/maptext.h"

static int open_all(struct mine *x, struct reason *why)
{
	if (maptable_verify_all(x->generation, NULL, NULL, why) != 0 ||
	    settings_load_generation(&x->settings, x->generation, why) != 0)
		return -1;
	for (int id = 0; id < MAPS; id++)
		if (changes_open_of(x->generation, (enum map_id)id, &x->maps[id].current, why) != 0)
			return -1;
	return 0;
}

int mine_open(struct mine *x, struct model *texts, struct reason *why)
{
	const char *state = texts->settings.directory_state;

	*x = (struct mine){ .texts = texts };
	for (int id = 0; id < MAPS; id++)
		map_open_damaged(&x->maps[id].current, -1);
	x->number = generation_number(state);
	x->generation = generation_open(state, why);
	if (x->generation >= 0 && open_all(x, why) == 0)
		return 0;
	mine_close(x);
	return -1;
}

void mine_close(struct mine *x)
{
	for (int id = 0; id < MAPS; id++) {
		map_close(&x->maps[id].current);
		hashtable_free(&x->maps[id].index);
		free(x->maps[id].entries);
	}
	if (x->generation >= 0)
		close(x->generation);
	settings_free(&x->settings);
	arena_clear(&x->arena);
}

/* ---- which they are ---- */

static bool same_domain(const struct mine *x)
{
	return strcmp(x->settings.mail_domain, x->texts->settings.mail_domain) == 0;
}

int mine_same_key(const struct mine *x, enum map_id map, struct view key, struct reason *why)
{
	struct text here, there;
	int result = 0;

	if (same_domain(x))
		return 0;
	text_init(&here, MAP_KEY_MAX);
	text_init(&there, MAP_KEY_MAX);
	if (map_kinds[map].key(key, view_of(x->settings.mail_domain), &here, NULL) == 0 &&
	    map_kinds[map].key(key, view_of(x->texts->settings.mail_domain), &there, NULL) == 0 &&
	    !view_equal(text_view(&here), text_view(&there)))
		result = fail(
			why,
			"\"%.*s\" is %s by mail.domain of posthouse.conf, but %s by that of the "
			"current generation; write the whole address, or run posthouse build "
			"first",
			VIEW_ARG(key), text_string(&there), text_string(&here));
	text_free(&here);
	text_free(&there);
	return result;
}

/* As a text has it. */
struct text_entry {
	struct map_entry compiled;
	struct view key;
};

/* One of read_text's is among mine. */
static void look_at_key(struct mine *x, enum map_id map, const struct map_entry *e)
{
	const struct text_entry *t = (const struct text_entry *)e;
	struct reason why;

	if (x->bare.line == 0 && mine_same_key(x, map, t->key, &why) != 0)
		x->bare = (struct mine_bare){ map, e->line, why };
}

/* The entries of a text by their compiled keys: the first of each, as a build would have it. */
static void read_text(struct mine *x, enum map_id map, struct view whole, struct mine_map *out)
{
	struct maptext text;
	struct maptext_entry entry;
	struct text key;
	int more;

	text_init(&key, MAP_KEY_MAX);
	maptext_init(&text, whole);
	while ((more = maptext_next(&text, &x->arena, &entry, NULL)) != 0) {
		text_clear(&key);
		if (more < 0 || map_kinds[map].key(entry.key, view_of(x->settings.mail_domain),
		                                   &key, NULL) != 0)
			continue;
		struct text_entry *t = arena_get(&x->arena, sizeof *t);
		struct map_entry *e = &t->compiled;

		t->key = entry.key;
		*e = (struct map_entry){ .key = arena_copy(&x->arena, text_view(&key)),
			                 .value = entry.value,
			                 .line = entry.line };
		if (hashtable_add(&out->index, e->key, e) != NULL)
			continue;
		out->entries = memory_grow_for(out->entries, out->count, sizeof *out->entries);
		out->entries[out->count++] = e;
	}
	text_free(&key);
}

static void add(struct mine_map *map, struct map_entry *e)
{
	if (hashtable_add(&map->index, e->key, e) != NULL)
		return;
	map->entries = memory_grow_for(map->entries, map->count, sizeof *map->entries);
	map->entries[map->count++] = e;
}

static void add_removed(struct mine *x, struct mine_map *map, struct view key)
{
	struct map_entry *e = arena_get(&x->arena, sizeof *e);

	*e = (struct map_entry){ .key = key };
	add(map, e);
}

void mine_add(struct mine *x, enum map_id map, struct view before, struct view after,
              const struct hashtable *asked)
{
	struct mine_map old = { .count = 0 }, now = { .count = 0 }, *mine = &x->maps[map];

	read_text(x, map, before, &old);
	read_text(x, map, after, &now);
	for (size_t i = 0; i < now.count; i++) {
		struct map_entry *e = now.entries[i];
		const struct map_entry *was = hashtable_find(&old.index, e->key);

		if (was != NULL && view_equal(was->value, e->value) &&
		    hashtable_find(asked, e->key) == NULL)
			continue;
		look_at_key(x, map, e);
		add(mine, e);
	}
	for (size_t i = 0; i < old.count; i++) {
		if (hashtable_find(&now.index, old.entries[i]->key) != NULL)
			continue;
		look_at_key(x, map, old.entries[i]);
		add_removed(x, mine, old.entries[i]->key);
	}
	for (size_t i = 0; i < asked->size; i++)
		if (asked->slots[i].thing != NULL &&
		    hashtable_find(&now.index, asked->slots[i].key) == NULL)
			add_removed(x, mine, asked->slots[i].key);
	hashtable_free(&old.index);
	hashtable_free(&now.index);
	free(old.entries);
	free(now.entries);
}

/* ---- what they are ---- */

static bool find(void *builder, enum map_id map, struct view key, struct view *compiled)
{
	struct mine *x = builder;
	struct mine_map *in = &x->maps[map];
	char lower[MAP_KEY_MAX];

	if (key.len > sizeof lower)
		return false;
	for (size_t i = 0; i < key.len; i++)
		lower[i] = byte_lower(key.data[i]);
	key = (struct view){ lower, key.len };
	const struct map_entry *e = x->hidden ? NULL : hashtable_find(&in->index, key);

	if (e == NULL)
		return map_get(&in->current, key, compiled) == MAP_FOUND;
	x->asked = true;
	*compiled = e->compiled;
	return e->line != 0;
}

static int read_below(void *builder, const char *name, struct view *text, struct reason *why)
{
	return model_read_below(((struct mine *)builder)->texts, name, text, why);
}

static int compile_by(struct mine *x, const struct settings *settings, enum map_id map,
                      struct map_entry *e, struct reason *why)
{
	const struct mapbuild build = { settings, &x->arena, find, read_below, x };
	struct text compiled;

	text_init(&compiled, MODEL_VALUE_MAX);
	int result = map_kinds[map].compile(&build, e->key, e->value, &compiled, why);

	if (result == 0 && compiled.full)
		result = fail(why, "the value has more than %zu bytes", compiled.max);
	e->compiled = arena_copy(&x->arena, text_view_cut(&compiled));
	text_free(&compiled);
	return result;
}

static int compile(struct mine *x, enum map_id map, struct map_entry *e, struct reason *why)
{
	return compile_by(x, &x->settings, map, e, why);
}

/* So a target without a domain is found. */
static int judge_domain(struct mine *x, enum map_id map, const struct map_entry *e,
                        struct reason *why)
{
	struct settings other = x->settings;
	struct map_entry there = *e;

	if (same_domain(x))
		return 0;
	other.mail_domain = x->texts->settings.mail_domain;
	if (compile_by(x, &other, map, &there, NULL) == 0 &&
	    view_equal(there.compiled, e->compiled))
		return 0;
	return fail(
		why,
		"an address without a domain is in %s by mail.domain of posthouse.conf, but in %s "
		"by that of the current generation; write the whole address, or run posthouse "
		"build first",
		other.mail_domain, x->settings.mail_domain);
}

static void say(struct mine *x, enum map_id map, int line, const struct reason *why,
                struct problems *problems)
{
	char name[MAPTABLE_FILE_NAME_MAX];

	maptable_text_file(map, name);
	problem_error(problems, model_path(x->texts, x->texts->confdir, name), line, "%s",
	              why->text);
}

static void compile_or_say(struct mine *x, enum map_id map, struct map_entry *e, bool edited,
                           struct problems *problems)
{
	struct reason why;

	if (compile(x, map, e, &why) != 0 || (edited && judge_domain(x, map, e, &why) != 0))
		say(x, map, e->line, &why, problems);
}

/* Whether it is one of the text's, and not the index of all, which is made anew. */
static bool is_entry(enum map_id map, struct view key, struct view value)
{
	struct text key_text, value_text;

	if (map_kinds[map].index == NULL)
		return true;
	text_init(&key_text, 1 << 16);
	text_init(&value_text, 1 << 24);
	bool result = map_kinds[map].show(key, value, &key_text, &value_text);

	text_free(&key_text);
	text_free(&value_text);
	return result;
}

/* What the generation was built from: the text's value, if nobody has changed it since, or else
 * what it is shown as, with every default settled. */
static struct map_entry *written(struct mine *x, enum map_id map, const struct model *now,
                                 struct view key, struct view compiled)
{
	const struct map_entry *text = hashtable_find(&now->maps[map].index, key);
	struct map_entry *e = arena_get(&x->arena, sizeof *e);
	struct text key_text, value;

	*e = (struct map_entry){ .key = key, .line = text != NULL ? text->line : 1 };
	x->hidden = true;
	if (text != NULL)
		e->value = text->value;
	bool same =
		text != NULL && compile(x, map, e, NULL) == 0 && view_equal(e->compiled, compiled);

	x->hidden = false;
	if (same)
		return e;
	text_init(&key_text, MAP_KEY_MAX + 64);
	text_init(&value, 1 << 24);
	map_kinds[map].show(key, compiled, &key_text, &value);
	e->value = arena_copy(&x->arena, text_view_cut(&value));
	text_free(&key_text);
	text_free(&value);
	return e;
}

/* Entries of the generation that are made of mine. */
static void compile_dependents(struct mine *x, enum map_id map, const struct model *now,
                               struct problems *problems)
{
	struct mine_map *mine = &x->maps[map];
	struct view key, value;

	map_rewind(&mine->current);
	while (map_next(&mine->current, &key, &value) == MAP_FOUND) {
		if (hashtable_find(&mine->index, key) != NULL || !is_entry(map, key, value))
			continue;
		struct map_entry *e = written(x, map, now, key, value);

		x->asked = false;
		compile(x, map, e, NULL);
		if (!x->asked)
			continue;
		compile_or_say(x, map, e, false, problems);
		add(mine, e);
	}
}

void mine_compile(struct mine *x, const struct model *now, struct problems *problems)
{
	bool any = false;

	if (x->bare.line != 0)
		say(x, x->bare.map, x->bare.line, &x->bare.why, problems);
	for (int id = 0; id < MAPS; id++) {
		size_t edited = x->maps[id].count;

		if (any)
			compile_dependents(x, (enum map_id)id, now, problems);
		for (size_t i = 0; i < x->maps[id].count; i++)
			if (x->maps[id].entries[i]->line != 0)
				compile_or_say(x, (enum map_id)id, x->maps[id].entries[i],
				               i < edited, problems);
		any = any || x->maps[id].count;
	}
}

/* ---- among the others ---- */

int mine_merge(struct mine *x, enum map_id map, struct map_entry ***entries, size_t *count)
{
	struct mine_map *mine = &x->maps[map], merged = { .count = 0 };
	struct view key, value;
	enum map_result more;

	map_rewind(&mine->current);
	while ((more = map_next(&mine->current, &key, &value)) == MAP_FOUND) {
		if (hashtable_find(&mine->index, key) != NULL || !is_entry(map, key, value))
			continue;
		struct map_entry *e = arena_get(&x->arena, sizeof *e);

		*e = (struct map_entry){ .key = key, .compiled = value, .line = 1 };
		merged.entries =
			memory_grow_for(merged.entries, merged.count, sizeof *merged.entries);
		merged.entries[merged.count++] = e;
	}
	for (size_t i = 0; i < mine->count; i++) {
		if (mine->entries[i]->line == 0)
			continue;
		merged.entries =
			memory_grow_for(merged.entries, merged.count, sizeof *merged.entries);
		merged.entries[merged.count++] = mine->entries[i];
	}
	*entries = merged.entries;
	*count = merged.count;
	if (more == MAP_DAMAGED)
		errno = MAP_ERRNO_DAMAGED;
	return more == MAP_DAMAGED ? -1 : 0;
}
