/* SPDX-License-Identifier: ISC */
#include "conf/inputs.h"

#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/version.h"
#include "lib/conf/accounts.h"
#include "lib/conf/value.h"

enum { DIGEST_BYTES = 32, DIGEST_WORDS_MAX = 1 << 20, ROW_MAX = 128 };

static int64_t ns_of(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int inputs_stamp(int fd, struct timespec *stamp)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };

	/* The system's own times are those of its last tick, which is another one. */
	clock_gettime(CLOCK_REALTIME, &times[1]);
	*stamp = times[1];
	return futimens(fd, times);
}

bool inputs_stamped(int fd, const struct timespec *stamp, size_t size, struct stat *out)
{
	return fstat(fd, out) == 0 && (uint64_t)out->st_size == size &&
	       ns_of(out->st_mtim) == ns_of(*stamp);
}

/* ---- rows ---- */

static void add_stat(struct text *out, const struct stat *st)
{
	value_put_u64(out, (uint64_t)st->st_size);
	value_put_u64(out, (uint64_t)ns_of(st->st_mtim));
	value_put_u64(out, (uint64_t)ns_of(st->st_ctim));
	value_put_u64(out, st->st_ino);
	value_put_u64(out, st->st_dev);
	value_put_u64(out, st->st_mode);
	value_put_u64(out, st->st_uid);
}

/* Who the mailboxes' owner is, and who may be none. */
static void add_accounts(struct text *out, const struct settings *s)
{
	struct stat state;
	uid_t uid;
	gid_t gid;

	text_format(out, "%u", (unsigned)geteuid());
	if (stat(s->directory_state, &state) == 0)
		text_format(out, " %u", (unsigned)state.st_uid);
	for (int a = 0; a < ACCOUNTS; a++)
		if (account_find((enum account)a, s->account_base, &uid, &gid, NULL) == 0)
			text_format(out, " %d=%u:%u", a, (unsigned)uid, (unsigned)gid);
}

/* host.name and mail.domain may be the machine's. */
static void add_settings(struct text *out, const struct settings *s)
{
	for (size_t i = 0; i < settings_count; i++) {
		text_add_byte(out, '\n');
		setting_format(s, &settings_table[i], out);
	}
}

static void add_digest(const struct model *m, struct text *out)
{
	unsigned char digest[DIGEST_BYTES];
	crypto_generichash_state state;
	struct text words;

	text_init(&words, DIGEST_WORDS_MAX);
	text_format(&words, "%s\n%s\n", version_text, m->confdir);
	add_accounts(&words, &m->settings);
	add_settings(&words, &m->settings);
	text_add_byte(&words, '\n');
	crypto_generichash_init(&state, NULL, 0, sizeof digest);
	crypto_generichash_update(&state, (const unsigned char *)text_string(&words), words.len);
	crypto_generichash_update(&state, (const unsigned char *)m->conf.text.data,
	                          m->conf.text.len);
	crypto_generichash_final(&state, digest, sizeof digest);
	text_add(out, (struct view){ (const char *)digest, sizeof digest });
	text_free(&words);
}

static int put(struct cdb_make *make, const char *kind, const char *name, struct view value)
{
	struct text key;

	text_init(&key, MAP_KEY_MAX);
	text_format(&key, "%s%s%s", kind, name[0] ? " " : "", name);
	if (key.full) /* there is a file of which nobody knows whether it is as it was */
		value = VIEW("");
	/* The row of an included file may be there already. */
	struct view row = text_view_cut(&key);
	int result = cdb_make_put(make, row.data, (unsigned)row.len, value.data,
	                          (unsigned)value.len, CDB_PUT_INSERT);

	text_free(&key);
	return result < 0 ? -1 : 0;
}

/* Nobody can have changed it since it was read without another time. */
static bool is_settled(const struct source *source)
{
	return ns_of(source->read_at) - ns_of(source->st.st_mtim) > INPUTS_SETTLED_NS;
}

static int put_stat(struct cdb_make *make, const char *kind, const char *name,
                    const struct stat *st)
{
	struct text value;

	text_init(&value, ROW_MAX);
	add_stat(&value, st);
	int result = put(make, kind, name, text_view(&value));

	text_free(&value);
	return result;
}

/* Nobody can have changed it, or it is one that was known before. */
static bool is_known(const struct source *source, struct map *before, enum map_id id)
{
	if (source->st.st_ino == 0)
		return false;
	return source->stamped || is_settled(source) ||
	       (before != NULL && inputs_is_text(before, id, &source->st));
}

static int put_text(const struct model *m, enum map_id id, struct map *before,
                    struct cdb_make *make)
{
	char name[MAPTABLE_FILE_NAME_MAX];
	const struct source *source = &m->maps[id].source;

	maptable_text_file(id, name);
	return is_known(source, before, id) ? put_stat(make, "text", name, &source->st) : 0;
}

static int put_included(const struct model *m, struct cdb_make *make)
{
	int result = 0;

	for (size_t i = 0; i < m->included_count && result == 0; i++)
		if (is_settled(&m->included[i]))
			result = put_stat(make, "file", m->included[i].path, &m->included[i].st);
		else
			result = put(make, "file", m->included[i].path, VIEW(""));
	return result;
}

/* All rows of another manifest but those of files and texts, and what was asked. */
static int copy_rows(struct map *manifest, struct cdb_make *make)
{
	struct view key, value;
	int result = 0;

	map_rewind(manifest);
	while (result == 0 && map_next(manifest, &key, &value) == MAP_FOUND)
		if (view_starts(key, VIEW("base")) || view_starts(key, VIEW("file ")))
			result = cdb_make_add(make, key.data, (unsigned)key.len, value.data,
			                      (unsigned)value.len);
	return result;
}

static int copy_text(struct map *manifest, enum map_id id, struct cdb_make *make)
{
	char name[MAPTABLE_FILE_NAME_MAX], key[MAPTABLE_FILE_NAME_MAX + 8];
	struct view value;

	maptable_text_file(id, name);
	string_print(key, sizeof key, "text %s", name);
	return map_get(manifest, view_of(key), &value) == MAP_FOUND ? put(make, key, "", value) : 0;
}

static int put_more(const struct model *m, struct cdb_make *make)
{
	struct text more;

	text_init(&more, SIEVE_MORE_MAX * sizeof(uint64_t));
	sieve_put_more(&m->asked, &more);
	int result = put(make, "asked more", "", text_view(&more));

	text_free(&more);
	return result;
}

int inputs_write_again(const struct model *m, struct map *manifest, struct cdb_make *make)
{
	int result = copy_rows(manifest, make);

	for (int id = 0; id < MAPS && result == 0; id++)
		result = m->maps[id].source.text.data != NULL
		                 ? put_text(m, (enum map_id)id, manifest, make)
		                 : copy_text(manifest, (enum map_id)id, make);
	return result != 0 ? -1 : put_more(m, make);
}

int inputs_write(const struct model *m, struct map *before, struct cdb_make *make)
{
	struct text digest;
	int result;

	text_init(&digest, DIGEST_BYTES);
	add_digest(m, &digest);
	result = put(make, "base", "", text_view(&digest));
	text_free(&digest);
	for (int id = 0; id < MAPS && result == 0; id++)
		result = put_text(m, (enum map_id)id, before, make);
	return result == 0 ? put_included(m, make) : result;
}

static struct view bits_of(const struct model *m)
{
	return (struct view){ (const char *)m->asked.bits, m->asked.bits ? m->asked.bytes : 0 };
}

int inputs_write_asked(const struct model *m, struct cdb_make *make)
{
	return put(make, "asked", "", bits_of(m));
}

bool inputs_same_asked(const struct model *m, struct map *asked)
{
	struct view bits;

	return map_get(asked, VIEW("asked"), &bits) == MAP_FOUND && view_equal(bits, bits_of(m));
}

bool inputs_read_asked(struct map *asked, struct map *manifest, struct sieve *out)
{
	struct view bits, more;

	if (map_get(manifest, VIEW("asked more"), &more) != MAP_FOUND)
		more = VIEW("");
	return map_get(asked, VIEW("asked"), &bits) == MAP_FOUND && sieve_lay(out, bits, more);
}

/* ---- are they as they were ---- */

static bool is_row(struct map *manifest, const char *kind, const char *name, struct view wanted)
{
	struct text key;
	struct view value;

	text_init(&key, MAP_KEY_MAX);
	text_format(&key, "%s%s%s", kind, name[0] ? " " : "", name);
	bool same = !key.full && map_get(manifest, text_view(&key), &value) == MAP_FOUND &&
	            view_equal(value, wanted);

	text_free(&key);
	return same;
}

static bool is_stat(struct map *manifest, const char *kind, const char *name, const struct stat *st)
{
	struct text value;

	text_init(&value, ROW_MAX);
	add_stat(&value, st);
	bool same = is_row(manifest, kind, name, text_view(&value));

	text_free(&value);
	return same;
}

bool inputs_is_text(struct map *manifest, enum map_id id, const struct stat *st)
{
	char name[MAPTABLE_FILE_NAME_MAX];

	maptable_text_file(id, name);
	return is_stat(manifest, "text", name, st);
}

/* Nobody includes a file that was not included before: the texts are the same, and an edit of an
 * entry that does is none of partial.h. */
static bool included_are_current(struct map *manifest)
{
	struct view key, value;
	struct stat st;
	char path[PATH_MAX];

	map_rewind(manifest);
	while (map_next(manifest, &key, &value) == MAP_FOUND)
		if (view_starts(key, VIEW("file ")) &&
		    (!string_copy(path, sizeof path, view_skip(key, 5)) || stat(path, &st) != 0 ||
		     !is_stat(manifest, "file", path, &st)))
			return false;
	return true;
}

bool inputs_are_current(struct model *m, struct map *manifest)
{
	struct text digest;
	struct stat st;

	text_init(&digest, DIGEST_BYTES);
	add_digest(m, &digest);
	bool current = is_row(manifest, "base", "", text_view(&digest));

	text_free(&digest);
	for (int id = 0; id < MAPS && current; id++) {
		char name[MAPTABLE_FILE_NAME_MAX];

		maptable_text_file((enum map_id)id, name);
		current = stat(model_path(m, m->confdir, name), &st) == 0 &&
		          inputs_is_text(manifest, (enum map_id)id, &st);
	}
	return current && included_are_current(manifest);
}
