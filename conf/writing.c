/* SPDX-License-Identifier: ISC */
#include "conf/writing.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/asking.h"
#include "lib/conf/value.h"

int writing_put(struct cdb_make *make, struct view key, struct view value)
{
	return cdb_make_add(make, key.data, (unsigned)key.len, value.data, (unsigned)value.len);
}

int writing_give_map(struct map_entry *const *entries, size_t count, enum map_id id,
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
	return writing_put(context, key, value);
}

int writing_put_map(struct map_entry *const *entries, size_t count, enum map_id id,
                    struct cdb_make *make)
{
	return writing_give_map(entries, count, id, put_entry, make);
}

/* ---- a file ---- */

static mode_t mode_of(int file)
{
	int id = maptable_of_file(file);

	return id >= 0 && maptable[id].secret ? 0600 : 0644;
}

static int write_file(struct generation_writer *w, const char *name, mode_t mode, int file,
                      contents_function *contents, void *context, struct manifest_row *row,
                      struct reason *why)
{
	struct cdb_make make;
	struct reason detail;
	int fd = generation_create(w, name, mode, why), result = -1;

	if (fd < 0)
		return -1;
	row->generation = (uint64_t)w->number;
	if (cdb_make_start(&make, fd) != 0 || contents(context, file, &make) != 0 ||
	    cdb_make_finish(&make) != 0)
		fail_errno(why, "write %s", name);
	else if (map_seal(fd, name, row->generation, &row->sum, &detail) != 0)
		fail(why, "%s: %s", name, detail.text);
	else if ((result = fsync(fd)) != 0)
		fail_errno(why, "write %s", name);
	map_identify(fd, &row->identity);
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

bool writing_links(int from, int file)
{
	char name[MAPTABLE_FILE_NAME_MAX];

	maptable_generation_file(file, name);
	return is_ours(from, name, mode_of(file));
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
	*row = (struct manifest_row){ old->generation, old->sum, old->identity };
	return true;
}

/* The same of files that were verified. */
static bool take_verified(struct writing *x, const char *name, int file, same_function *same,
                          void *context)
{
	if (!same(context, file, NULL) || !is_ours(x->from, name, mode_of(file)) ||
	    !manifest_find(x->manifest, name, &x->rows[file]))
		return false;
	x->rows[file].identity = x->known->files[file];
	return linkat(x->from, name, x->w.own, name, 0) == 0;
}

static bool take_old(struct writing *x, const char *name, int file, same_function *same,
                     void *context)
{
	struct map old;

	if (x->manifest != NULL)
		return take_verified(x, name, file, same, context);

	if (!open_old(x, name, mode_of(file), &old))
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
		if (x->rows[i].generation == 0) /* there is none */
			continue;
		maptable_generation_file(i, name);
		text_clear(&value);
		manifest_encode(&x->rows[i], &value);
		result = writing_put(make, view_of(name), text_view(&value));
	}
	text_free(&value);
	return result == 0 && x->add_inputs != NULL ? x->add_inputs(x->context, make) : result;
}

static bool is_wanted(const struct writing *x, int file, void *context)
{
	if (file == GENERATION_ASKED)
		return x->add_inputs != NULL;
	if (file < GENERATION_OVERLAYS)
		return true;
	enum map_id id = (enum map_id)maptable_of_file(file);

	return x->has_overlay != NULL && !x->written[id] && x->has_overlay(context, id);
}

int writing_files(struct writing *x, same_function *same, contents_function *contents,
                  void *context, struct reason *why)
{
	char name[MAPTABLE_FILE_NAME_MAX];
	struct manifest_row manifest;

	for (int file = 0; file < GENERATION_MANIFEST; file++) {
		maptable_generation_file(file, name);
		if (!is_wanted(x, file, context) || take_old(x, name, file, same, context))
			continue;
		if (file < MAPS)
			x->written[file] = true;
		if (write_file(&x->w, name, mode_of(file), file, contents, context, &x->rows[file],
		               why) != 0)
			return -1;
	}
	return write_file(&x->w, MANIFEST_FILE, 0644, 0, write_manifest, x, &manifest, why);
}

long writing_finish(struct writing *x, int result, bool by_edit, int keep, struct reason *why)
{
	struct generation_writer *w = &x->w;

	if (result == 0 && by_edit)
		result = generation_mark_edit(w, why);
	if (result == 0 && generation_publish(w, keep, why) == 0)
		return w->number;
	generation_abandon(w);
	return w->pointed ? -2 : -1;
}

int writing_begin(struct writing *x, const char *state, const struct settings *s,
                  struct reason *why)
{
	struct generation_writer *w = &x->w;

	*w = (struct generation_writer){ .all = -1, .own = -1 };
	if (ask_takes_from(s, state, &w->in_use, why) < 0)
		return -1;
	int result = generation_begin(w, state, why);

	if (result == 0)
		w->in_use = ask_generation(s); /* none is published meanwhile */
	return result;
}
