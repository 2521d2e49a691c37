/* SPDX-License-Identifier: ISC */
#include "conf/model.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/conf/domains.h"
#include "lib/conf/mapsure.h"
#include "lib/conf/maptext.h"

const struct map_kind map_kinds[MAPS] = {
#define MAP(id, name, one, many, key, text, program, index) \
	[MAP_##id] = { key, name##_compile, name##_show, index },
#include "lib/conf/maps.def"
#undef MAP
};

/* ---- texts ---- */

static const struct override *override_of(const struct override *overrides, const char *name)
{
	for (; overrides != NULL && overrides->name[0]; overrides++)
		if (strcmp(overrides->name, name) == 0)
			return overrides;
	return NULL;
}

/* A text that is written while it is read is neither the old one nor the new one. */
static bool changed_since(int fd, const struct stat *before)
{
	struct stat now;

	return fstat(fd, &now) != 0 || now.st_size != before->st_size ||
	       now.st_mtim.tv_sec != before->st_mtim.tv_sec ||
	       now.st_mtim.tv_nsec != before->st_mtim.tv_nsec;
}

static int read_whole(int fd, struct source *out, struct reason *why)
{
	struct stat st;

	clock_gettime(CLOCK_REALTIME, &out->read_at);
	if (fstat(fd, &st) != 0)
		return fail(why, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fail(why, "%s",
		            S_ISDIR(st.st_mode) ? strerror(EISDIR) : "it is not a regular file");
	if (st.st_size > MAPTEXT_FILE_MAX)
		return fail(why, "%s", strerror(EFBIG));
	out->memory = memory_get((size_t)st.st_size + 1);
	enum file_result result = file_read_at(fd, out->memory, (size_t)st.st_size, 0);

	if (result == FILE_FAILED)
		return fail(why, "%s", file_result_text(result));
	if (result != FILE_WHOLE || changed_since(fd, &st))
		return fail(why, "it was changed while it was read; try again");
	out->text = (struct view){ out->memory, (size_t)st.st_size };
	out->st = st;
	return 0;
}

static int read_file(struct source *out, struct reason *why)
{
	/* A FIFO has no writer, perhaps for ever. */
	int fd = open(out->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0) {
		out->missing = errno == ENOENT;
		out->unreadable = !out->missing;
		out->denied = errno == EACCES;
		return fail(why, "%s", out->missing ? "there is no such file" : strerror(errno));
	}
	int result = read_whole(fd, out, why);

	out->unreadable = result != 0;
	close(fd);
	return result;
}

char *model_path(struct model *m, const char *directory, const char *name)
{
	struct text path;

	text_init(&path, PATH_MAX);
	if (name[0] != '/')
		text_format(&path, "%s/", directory);
	text_add_string(&path, name);
	if (path.full)
		problem_error(&m->problems, NULL, 0, "the path %.100s/%.100s... is too long",
		              directory, name);
	char *copy = arena_string(&m->arena, path.full ? VIEW("") : text_view(&path));

	text_free(&path);
	return copy;
}

void model_read_source(struct model *m, const char *name, const struct override *overrides,
                       struct source *out)
{
	const struct override *instead = override_of(overrides, name);
	struct reason why;

	*out = (struct source){ .path = model_path(m, m->confdir, name), .text = VIEW("") };
	if (instead != NULL)
		out->text = instead->text;
	else if (read_file(out, &why) != 0 && !out->missing &&
	         !(out->denied && m->problems.onlooker))
		problem_error(&m->problems, out->path, 0, "%s", why.text);
}

/* ---- settings ---- */

/* `key "a value"` and `key a value` are the same. */
static struct view unquoted(struct arena *arena, struct view value)
{
	struct view rest = value, word;

	if (value.len && value.data[0] == '"' && maptext_word(&rest, arena, &word, NULL) == 1 &&
	    rest.len == 0)
		return word;
	return value;
}

static void read_setting(struct model *m, const struct maptext_entry *text)
{
	struct map_entry *e = arena_get(&m->arena, sizeof *e);
	struct reason why;

	*e = (struct map_entry){ .key = text->key,
		                 .value = unquoted(&m->arena, text->value),
		                 .line = text->line };
	const struct map_entry *before = hashtable_add(&m->setting_lines, e->key, e);

	if (before != NULL)
		problem_error(&m->problems, m->conf.path, e->line,
		              "%.*s is set in line %d already; remove one of the two",
		              VIEW_ARG(e->key), before->line);
	else if (setting_parse(&m->settings, e->key, e->value, &why) != 0)
		problem_error(&m->problems, m->conf.path, e->line, "%s", why.text);
}

int model_setting_line(const struct model *m, const char *key)
{
	const struct map_entry *e = hashtable_find(&m->setting_lines, view_of(key));

	return e != NULL ? e->line : 0;
}

void model_read_settings(struct model *m, const char *confdir, const struct override *overrides)
{
	struct maptext text;
	struct maptext_entry entry;
	struct reason why;
	int more;

	*m = (struct model){ .confdir = confdir };
	problems_init(&m->problems);
	settings_default(&m->settings);
	model_read_source(m, "posthouse.conf", overrides, &m->conf);
	if (m->conf.missing)
		problem_error(&m->problems, m->conf.path, 0,
		              "there is no such file; create it (it may be empty), or give "
		              "its directory with -c");
	const char *default_host = m->settings.host_name, *default_domain = m->settings.mail_domain;

	maptext_init(&text, m->conf.text);
	while ((more = maptext_next(&text, &m->arena, &entry, &why)) != 0) {
		if (more > 0)
			read_setting(m, &entry);
		else
			problem_error(&m->problems, m->conf.path, entry.line, "%s", why.text);
	}
	if (m->settings.host_name[0] == '\0')
		m->settings.host_name = default_host;
	if (m->settings.mail_domain == default_domain || m->settings.mail_domain[0] == '\0')
		m->settings.mail_domain = m->settings.host_name;
	m->settings.directory_configuration = confdir;
}

/* ---- maps ---- */

/* What a value is made for: the checks decide by it; of what a compiled value has of another one
 * the map is summed. */
enum purpose { JUDGED, COPIED };

static bool find_below(struct model *m, enum map_id map, struct view key, enum purpose purpose,
                       struct view *compiled)
{
	if (m->below == NULL)
		return false;
	enum map_result there = purpose == COPIED ? mapsure_get(&m->below[map], map, key, compiled)
	                                          : mapsure_judge(&m->below[map], key, compiled);

	m->below_damaged = m->below_damaged || there == MAP_DAMAGED;
	return there == MAP_FOUND;
}

static bool find_lower(struct model *m, enum map_id map, struct view key, enum purpose purpose,
                       struct view *compiled)
{
	const struct map_entry *e = hashtable_find(&m->maps[map].index, key);

	if (e == NULL)
		return find_below(m, map, key, purpose, compiled);
	*compiled = e->compiled;
	return e->line != 0;
}

static bool find(struct model *m, enum map_id map, struct view key, enum purpose purpose,
                 struct view *compiled)
{
	char lower[MAP_KEY_MAX];

	if (key.len > sizeof lower)
		return false;
	for (size_t i = 0; i < key.len; i++)
		lower[i] = byte_lower(key.data[i]);
	key = (struct view){ lower, key.len };
	if (purpose == JUDGED)
		sieve_add(&m->asked, (char)map, key);
	return find_lower(m, map, key, purpose, compiled);
}

bool model_find(struct model *m, enum map_id map, struct view key, struct view *compiled)
{
	return find(m, map, key, JUDGED, compiled);
}

static bool find_compiled(void *builder, enum map_id map, struct view key, struct view *compiled)
{
	return find(builder, map, key, COPIED, compiled);
}

int model_read_below(struct model *m, const char *name, struct view *text, struct reason *why)
{
	struct source source = { .path = model_path(m, m->confdir, name) };
	int result = read_file(&source, why);

	if (result == 0) {
		*text = arena_copy(&m->arena, source.text);
		m->included = memory_grow_for(m->included, m->included_count, sizeof source);
		m->included[m->included_count++] = source;
	}
	free(source.memory);
	return result;
}

static int read_below(void *builder, const char *name, struct view *text, struct reason *why)
{
	return model_read_below(builder, name, text, why);
}

static void compile_entry(struct model *m, enum map_id id, struct map_entry *e)
{
	const struct mapbuild build = { &m->settings, &m->arena, find_compiled, read_below, m };
	struct text compiled;
	struct reason why;

	text_init(&compiled, MODEL_VALUE_MAX);
	int result = map_kinds[id].compile(&build, e->key, e->value, &compiled, &why);

	if (result == 0 && compiled.full)
		result = fail(&why, "the value has more than %zu bytes", compiled.max);
	if (result != 0)
		problem_error(&m->problems, m->maps[id].source.path, e->line, "%s", why.text);
	/* Also of what is refused: whoever refers to it is not wrong too. Nothing of it is
	 * published. */
	e->compiled = arena_copy(&m->arena, text_view_cut(&compiled));
	text_free(&compiled);
}

void model_add_entry(struct model *m, enum map_id id, const struct maptext_entry *text)
{
	struct model_map *map = &m->maps[id];
	struct map_entry *e = arena_get(&m->arena, sizeof *e);
	struct text key;
	struct reason why;

	text_init(&key, MAP_KEY_MAX);
	*e = (struct map_entry){ .value = text->value, .line = text->line };
	int good = map_kinds[id].key(text->key, view_of(m->settings.mail_domain), &key, &why);

	if (good == 0)
		e->key = arena_copy(&m->arena, text_view(&key));
	text_free(&key);
	if (good != 0) {
		problem_error(&m->problems, map->source.path, e->line, "%s", why.text);
		return;
	}
	const struct map_entry *before = hashtable_add(&map->index, e->key, e);

	if (before != NULL) {
		problem_error(&m->problems, map->source.path, e->line,
		              "%.*s is in line %d already; remove one of the two",
		              VIEW_ARG(text->key), before->line);
		return;
	}
	map->entries = memory_grow_for(map->entries, map->count, sizeof *map->entries);
	map->entries[map->count++] = e;
	compile_entry(m, id, e);
}

void model_add_gone(struct model *m, enum map_id id, struct view key)
{
	struct map_entry *e = arena_get(&m->arena, sizeof *e);

	*e = (struct map_entry){ .key = key };
	hashtable_add(&m->maps[id].index, key, e);
}

static void check_mode(struct model *m, enum map_id id)
{
	struct stat st;
	const struct source *source = &m->maps[id].source;

	if (maptable[id].secret && stat(source->path, &st) == 0 && (st.st_mode & 077) != 0)
		problem_error(&m->problems, source->path, 0,
		              "readable by other users; run chmod 600");
}

static void read_map(struct model *m, enum map_id id, const struct override *overrides)
{
	struct maptext text;
	struct maptext_entry entry;
	struct reason why;
	char name[MAPTABLE_FILE_NAME_MAX];
	int more;

	maptable_text_file(id, name);
	model_read_source(m, name, overrides, &m->maps[id].source);
	if (m->maps[id].source.missing)
		problem_error(&m->problems, m->maps[id].source.path, 0,
		              "there is no such file; restore it, or make an empty one with touch "
		              "or posthouse map edit %s",
		              maptable[id].name);
	check_mode(m, id);
	maptext_init(&text, m->maps[id].source.text);
	while ((more = maptext_next(&text, &m->arena, &entry, &why)) != 0) {
		if (more > 0)
			model_add_entry(m, id, &entry);
		else
			problem_error(&m->problems, m->maps[id].source.path, entry.line, "%s",
			              why.text);
	}
}

void model_read_maps(struct model *m, const struct override *overrides)
{
	for (int id = 0; id < MAPS; id++)
		read_map(m, (enum map_id)id, overrides);
}

void model_free(struct model *m)
{
	for (int id = 0; id < MAPS; id++) {
		free(m->maps[id].source.memory);
		free(m->maps[id].entries);
		hashtable_free(&m->maps[id].index);
	}
	for (size_t i = 0; i < m->certificate_count; i++)
		free(m->certificates[i].names);
	free(m->certificates);
	free(m->included);
	sieve_free(&m->asked);
	free(m->conf.memory);
	hashtable_free(&m->setting_lines);
	settings_free(&m->settings);
	problems_free(&m->problems);
	arena_clear(&m->arena);
}
