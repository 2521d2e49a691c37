/* SPDX-License-Identifier: ISC */
/* The current generation with a few entries in place. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/inputs.h"
#include "conf/mine.h"
#include "conf/partial.h"
#include "conf/publish.h"
#include "conf/writing.h"
#include "lib/base/file.h"
#include "lib/conf/mapsure.h"
#include "lib/wire/signkey.h"

static int copy_contents(int generation, int file, struct cdb_make *make)
{
	char name[MAPTABLE_FILE_NAME_MAX];
	struct view key, value;
	struct map map;
	enum map_result more;
	int result = 0;

	maptable_generation_file(file, name);
	int fd = generation_file(generation, name, NULL);

	if (fd < 0)
		return -1;
	if (map_open(&map, fd, name, NULL) != 0) {
		int kept_errno = errno;

		close(fd);
		errno = kept_errno;
		return -1;
	}
	while ((more = map_next(&map, &key, &value)) == MAP_FOUND && result == 0)
		result = writing_put(make, key, value);
	if (more == MAP_DAMAGED) {
		errno = MAP_ERRNO_DAMAGED;
		result = -1;
	}
	map_close(&map);
	return result;
}

/* What cannot be linked is copied. */
static int write_merged(void *context, int file, struct cdb_make *make)
{
	struct mine *x = context;
	struct map_entry **entries;
	size_t count;

	if (file >= MAPS)
		return copy_contents(x->generation, file, make);
	int result = mine_merge(x, (enum map_id)file, &entries, &count);

	if (result == 0)
		result = writing_put_map(entries, count, (enum map_id)file, make);
	free(entries);
	return result;
}

/* What is there is no file that can be read: keyd, if it has the key, keeps it, and check says so.
 */
static bool is_lost(int error)
{
	return error == ENOENT || error == ELOOP || error == EISDIR || error == ENXIO ||
	       error == EIO;
}

static int take_key(int from, int to, const char *name, struct reason *why)
{
	char bytes[SIGN_KEY_FILE_MAX];
	int old = openat(from, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t len = old < 0 ? -1 : file_read_some(old, bytes, sizeof bytes);
	bool lost = len < 0 && is_lost(errno);
	int fd = len < 0 ? -1 : openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int result = lost || (fd >= 0 && write_whole(fd, bytes, (size_t)len) == 0 && fsync(fd) == 0)
	                     ? 0
	                     : fail_errno(why, "copy keys/%s of the current generation", name);

	explicit_bzero(bytes, sizeof bytes);
	if (old >= 0)
		close(old);
	if (fd >= 0)
		close(fd);
	return result;
}

static int take_all_keys(int from, int to, struct reason *why)
{
	const struct dirent *e;
	struct walk w;
	int result = 0;

	walk_begin(&w, from, ".");
	while (result == 0 && (e = walk_next(&w)) != NULL)
		if (e->d_name[0] != '.')
			result = take_key(from, to, e->d_name, why);
	if (walk_end(&w) < 0 && result == 0)
		result = fail_errno(why, "read keys of the current generation");
	if (result == 0 && fsync(to) != 0)
		result = fail_errno(why, "write keys of the new generation");
	return result;
}

/* A generation of before there were keys in it leaves them where they are. */
static int take_keys(int generation, struct generation_writer *w, struct reason *why)
{
	int from = generation_keys(generation, why);

	if (from < 0)
		return errno == ENOENT ? 0 : -1;
	int to = generation_create_directory(w, "keys", why);
	int result = to < 0 ? -1 : take_all_keys(from, to, why);

	if (to >= 0)
		close(to);
	close(from);
	return result;
}

/* What the edit does not touch. */
static bool same_as_mine(void *context, int file, struct map *old)
{
	const struct mine *x = context;

	(void)old;
	return file >= MAPS ||
	       (x->maps[file].count == 0 && !map_has_overlay(&x->maps[file].current));
}

long publish_mine(struct mine *x, struct reason *why)
{
	struct writing y = { .from = x->generation };
	const char *state = x->texts->settings.directory_state;
	int result = writing_begin(&y, state, &x->settings, why);

	if (result == 0 && generation_number(state) != x->number)
		result = fail(why, "another generation was made current meanwhile; try again");
	if (result == 0)
		result = writing_files(&y, same_as_mine, write_merged, x, why);
	if (result == 0)
		result = take_keys(x->generation, &y.w, why);
	return writing_finish(&y, result, true, x->settings.generations_keep, why);
}

/* ---- a few entries ---- */

static bool same_as_before(void *context, int file, struct map *old)
{
	const struct partial *p = context;
	int id = maptable_of_file(file);

	(void)old;
	if (file == GENERATION_ASKED)
		return p->m.asked.over;
	return id < 0 || p->ways[id] == PARTIAL_SAME ||
	       (file < MAPS && p->ways[id] == PARTIAL_OVERLAY);
}

static bool has_overlay(void *context, enum map_id id)
{
	const struct partial *p = context;

	return p->ways[id] == PARTIAL_OVERLAY
	               ? p->overlays[id].count != 0
	               : p->ways[id] == PARTIAL_SAME && map_has_overlay(&p->maps[id]);
}

/* Those of the generation in their places, as they are now. */
static int put_old(struct partial *p, enum map_id id, struct cdb_make *make)
{
	struct view key, value;
	enum map_result more;
	int result = 0;

	map_rewind(&p->maps[id]);
	while ((more = mapsure_next(&p->maps[id], id, &key, &value)) == MAP_FOUND && result == 0) {
		const struct map_entry *e = hashtable_find(&p->m.maps[id].index, key);

		if (e == NULL || e->line != 0)
			result = writing_put(make, key, e != NULL ? e->compiled : value);
	}
	if (more == MAP_DAMAGED)
		errno = MAP_ERRNO_DAMAGED;
	return more == MAP_DAMAGED ? -1 : result;
}

/* With all in place, the overlay's too. Such is also a file that stays what it is, and cannot be
 * linked. */
static int fold(struct partial *p, enum map_id file, struct cdb_make *make)
{
	int result = put_old(p, file, make);

	for (size_t i = 0; i < p->m.maps[file].count && result == 0; i++) {
		const struct map_entry *e = p->m.maps[file].entries[i];
		struct view value;
		enum map_result there = map_get(&p->maps[file], e->key, &value);

		if (there == MAP_DAMAGED)
			errno = MAP_ERRNO_DAMAGED;
		if (there != MAP_FOUND)
			result = there == MAP_DAMAGED ? -1 : writing_put(make, e->key, e->compiled);
	}
	return result;
}

static int write_edited(void *context, int file, struct cdb_make *make)
{
	struct partial *p = context;
	int id = maptable_of_file(file);

	if (file == GENERATION_ASKED)
		return inputs_write_asked(&p->m, make);
	if (id >= 0 && file >= MAPS && p->ways[id] == PARTIAL_OVERLAY)
		return overlay_write(&p->overlays[id], make);
	return file < MAPS ? fold(p, (enum map_id)file, make)
	                   : copy_contents(p->generation, file, make);
}

static int add_inputs_again(void *context, struct cdb_make *make)
{
	struct partial *p = context;

	return inputs_write_again(&p->m, &p->manifest, make);
}

long publish_partial(struct partial *p, struct reason *why)
{
	struct writing y = { .from = p->generation,
		             .manifest = &p->manifest,
		             .has_overlay = has_overlay,
		             .known = &p->known,
		             .add_inputs = add_inputs_again,
		             .context = p };
	const char *state = p->m.settings.directory_state;
	int result = writing_begin(&y, state, &p->m.settings, why);

	if (result == 0 && generation_number(state) != p->number)
		result = fail(why, "another generation was made current meanwhile; try again");
	if (result == 0)
		result = writing_files(&y, same_as_before, write_edited, p, why);
	if (result == 0)
		result = take_keys(p->generation, &y.w, why);
	return writing_finish(&y, result, true, p->m.settings.generations_keep, why);
}
