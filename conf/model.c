/* SPDX-License-Identifier: ISC */
#include "conf/model.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/conf/generation.h"
#include "lib/conf/maptext.h"

int map_id_by_name(const char *name, struct reason *why)
{
	for (int id = 0; id < MAPS; id++)
		if (strcmp(map_kinds[id].name, name) == 0)
			return id;
	return fail(
		why,
		"there is no map \"%s\"; there are domains, users, passwords, aliases, routes, access",
		name);
}

static const struct override *override_of(const struct override *overrides, const char *name)
{
	for (; overrides != NULL && overrides->name[0]; overrides++)
		if (strcmp(overrides->name, name) == 0)
			return overrides;
	return NULL;
}

static int read_whole(int fd, struct source *out)
{
	struct stat st;
	size_t have = 0;

	if (fstat(fd, &st) != 0)
		return -1;
	if (!S_ISREG(st.st_mode) || st.st_size > MAPTEXT_FILE_MAX) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : EFBIG;
		return -1;
	}
	out->memory = memory_get((size_t)st.st_size + 1);
	for (ssize_t n; have < (size_t)st.st_size; have += (size_t)n)
		if ((n = read(fd, out->memory + have, (size_t)st.st_size - have)) <= 0)
			break;
	out->text = (struct view){ out->memory, have };
	return 0;
}

char *model_path(struct model *m, const char *directory, const char *name)
{
	struct text path;

	text_init(&path, PATH_MAX);
	if (name[0] != '/')
		text_format(&path, "%s/", directory);
	text_add_string(&path, name);
	char *copy = arena_string(&m->arena, text_view(&path));

	text_free(&path);
	return copy;
}

void source_read(struct model *m, const char *name, const struct override *overrides,
                 struct source *out)
{
	const struct override *instead = override_of(overrides, name);
	char *path = model_path(m, m->confdir, name);

	*out = (struct source){ .path = path, .text = VIEW("") };
	if (instead != NULL) {
		out->text = instead->text;
		return;
	}
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	out->missing = fd < 0 && errno == ENOENT;
	if (!out->missing && (fd < 0 || read_whole(fd, out) != 0))
		problem_error(&m->problems, path, 0, "%s", strerror(errno));
	if (fd >= 0)
		close(fd);
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
	const struct map_entry *before = table_add(&m->setting_lines, e->key, e);

	if (before != NULL)
		problem_error(&m->problems, m->conf.path, e->line,
		              "%.*s is set in line %d already; remove one of the two",
		              VIEW_ARG(e->key), before->line);
	else if (setting_parse(&m->settings, e->key, e->value, &why) != 0)
		problem_error(&m->problems, m->conf.path, e->line, "%s", why.text);
}

int model_setting_line(const struct model *m, const char *key)
{
	const struct map_entry *e = table_find(&m->setting_lines, view_of(key));

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
	source_read(m, "posthouse.conf", overrides, &m->conf);
	if (m->conf.missing)
		problem_error(&m->problems, m->conf.path, 0,
		              "there is no such file; write one (an empty one will do), or name "
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

static void compile_entry(struct model *m, enum map_id id, struct map_entry *e)
{
	const struct map_kind *kind = &map_kinds[id];
	struct text compiled;
	struct reason why;

	text_init(&compiled, 1 << 20);
	if (kind->compile(m, e, &compiled, &why) != 0)
		problem_error(&m->problems, m->maps[id].source.path, e->line, "%s", why.text);
	e->compiled = arena_copy(&m->arena, text_view(&compiled));
	text_free(&compiled);
}

static void read_entry(struct model *m, enum map_id id, const struct maptext_entry *text)
{
	struct model_map *map = &m->maps[id];
	struct map_entry *e = arena_get(&m->arena, sizeof *e);
	struct text key;
	struct reason why;

	text_init(&key, MAP_KEY_MAX);
	*e = (struct map_entry){ .value = text->value, .line = text->line };
	int good = map_kinds[id].key(m, text->key, &key, &why);

	e->key = arena_copy(&m->arena, text_view(&key));
	text_free(&key);
	if (good != 0) {
		problem_error(&m->problems, map->source.path, e->line, "%s", why.text);
		return;
	}
	const struct map_entry *before = table_add(&map->index, e->key, e);

	if (before != NULL) {
		problem_error(&m->problems, map->source.path, e->line,
		              "%.*s is in line %d already; remove one of the two",
		              VIEW_ARG(text->key), before->line);
		return;
	}
	if ((map->count & (map->count - 1)) == 0)
		map->entries = memory_grow(map->entries, sizeof(struct map_entry *) *
		                                                 (map->count ? map->count * 2 : 1));
	map->entries[map->count++] = e;
	compile_entry(m, id, e);
}

static void check_mode(struct model *m, enum map_id id)
{
	struct stat st;
	const struct source *source = &m->maps[id].source;

	if (map_kinds[id].mode == 0600 && stat(source->path, &st) == 0 && (st.st_mode & 077) != 0)
		problem_error(&m->problems, source->path, 0, "others may read it; chmod 600 it");
}

static void read_map(struct model *m, enum map_id id, const struct override *overrides)
{
	struct maptext text;
	struct maptext_entry entry;
	struct reason why;
	char name[64];
	int more;

	snprintf(name, sizeof name, "%s.map", map_kinds[id].name);
	source_read(m, name, overrides, &m->maps[id].source);
	check_mode(m, id);
	maptext_init(&text, m->maps[id].source.text);
	while ((more = maptext_next(&text, &m->arena, &entry, &why)) != 0) {
		if (more > 0)
			read_entry(m, id, &entry);
		else
			problem_error(&m->problems, m->maps[id].source.path, entry.line, "%s",
			              why.text);
	}
}

void model_read(struct model *m, const char *confdir, const struct override *overrides)
{
	model_read_settings(m, confdir, overrides);
	model_check_settings(m);
	for (int id = 0; id < MAPS; id++)
		read_map(m, (enum map_id)id, overrides);
	model_check_domains(m);
	model_check_aliases(m);
	model_read_certificates(m);
}

void model_free(struct model *m)
{
	for (int id = 0; id < MAPS; id++) {
		free(m->maps[id].source.memory);
		free(m->maps[id].entries);
		table_free(&m->maps[id].index);
	}
	for (size_t i = 0; i < m->certificate_count; i++)
		free(m->certificates[i].names);
	free(m->certificates);
	free(m->conf.memory);
	table_free(&m->setting_lines);
	settings_free(&m->settings);
	problems_free(&m->problems);
	arena_clear(&m->arena);
}
