/* SPDX-License-Identifier: ISC */
#include "conf/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/certificates.h"
#include "conf/inputs.h"
#include "conf/model.h"
#include "conf/writing.h"
#include "lib/base/file.h"
#include "lib/conf/generation.h"
#include "lib/conf/value.h"

static int write_settings(const struct model *m, struct cdb_make *make)
{
	struct text value;
	int result = 0;

	text_init(&value, 4096);
	for (size_t i = 0; i < settings_count && result == 0; i++) {
		text_clear(&value);
		setting_format(&m->settings, &settings_table[i], &value);
		if (!view_equal(text_view(&value), view_of(settings_table[i].initial)))
			result = writing_put(make, view_of(settings_table[i].key),
			                     text_view(&value));
	}
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
		result = writing_put(make, text_view(&key), text_view(&value));
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

static int write_contents(void *context, int file, struct cdb_make *make)
{
	const struct model *m = context;

	if (file == GENERATION_SETTINGS)
		return write_settings(m, make);
	if (file == GENERATION_CERTIFICATES)
		return write_certificates(m, make);
	if (file == GENERATION_ASKED)
		return inputs_write_asked(m, make);
	return writing_put_map(m->maps[file].entries, m->maps[file].count, (enum map_id)file, make);
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

	return writing_give_map(now->entries, now->count, id, expect_next, old) == 0 &&
	       map_next(old, &key, &value) == MAP_MISSING;
}

static bool same_as_model(void *context, int file, struct map *old)
{
	const struct model *m = context;

	return file < MAPS ? is_same(&m->maps[file], (enum map_id)file, old)
	                   : file == GENERATION_ASKED && inputs_same_asked(m, old);
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

/* What was there before, and what becomes of it. */
struct publishing {
	struct model *m;
	struct map before; /* the manifest */
	bool has_before;
};

static int add_inputs(void *context, struct cdb_make *make)
{
	struct publishing *p = context;

	return inputs_write(p->m, p->has_before ? &p->before : NULL, make);
}

long publish_generation(struct model *m, bool by_edit, struct reason *why)
{
	struct publishing p = { .m = m };
	struct writing x = { .from = -1, .add_inputs = add_inputs, .context = &p };
	int result = writing_begin(&x, m->settings.directory_state, &m->settings, why);

	x.from = result == 0 ? generation_open(m->settings.directory_state, NULL) : -1;
	p.has_before = x.from >= 0 && manifest_open(x.from, &p.before, NULL) > 0;
	if (result == 0)
		result = writing_files(&x, same_as_model, write_contents, m, why);
	if (result == 0)
		result = write_keys(m, &x.w, why);
	if (p.has_before)
		map_close(&p.before);
	if (x.from >= 0)
		close(x.from);
	return writing_finish(&x, result, by_edit, m->settings.generations_keep, why);
}
