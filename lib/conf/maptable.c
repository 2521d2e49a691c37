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
		                              [GENERATION_ASKED - MAPS] = "asked.cdb",
		                              [GENERATION_MANIFEST - MAPS] = MANIFEST_FILE };

	if (file < MAPS)
		maptable_compiled_file((enum map_id)file, out);
	else if (maptable_of_file(file) >= 0)
		string_print(out, MAPTABLE_FILE_NAME_MAX, "%s.more.cdb",
		             maptable[maptable_of_file(file)].name);
	else
		string_put(out, MAPTABLE_FILE_NAME_MAX, view_of(others[file - MAPS]));
}

int maptable_of_file(int file)
{
	if (file < MAPS)
		return file;
	return file >= GENERATION_OVERLAYS && file < GENERATION_MANIFEST
	               ? file - GENERATION_OVERLAYS
	               : -1;
}

/* By the manifest; in a generation of before there was one no file has a number. */
static int judge_place(struct maptable_verifying *v, const char *name, const struct map *map,
                       struct reason *detail)
{
	struct manifest_row row;

	v->numbered = v->numbered || map->generation != 0;
	if (v->has_manifest <= 0) /* which is said once, of the manifest */
		return 0;
	return manifest_find(&v->manifest, name, &row) && manifest_matches(&row, map)
	               ? 0
	               : fail(detail, "of another generation than the other files");
}

/* Is there none, as it should be? Without a manifest only among files that have no numbers. */
static bool is_absent(struct maptable_verifying *v, int file, const char *name)
{
	struct manifest_row row;

	if (file < GENERATION_ASKED)
		return false;
	return v->has_manifest <= 0 || !manifest_find(&v->manifest, name, &row);
}

/* It was opened at the beginning, and summed. What could not be held against it then is not good
 * because it can be opened now. */
static int judge_manifest(const struct maptable_verifying *v, struct map_identity *found,
                          struct reason *detail)
{
	if (v->has_manifest > 0) {
		if (found != NULL)
			*found = v->manifest.identity;
		return 0;
	}
	if (v->has_manifest == 0 && !v->numbered)
		return 0;
	errno = v->has_manifest == 0 ? ENOENT : v->manifest_errno;
	return v->has_manifest == 0 ? fail_errno(detail, "missing or unreadable")
	                            : fail(detail, "%s", v->manifest_why.text);
}

static int judge_file(struct maptable_verifying *v, int file, const char *name,
                      struct map_identity *found, struct reason *detail)
{
	struct map map;
	int fd = generation_file(v->generation, name, NULL);

	if (fd < 0 && errno == ENOENT && is_absent(v, file, name))
		return 0;
	if (fd < 0)
		return fail_errno(detail, "missing or unreadable");
	if (map_open_known(&map, fd, name, v->known != NULL ? &v->known->files[file] : NULL,
	                   detail) != 0) {
		close(fd);
		return -1;
	}
	int result = judge_place(v, name, &map, detail);

	if (found != NULL)
		*found = map.identity;
	map_close(&map);
	return result;
}

/* detail: what it is instead of good. */
static int judge(struct maptable_verifying *v, int file, const char *name,
                 struct map_identity *found, struct reason *detail)
{
	return file == GENERATION_MANIFEST ? judge_manifest(v, found, detail)
	                                   : judge_file(v, file, name, found, detail);
}

void maptable_verify_begin(struct maptable_verifying *v, int generation,
                           const struct maptable_known *known)
{
	*v = (struct maptable_verifying){ .generation = generation, .known = known };
	v->has_manifest = manifest_open(generation, &v->manifest, &v->manifest_why);
	v->manifest_errno = errno;
}

void maptable_verify_end(struct maptable_verifying *v)
{
	if (v->has_manifest > 0)
		map_close(&v->manifest);
}

int maptable_verify(struct maptable_verifying *v, int file, struct map_identity *found,
                    struct reason *why)
{
	char name[MAPTABLE_FILE_NAME_MAX];
	struct reason detail;

	maptable_generation_file(file, name);
	return judge(v, file, name, found, &detail) == 0
	               ? 0
	               : fail(why, "%s of the current generation is %s; run posthouse build", name,
	                      detail.text);
}

int maptable_verify_all(int generation, const struct maptable_known *known,
                        struct maptable_known *found, struct reason *why)
{
	struct maptable_verifying v;
	int result = 0;

	if (found != NULL)
		*found = (struct maptable_known){ 0 };
	maptable_verify_begin(&v, generation, known);
	for (int file = 0; file < GENERATION_FILES && result == 0; file++)
		result = maptable_verify(&v, file, found != NULL ? &found->files[file] : NULL, why);
	maptable_verify_end(&v);
	return result;
}

int maptable_judge(void *context, int generation, struct reason *why)
{
	struct maptable_verifying v;
	char name[MAPTABLE_FILE_NAME_MAX];
	struct reason detail;
	int result = 0;

	(void)context;
	maptable_verify_begin(&v, generation, NULL);
	for (int file = 0; file < GENERATION_FILES && result == 0; file++) {
		maptable_generation_file(file, name);
		if (judge(&v, file, name, NULL, &detail) != 0)
			result = fail(why, "%s is %s", name, detail.text);
	}
	maptable_verify_end(&v);
	return result;
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

	for (int file = 0; file < GENERATION_FILES; file++) {
		int id = maptable_of_file(file);

		maptable_generation_file(file, name);
		if (id >= 0 && maptable[id].secret && is_exposed(generation, name, S_IFREG))
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

/* 1; 0: there is no such file. */
static int open_one(int generation, int file, bool just_verified, struct map *out,
                    struct reason *detail)
{
	char name[MAPTABLE_FILE_NAME_MAX];
	struct map_identity whole = { 0 };

	maptable_generation_file(file, name);
	int fd = generation_file(generation, name, NULL);

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return fail_errno(detail, "unreadable");
	if (just_verified)
		map_identify(fd, &whole);
	if (map_open_known(out, fd, name, &whole, detail) == 0)
		return 1;
	int kept_errno = errno;

	close(fd);
	errno = kept_errno;
	return -1;
}

static int say_lost(const char *name, struct reason *detail)
{
	fail(detail, "without %s, which was lost", name);
	errno = MAP_ERRNO_DAMAGED;
	return -1;
}

/* Of another file, without which the map is not what it is; errno stays. */
static int say_beside(const char *name, const struct reason *what, struct reason *detail)
{
	return fail(detail, "with a %s that is %s", name, what->text);
}

/* Is there none because it was lost? What it has would be missing without a word. */
static int judge_absence(int generation, const char *name, const struct map *base,
                         struct reason *detail)
{
	struct reason what;
	struct map manifest;
	struct manifest_row row;
	int there = manifest_open(generation, &manifest, &what);

	if (there < 0)
		return say_beside(MANIFEST_FILE, &what, detail);
	if (there == 0)
		return base->generation == 0 ? 0 : say_lost(MANIFEST_FILE, detail);
	bool absent = !manifest_find(&manifest, name, &row);

	map_close(&manifest);
	return absent ? 0 : say_lost(name, detail);
}

static int lay_overlay(int generation, enum map_id id, bool just_verified, struct map *m,
                       struct reason *detail)
{
	char name[MAPTABLE_FILE_NAME_MAX];
	struct reason what;
	struct map overlay;
	int file = GENERATION_OVERLAYS + id,
	    there = open_one(generation, file, just_verified, &overlay, &what);

	maptable_generation_file(file, name);
	if (there == 0)
		return judge_absence(generation, name, m, detail);
	if (there < 0)
		return say_beside(name, &what, detail);
	map_lay(m, &overlay);
	return 0;
}

int maptable_open(int generation, enum map_id id, bool just_verified, struct map *out,
                  struct reason *detail)
{
	int there = open_one(generation, id, just_verified, out, detail);

	if (there == 0)
		return fail(detail, "missing");
	if (there < 0)
		return -1;
	if (lay_overlay(generation, id, just_verified, out, detail) == 0)
		return 0;
	int kept_errno = errno;

	map_close(out);
	errno = kept_errno;
	return -1;
}

void maptable_inherit(const char *program, struct map maps[MAPS])
{
	int generation = program_need_fd("generation");
	struct reason why;

	for (int id = 0; id < MAPS; id++) {
		char name[MAPTABLE_FILE_NAME_MAX];

		if (strcmp(maptable[id].program, program) != 0)
			continue;
		maptable_compiled_file((enum map_id)id, name);
		/* master has just verified what a trial opens. */
		if (maptable_open(generation, (enum map_id)id, program_is_trial(), &maps[id],
		                  &why) == 0)
			continue;
		if (errno != MAP_ERRNO_DAMAGED)
			log_fatal("%s of the current generation: %s (run: posthouse build)", name,
			          why.text);
		log_warn("event=map-damaged file=%s reason=\"%s\"", name,
		         log_text(view_of(why.text)));
		map_open_damaged(&maps[id], -1);
	}
}
