/* SPDX-License-Identifier: ISC */
#include "lib/conf/maptable.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/conf/generation.h"
#include "lib/conf/manifest.h"

enum { PUBLIC = false, SECRET = true };

const struct maptable_row maptable[MAPS] = {
#define MAP(id, name, one, many, key, text, program, index) \
	[MAP_##id] = { #name, one, many, text, program },
#include "lib/conf/maps.def"
#undef MAP
};

int maptable_find(const char *name, struct reason *why)
{
	struct text list;

	for (int id = 0; id < MAPS; id++)
		if (strcmp(maptable[id].name, name) == 0)
			return id;
	text_init(&list, REASON_MAX);
	for (int id = 0; id < MAPS; id++)
		text_format(&list, "%s%s", id ? ", " : "", maptable[id].name);
	fail(why, "there is no map \"%s\"; there are %s", name, text_string(&list));
	text_free(&list);
	return -1;
}

void maptable_text_file(enum map_id id, char out[MAPTABLE_FILE_NAME_MAX])
{
	string_print(out, MAPTABLE_FILE_NAME_MAX, "%s.map", maptable[id].name);
}

void maptable_compiled_file(enum map_id id, char out[MAPTABLE_FILE_NAME_MAX])
{
	string_print(out, MAPTABLE_FILE_NAME_MAX, "%s.cdb", maptable[id].name);
}

void maptable_generation_file(int file, char out[MAPTABLE_FILE_NAME_MAX])
{
	static const char *const others[] = { [GENERATION_SETTINGS - MAPS] = "settings.cdb",
		                              [GENERATION_CERTIFICATES - MAPS] = "tls.cdb",
		                              [GENERATION_MANIFEST - MAPS] = MANIFEST_FILE };

	if (file < MAPS)
		maptable_compiled_file((enum map_id)file, out);
	else
		string_put(out, MAPTABLE_FILE_NAME_MAX, view_of(others[file - MAPS]));
}

/* By the manifest; a generation of before there was one has files of one number only. */
static int judge_place(int generation, const char *name, const struct map *map, uint64_t *built_for,
                       struct reason *detail)
{
	struct manifest_row row;
	struct map manifest;
	int there = manifest_open(generation, &manifest, NULL);

	if (there < 0) /* which is said once, of the manifest */
		return 0;
	bool belongs = *built_for == 0 || map->generation == 0 || map->generation == *built_for;

	*built_for = map->generation ? map->generation : *built_for;
	if (there)
		belongs = manifest_find(&manifest, name, &row) && manifest_matches(&row, map);
	if (there)
		map_close(&manifest);
	return belongs ? 0 : fail(detail, "of another generation than the other files");
}

/* detail: what it is instead of good. */
static int judge(int generation, const char *name, uint64_t *built_for, struct reason *detail)
{
	struct map map;
	int fd = generation_file(generation, name, NULL);
	bool is_manifest = strcmp(name, MANIFEST_FILE) == 0;

	if (fd < 0 && is_manifest && errno == ENOENT)
		return 0;
	if (fd < 0)
		return fail_errno(detail, "missing or unreadable");
	if (map_open(&map, fd, name, detail) != 0) {
		close(fd);
		return -1;
	}
	int result = is_manifest ? 0 : judge_place(generation, name, &map, built_for, detail);

	map_close(&map);
	return result;
}

int maptable_verify(int generation, int file, uint64_t *built_for, struct reason *why)
{
	char name[MAPTABLE_FILE_NAME_MAX];
	struct reason detail;

	maptable_generation_file(file, name);
	return judge(generation, name, built_for, &detail) == 0
	               ? 0
	               : fail(why, "%s of the current generation is %s; run posthouse build", name,
	                      detail.text);
}

int maptable_verify_all(int generation, struct reason *why)
{
	uint64_t built_for = 0;

	for (int file = 0; file < GENERATION_FILES; file++)
		if (maptable_verify(generation, file, &built_for, why) != 0)
			return -1;
	return 0;
}

int maptable_judge(void *context, int generation, struct reason *why)
{
	char name[MAPTABLE_FILE_NAME_MAX];
	struct reason detail;
	uint64_t built_for = 0;

	(void)context;
	for (int file = 0; file < GENERATION_FILES; file++) {
		maptable_generation_file(file, name);
		if (judge(generation, name, &built_for, &detail) != 0)
			return fail(why, "%s is %s", name, detail.text);
	}
	return 0;
}

static bool is_exposed(int at, const char *name, mode_t kind)
{
	struct stat st;

	return fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && (st.st_mode & S_IFMT) == kind &&
	       ((st.st_mode & 077) != 0 || (geteuid() == 0 && st.st_uid != 0));
}

void maptable_exposed(int generation, void (*tell)(void *context, const char *name, unsigned mode),
                      void *context)
{
	char name[MAPTABLE_FILE_NAME_MAX], path[sizeof "keys/" + NAME_MAX];
	const struct dirent *e;
	struct walk w;

	for (int id = 0; id < MAPS; id++) {
		maptable_generation_file(id, name);
		if (maptable[id].secret && is_exposed(generation, name, S_IFREG))
			tell(context, name, 0600);
	}
	if (is_exposed(generation, "keys", S_IFDIR))
		tell(context, "keys", 0700);
	walk_begin(&w, generation, "keys");
	while ((e = walk_next(&w)) != NULL) {
		string_print(path, sizeof path, "keys/%s", e->d_name);
		if (is_exposed(walk_fd(&w), e->d_name, S_IFREG))
			tell(context, path, 0600);
	}
	bool whole = walk_end(&w) == 0;

	(void)whole; /* there may be none */
}

int maptable_file_of(const char *program, unsigned n)
{
	for (int id = 0; id < MAPS; id++)
		if (strcmp(maptable[id].program, program) == 0 && n-- == 0)
			return id;
	return -1;
}

void maptable_inherit(const char *program, struct map maps[MAPS])
{
	char name[MAPTABLE_FILE_NAME_MAX];
	struct reason why;

	for (int id = 0; id < MAPS; id++) {
		if (strcmp(maptable[id].program, program) != 0)
			continue;
		maptable_compiled_file((enum map_id)id, name);
		int fd = program_generation_file(name);

		if (map_open(&maps[id], fd, name, &why) == 0)
			continue;
		if (errno != MAP_ERRNO_DAMAGED)
			log_fatal("%s: %s", name, why.text);
		log_warn("event=map-damaged file=%s reason=\"%s\"", name,
		         log_text(view_of(why.text)));
		map_open_damaged(&maps[id], fd);
	}
}
