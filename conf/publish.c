/* SPDX-License-Identifier: ISC */
#include "conf/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/asking.h"
#include "conf/certificates.h"
#include "conf/mine.h"
#include "conf/model.h"
#include "lib/base/file.h"
#include "lib/conf/generation.h"
#include "lib/conf/manifest.h"
#include "lib/conf/value.h"
#include "lib/wire/signkey.h"

/* A generation that is being written, and what its files are; from: the current one, whose files
 * are taken where they would be the same, or -1. */
struct writing {
	struct generation_writer w;
	int from;
	struct manifest_row rows[GENERATION_MANIFEST];
};

static int put(struct cdb_make *make, struct view key, struct view value)
{
	return cdb_make_add(make, key.data, (unsigned)key.len, value.data, (unsigned)value.len);
}

static int write_settings(const struct model *m, struct cdb_make *make)
{
	struct text value;
	int result = 0;

	text_init(&value, 4096);
	for (size_t i = 0; i < settings_count && result == 0; i++) {
		text_clear(&value);
		setting_format(&m->settings, &settings_table[i], &value);
		if (!view_equal(text_view(&value), view_of(settings_table[i].initial)))
			result = put(make, view_of(settings_table[i].key), text_view(&value));
	}
	text_free(&value);
	return result;
}

/* Where the entries of a map go, in their order; 0, or what ends it. */
typedef int entry_sink(void *context, struct view key, struct view value);

static int give_map(struct map_entry *const *entries, size_t count, enum map_id id,
                    entry_sink *sink, void *context)
{
	struct text key, value;
	int result = 0;

	for (size_t i = 0; i < count && result == 0; i++)
		result = sink(context, entries[i]->key, entries[i]->compiled);
	if (map_kinds[id].index == NULL || result != 0)
		return result;
	text_init(&key, MAP_KEY_MAX);
	text_init(&value, VALUE_MAX);
	map_kinds[id].index(entries, count, &key, &value);
	result = sink(context, text_view(&key), text_view(&value));
	text_free(&key);
	text_free(&value);
	return result;
}

static int put_entry(void *context, struct view key, struct view value)
{
	return put(context, key, value);
}

static int write_map(struct map_entry *const *entries, size_t count, enum map_id id,
                     struct cdb_make *make)
{
	return give_map(entries, count, id, put_entry, make);
}

static int put_certificate_name(struct cdb_make *make, struct view name, uint32_t index)
{
	struct text key, value;

	text_init(&key, name.len + MAP_KEY_MAX);
	text_init(&value, 4096);
	certificate_name_key(name, &key);
	certificate_index_encode(index, &value);
	/* Two certificates for one name: the first by file name serves it. */
	int result = cdb_make_put(make, text_string(&key), (unsigned)key.len, text_string(&value),
	                          (unsigned)value.len, CDB_PUT_INSERT);

	text_free(&key);
	text_free(&value);
	return result < 0 ? -1 : 0;
}

static int write_certificate(const struct model_certificate *c, struct cdb_make *make)
{
	struct text key, value;
	int result = 0;

	text_init(&key, 4096);
	text_init(&value, 1 << 20);
	certificate_key(c->certificate.index, &key);
	certificate_encode(&c->certificate, &value);
	if (value.full) {
		errno = EFBIG;
		result = -1;
	} else {
		result = put(make, text_view(&key), text_view(&value));
	}
	text_free(&key);
	text_free(&value);
	for (size_t i = 0; i < c->name_count && result == 0; i++)
		result = put_certificate_name(make, c->names[i], c->certificate.index);
	return result;
}

static int write_certificates(const struct model *m, struct cdb_make *make)
{
	int result = 0;

	for (size_t i = 0; i < m->certificate_count && result == 0; i++)
		result = write_certificate(&m->certificates[i], make);
	if (m->certificate_count && result == 0)
		result = put_certificate_name(make, VIEW("*"), (uint32_t)m->certificate_default);
	return result;
}

/* What stands in a file of a generation; errno. */
typedef int contents_function(void *context, int file, struct cdb_make *make);

static int write_contents(void *context, int file, struct cdb_make *make)
{
	const struct model *m = context;

	if (file == GENERATION_SETTINGS)
		return write_settings(m, make);
	if (file == GENERATION_CERTIFICATES)
		return write_certificates(m, make);
	return write_map(m->maps[file].entries, m->maps[file].count, (enum map_id)file, make);
}

static mode_t mode_of(int file)
{
	return file < MAPS && maptable[file].secret ? 0600 : 0644;
}

/* *sum: of its trailer. */
static int write_file(struct generation_writer *w, const char *name, mode_t mode, int file,
                      contents_function *contents, void *context, uint64_t *sum, struct reason *why)
{
	struct cdb_make make;
	struct reason detail;
	int fd = generation_create(w, name, mode, why), result = -1;

	if (fd < 0)
		return -1;
	if (cdb_make_start(&make, fd) != 0 || contents(context, file, &make) != 0 ||
	    cdb_make_finish(&make) != 0)
		fail_errno(why, "write %s", name);
	else if (map_seal(fd, name, (uint64_t)w->number, sum, &detail) != 0)
		fail(why, "%s: %s", name, detail.text);
	else if ((result = fsync(fd)) != 0)
		fail_errno(why, "write %s", name);
	close(fd);
	return result;
}

/* ---- files that stay what they are ---- */

/* Whole, and one that we would have made so. */
static bool is_ours(int from, const char *name, mode_t mode)
{
	struct stat st;

	return fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	       (st.st_mode & 07777) == mode && st.st_uid == geteuid();
}

/* A file of the current generation that can be one of this; false: it is to be written. */
static bool open_old(const struct writing *x, const char *name, mode_t mode, struct map *out)
{
	int fd = x->from >= 0 && is_ours(x->from, name, mode) ? generation_file(x->from, name, NULL)
	                                                      : -1;

	if (fd >= 0 && map_open(out, fd, name, NULL) == 0)
		return true;
	if (fd >= 0)
		close(fd);
	return false;
}

/* One byte in two generations: what damages it damages both, and the next build writes it anew. */
static bool link_old(struct writing *x, const char *name, const struct map *old,
                     struct manifest_row *row)
{
	if (old->generation == 0 || linkat(x->from, name, x->w.own, name, 0) != 0)
		return false;
	*row = (struct manifest_row){ old->generation, old->sum };
	return true;
}

static int expect_next(void *context, struct view key, struct view value)
{
	struct view old_key, old_value;

	return map_next(context, &old_key, &old_value) == MAP_FOUND && view_equal(key, old_key) &&
	                       view_equal(value, old_value)
	               ? 0
	               : -1;
}

static bool is_same(const struct model_map *now, enum map_id id, struct map *old)
{
	struct view key, value;

	return give_map(now->entries, now->count, id, expect_next, old) == 0 &&
	       map_next(old, &key, &value) == MAP_MISSING;
}

/* ---- all files ---- */

/* Does the file of the current generation, which is open, hold what the new one would? */
typedef bool same_function(void *context, int file, struct map *old);

static bool same_as_model(void *context, int file, struct map *old)
{
	const struct model *m = context;

	return is_same(&m->maps[file], (enum map_id)file, old);
}

static bool take_old(struct writing *x, const char *name, int file, same_function *same,
                     void *context)
{
	struct map old;

	if (file >= MAPS || !open_old(x, name, mode_of(file), &old))
		return false;
	bool taken = same(context, file, &old) && link_old(x, name, &old, &x->rows[file]);

	map_close(&old);
	return taken;
}

static int write_manifest(void *context, int file, struct cdb_make *make)
{
	const struct writing *x = context;
	char name[MAPTABLE_FILE_NAME_MAX];
	struct text value;
	int result = 0;

	(void)file;
	text_init(&value, 64);
	for (int i = 0; i < GENERATION_MANIFEST && result == 0; i++) {
		maptable_generation_file(i, name);
		text_clear(&value);
		manifest_encode(&x->rows[i], &value);
		result = put(make, view_of(name), text_view(&value));
	}
	text_free(&value);
	return result;
}

static int write_files(struct writing *x, same_function *same, contents_function *contents,
                       void *context, struct reason *why)
{
	char name[MAPTABLE_FILE_NAME_MAX];
	uint64_t sum;

	for (int file = 0; file < GENERATION_MANIFEST; file++) {
		maptable_generation_file(file, name);
		if (take_old(x, name, file, same, context))
			continue;
		if (write_file(&x->w, name, mode_of(file), file, contents, context, &sum, why) != 0)
			return -1;
		x->rows[file] = (struct manifest_row){ (uint64_t)x->w.number, sum };
	}
	return write_file(&x->w, MANIFEST_FILE, 0644, 0, write_manifest, x, &sum, why);
}

/* ---- keys ---- */

static int copy_key(const struct certificate *c, int keys, struct reason *why)
{
	const char *path = c->key_path.data, *slash = strrchr(path, '/'),
		   *name = slash != NULL ? slash + 1 : path;
	int fd = openat(keys, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EEXIST)
		return 0; /* of two certificates */
	if (fd < 0)
		return fail_errno(why, "make keys/%s of the new generation", name);
	int result = certificate_copy_key(c, fd, why);

	close(fd);
	return result;
}

static int write_keys(const struct model *m, struct generation_writer *w, struct reason *why)
{
	int keys = generation_create_directory(w, "keys", why), result = 0;

	if (keys < 0)
		return -1;
	for (size_t i = 0; i < m->certificate_count && result == 0; i++)
		result = copy_key(&m->certificates[i].certificate, keys, why);
	if (result == 0 && fsync(keys) != 0)
		result = fail_errno(why, "write keys of the new generation");
	close(keys);
	return result;
}

/* Its number, or -1 when something of it failed before. */
static long finish(struct generation_writer *w, int result, bool by_edit, int keep,
                   struct reason *why)
{
	if (result == 0 && by_edit)
		result = generation_mark_edit(w, why);
	if (result == 0 && generation_publish(w, keep, why) == 0)
		return w->number;
	generation_abandon(w);
	return -1;
}

/* What the running server goes on with while it refuses others must be there to return to. */
static int begin(struct generation_writer *w, const char *state, const struct settings *s,
                 struct reason *why)
{
	*w = (struct generation_writer){ .all = -1, .own = -1 };
	if (ask_takes_from(s, state, &w->in_use, why) < 0)
		return -1;
	int result = generation_begin(w, state, why);

	if (result == 0)
		w->in_use = ask_generation(s); /* none is published meanwhile */
	return result;
}

long publish_generation(struct model *m, bool by_edit, struct reason *why)
{
	struct writing x;
	int result = begin(&x.w, m->settings.directory_state, &m->settings, why);

	x.from = result == 0 ? generation_open(m->settings.directory_state, NULL) : -1;
	if (result == 0)
		result = write_files(&x, same_as_model, write_contents, m, why);
	if (result == 0)
		result = write_keys(m, &x.w, why);
	if (x.from >= 0)
		close(x.from);
	return finish(&x.w, result, by_edit, m->settings.generations_keep, why);
}

/* ---- the current one and an edit ---- */

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
		result = put(make, key, value);
	if (more == MAP_DAMAGED) {
		errno = MAP_ERRNO_DAMAGED;
		result = -1;
	}
	map_close(&map);
	return result;
}

static int write_merged(void *context, int file, struct cdb_make *make)
{
	struct mine *x = context;
	struct map_entry **entries;
	size_t count;

	if (file >= MAPS)
		return copy_contents(x->generation, file, make);
	int result = mine_merge(x, (enum map_id)file, &entries, &count);

	if (result == 0)
		result = write_map(entries, count, (enum map_id)file, make);
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
	return x->maps[file].count == 0;
}

long publish_mine(struct mine *x, struct reason *why)
{
	struct writing y = { .from = x->generation };
	const char *state = x->texts->settings.directory_state;
	int result = begin(&y.w, state, &x->settings, why);

	if (result == 0 && generation_number(state) != x->number)
		result = fail(why, "another generation was made current meanwhile; try again");
	if (result == 0)
		result = write_files(&y, same_as_mine, write_merged, x, why);
	if (result == 0)
		result = take_keys(x->generation, &y.w, why);
	return finish(&y.w, result, true, x->settings.generations_keep, why);
}
