/* SPDX-License-Identifier: ISC */
#include "conf/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/certificates.h"
#include "conf/model.h"
#include "lib/conf/generation.h"
#include "lib/conf/value.h"

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

static int write_map(const struct model *m, enum map_id id, struct cdb_make *make)
{
	const struct model_map *map = &m->maps[id];
	struct text key, value;
	int result = 0;

	for (size_t i = 0; i < map->count && result == 0; i++)
		result = put(make, map->entries[i]->key, map->entries[i]->compiled);
	if (map_kinds[id].index == NULL || result != 0)
		return result;
	text_init(&key, MAP_KEY_MAX);
	text_init(&value, VALUE_MAX);
	map_kinds[id].index(map->entries, map->count, &key, &value);
	result = put(make, text_view(&key), text_view(&value));
	text_free(&key);
	text_free(&value);
	return result;
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

static int write_contents(const struct model *m, int file, struct cdb_make *make)
{
	if (file == GENERATION_SETTINGS)
		return write_settings(m, make);
	if (file == GENERATION_CERTIFICATES)
		return write_certificates(m, make);
	return write_map(m, (enum map_id)file, make);
}

static int write_file(const struct model *m, struct generation_writer *w, int file,
                      struct reason *why)
{
	char name[MAPTABLE_FILE_NAME_MAX];
	struct cdb_make make;
	struct reason detail;

	maptable_generation_file(file, name);
	bool secret = file < MAPS && maptable[file].secret;
	int fd = generation_create(w, name, secret ? 0600 : 0644, why), result = -1;

	if (fd < 0)
		return -1;
	if (cdb_make_start(&make, fd) != 0 || write_contents(m, file, &make) != 0 ||
	    cdb_make_finish(&make) != 0)
		fail_errno(why, "write %s", name);
	else if (map_seal(fd, name, (uint64_t)w->number, &detail) != 0)
		fail(why, "%s: %s", name, detail.text);
	else if ((result = fsync(fd)) != 0)
		fail_errno(why, "write %s", name);
	close(fd);
	return result;
}

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

long publish_generation(const struct model *m, bool by_edit, struct reason *why)
{
	struct generation_writer w;
	int result = generation_begin(&w, m->settings.directory_state, why);

	for (int file = 0; file < GENERATION_FILES && result == 0; file++)
		result = write_file(m, &w, file, why);
	if (result == 0)
		result = write_keys(m, &w, why);
	if (result == 0 && by_edit)
		result = generation_mark_edit(&w, why);
	if (result == 0 && generation_publish(&w, m->settings.generations_keep, why) == 0)
		return w.number;
	generation_abandon(&w);
	return -1;
}
