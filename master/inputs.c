/* SPDX-License-Identifier: ISC */
#include "master/inputs.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/base/sum.h"
#include "lib/conf/generation.h"
#include "lib/conf/maptable.h"
#include "master/master.h"

enum { KEY_BYTES_MAX = 65536, SUMMED_BYTES_MAX = 16 << 20 };

/* Read by a program at its start, from outside of the generation. */
static const struct {
	enum house_program program; /* HOUSE_PROGRAMS: all */
	const char *path;
} system_files[] = {
	{ HOUSE_PROGRAMS, "/etc/localtime" },
	{ HOUSE_DNSD, "/etc/resolv.conf" },
};

enum { SYSTEM_FILES = sizeof system_files / sizeof system_files[0] };

/* ---- what goes into a sum ---- */

static void add_stat(struct text *all, const struct stat *st)
{
	text_format(all, "%llu %llu %lld %lld.%ld\n", (unsigned long long)st->st_dev,
	            (unsigned long long)st->st_ino, (long long)st->st_size,
	            (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
}

static void add_path(struct text *all, const char *path)
{
	struct stat st = { 0 };

	if (stat(path, &st) < 0)
		st = (struct stat){ 0 };
	add_stat(all, &st);
}

/* A directory stays what it is, whatever is put into it. */
static void add_directory(struct text *all, const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0)
		text_format(all, "%llu %llu\n", (unsigned long long)st.st_dev,
		            (unsigned long long)st.st_ino);
}

static void add_settings(struct text *all, const struct settings *s, const char *program)
{
	for (size_t i = 0; i < settings_count; i++) {
		if (!setting_is_read_by(&settings_table[i], program))
			continue;
		text_format(all, "%s ", settings_table[i].key);
		setting_format(s, &settings_table[i], all);
		text_add(all, VIEW("\n"));
	}
}

/* One that is written anew although it has the same entries, as when the one in use was damaged, is
 * another one; certificates are written for each generation. One of before there were sums is
 * another one in each generation. */
static void add_map(struct text *all, int generation, int file)
{
	char name[MAPTABLE_FILE_NAME_MAX];
	uint64_t sum;
	struct stat st;

	maptable_generation_file(file, name);
	int fd = generation_file(generation, name, NULL);

	if (fd < 0)
		return;
	bool summed = map_entries_sum(fd, name, &sum);

	if (summed)
		text_format(all, "%s %llx\n", name, (unsigned long long)sum);
	if ((file != GENERATION_CERTIFICATES || !summed) && fstat(fd, &st) == 0)
		add_stat(all, &st);
	close(fd);
}

static void add_key(struct text *all, int keys, const char *name)
{
	static char bytes[KEY_BYTES_MAX];
	int fd = openat(keys, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t len = fd < 0 ? -1 : file_read_some(fd, bytes, sizeof bytes);

	text_format(all, "%s %llx\n", name,
	            len < 0 ? 0ull
	                    : (unsigned long long)sum64((struct view){ bytes, (size_t)len }));
	if (len > 0)
		explicit_bzero(bytes, (size_t)len);
	if (fd >= 0)
		close(fd);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In an order that does not depend on the directory. */
static void add_keys(struct text *all, int keys)
{
	const struct dirent *e;
	char **names = NULL;
	size_t count = 0;
	struct walk w;

	walk_begin(&w, keys, ".");
	while ((e = walk_next(&w)) != NULL) {
		names = memory_grow_for(names, count, sizeof *names);
		names[count++] = memory_string(view_of(e->d_name));
	}
	bool whole = walk_end(&w) == 0;

	text_format(all, "keys %zu %d\n", count, whole);
	if (count)
		qsort(names, count, sizeof *names, compare_names);
	for (size_t i = 0; i < count; i++) {
		add_key(all, keys, names[i]);
		free(names[i]);
	}
	free(names);
}

static void add_listeners(struct text *all, const struct listeners *l)
{
	for (unsigned i = 0; i < l->count; i++) {
		struct stat st;

		if (fstat(l->rows[i].fd, &st) == 0)
			text_format(all, "%s %llu\n", l->rows[i].name,
			            (unsigned long long)st.st_ino);
	}
}

static void add_binary(struct text *all, enum house_program p)
{
	char path[PATH_MAX];

	if (string_format(path, sizeof path, "%s/%s", master.programs, house[p].name))
		add_path(all, path);
}

static void add_system(struct text *all, enum house_program p, const struct settings *s)
{
	for (unsigned i = 0; i < SYSTEM_FILES; i++)
		if (system_files[i].program == p || system_files[i].program == HOUSE_PROGRAMS)
			add_path(all, system_files[i].path);
	if (house[p].root == ROOT_DROP)
		add_directory(all, s->drop_directory);
}

/* ---- sums ---- */

static uint64_t take_sum(struct text *all)
{
	uint64_t sum = sum64(text_view_cut(all));

	text_clear(all);
	return sum;
}

void inputs_look(struct inputs *out, int generation, const struct settings *settings,
                 const struct listeners *listeners, int keys)
{
	struct text all;
	int file;

	text_init(&all, SUMMED_BYTES_MAX);
	for (int p = 0; p < HOUSE_PROGRAMS; p++) {
		const struct house_row *row = &house[p];

		for (unsigned n = 0; (file = maptable_file_of(row->name, n)) >= 0; n++) {
			add_map(&all, generation, file);
			add_map(&all, generation, GENERATION_OVERLAYS + file);
		}
		out->maps[p] = take_sum(&all);
		add_binary(&all, (enum house_program)p);
		out->binary[p] = take_sum(&all);
		add_settings(&all, settings, row->name);
		add_system(&all, (enum house_program)p, settings);
		if (row->listens || row->keys)
			add_map(&all, generation, GENERATION_CERTIFICATES);
		if (row->listens)
			add_listeners(&all, listeners);
		if (row->keys && keys >= 0)
			add_keys(&all, keys);
		out->others[p] = take_sum(&all);
	}
	text_free(&all);
}

void inputs_doubt(struct inputs *in_use, int generation)
{
	struct maptable_verifying v;
	struct reason why;

	maptable_verify_begin(&v, generation, NULL);
	bool whole = maptable_verify(&v, GENERATION_CERTIFICATES, NULL, &why) == 0;

	maptable_verify_end(&v);
	if (whole)
		return;
	for (int p = 0; p < HOUSE_PROGRAMS; p++)
		if (house[p].listens || house[p].keys)
			in_use->others[p] = 0;
}

enum change inputs_compare(const struct inputs *before, const struct inputs *after,
                           enum house_program p)
{
	if (before->binary[p] != after->binary[p])
		return CHANGE_BINARY;
	if (before->others[p] != after->others[p])
		return CHANGE_OTHERS;
	return before->maps[p] != after->maps[p] ? CHANGE_MAPS : CHANGE_NONE;
}

bool inputs_has_maps(enum house_program program)
{
	return maptable_file_of(house[program].name, 0) >= 0;
}
