/* SPDX-License-Identifier: ISC */
#include "lib/conf/settings.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/conf/generation.h"
#include "lib/conf/map.h"
#include "lib/conf/services.h"

const struct setting settings_table[] = {
#define SETTING(type, key, field, initial, range, readers, help) \
	{ SETTING_##type, key, offsetof(struct settings, field), initial, range, readers, help },
#include "lib/conf/settings.def"
#undef SETTING
};

const size_t settings_count = sizeof settings_table / sizeof settings_table[0];

static const struct unit {
	const char *name;
	int64_t ms;
} duration_units[] = {
	{ "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 }
};

bool duration_parse(struct view text, int64_t *ms)
{
	size_t digits = 0;
	uint64_t number;

	while (digits < text.len && byte_is_digit(text.data[digits]))
		digits++;
	if (!view_number(view_take(text, digits), INT64_MAX / 86400000, &number))
		return false;
	struct view unit = view_skip(text, digits);

	for (size_t i = 0; i < sizeof duration_units / sizeof duration_units[0]; i++) {
		if (view_equal(unit, view_of(duration_units[i].name))) {
			*ms = (int64_t)number * duration_units[i].ms;
			return true;
		}
	}
	*ms = 0;
	return unit.len == 0 && number == 0;
}

void duration_format(int64_t ms, struct text *out)
{
	if (ms == 0) {
		text_add_string(out, "0");
		return;
	}
	for (size_t i = 0; i < sizeof duration_units / sizeof duration_units[0]; i++) {
		if (ms % duration_units[i].ms == 0) {
			text_format(out, "%" PRId64 "%s", ms / duration_units[i].ms,
			            duration_units[i].name);
			return;
		}
	}
}

static const char size_units[] = "TGMK";

bool size_parse(struct view text, uint64_t *bytes)
{
	int shift = 0;

	for (int i = 0; text.len && size_units[i]; i++)
		if (byte_upper(text.data[text.len - 1]) == size_units[i])
			shift = 10 * (4 - i);
	if (shift)
		text.len--;
	if (!view_number(text, UINT64_MAX >> shift, bytes))
		return false;
	*bytes <<= shift;
	return true;
}

void size_format(uint64_t bytes, struct text *out)
{
	for (int i = 0; size_units[i] && bytes; i++) {
		int shift = 10 * (4 - i);

		if (bytes % (UINT64_C(1) << shift) == 0) {
			text_format(out, "%" PRIu64 "%c", bytes >> shift, size_units[i]);
			return;
		}
	}
	text_format(out, "%" PRIu64, bytes);
}

const struct setting *setting_find(struct view key)
{
	for (size_t i = 0; i < settings_count; i++)
		if (view_equal(view_of(settings_table[i].key), key))
			return &settings_table[i];
	return NULL;
}

enum { KEY_MAX = 64 };

/* Levenshtein distance: how many bytes must be changed, added or taken away. */
static unsigned distance(struct view a, struct view b)
{
	unsigned row[KEY_MAX + 1];

	if (a.len > KEY_MAX || b.len > KEY_MAX)
		return UINT_MAX;
	for (size_t j = 0; j <= b.len; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= a.len; i++) {
		unsigned corner = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b.len; j++) {
			unsigned best = corner + (a.data[i - 1] != b.data[j - 1]);

			corner = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[b.len];
}

const struct setting *setting_nearest(struct view key)
{
	const struct setting *nearest = NULL;
	unsigned least = UINT_MAX;

	for (size_t i = 0; i < settings_count; i++) {
		unsigned far = distance(key, view_of(settings_table[i].key));

		if (far < least) {
			least = far;
			nearest = &settings_table[i];
		}
	}
	return least <= key.len / 3 + 1 ? nearest : NULL;
}

/* The two ends of "low..high". */
static void range_ends(const struct setting *row, struct view *low, struct view *high)
{
	*high = view_of(row->range);
	view_cut(high, '.', low);
	*high = view_skip(*high, 1);
}

static int range_error(const struct setting *row, struct view value, const char *what,
                       struct reason *why)
{
	struct view low, high;

	range_ends(row, &low, &high);
	return fail(why, "%s: \"%.*s\" is not %s from %.*s to %.*s", row->key, VIEW_ARG(value),
	            what, VIEW_ARG(low), VIEW_ARG(high));
}

static int parse_int(const struct setting *row, struct view value, int *out, struct reason *why)
{
	struct view low, high;
	uint64_t number, least, most;

	range_ends(row, &low, &high);
	view_number(low, INT_MAX, &least);
	view_number(high, INT_MAX, &most);
	if (!view_number(value, most, &number) || number < least)
		return range_error(row, value, "a number", why);
	*out = (int)number;
	return 0;
}

static int parse_size(const struct setting *row, struct view value, uint64_t *out,
                      struct reason *why)
{
	struct view low, high;
	uint64_t number, least, most;

	range_ends(row, &low, &high);
	size_parse(low, &least);
	size_parse(high, &most);
	if (!size_parse(value, &number) || number < least || number > most)
		return range_error(row, value, "a size in bytes (or with K, M, G)", why);
	*out = number;
	return 0;
}

static int parse_duration(const struct setting *row, struct view value, int64_t *out,
                          struct reason *why)
{
	struct view low, high;
	int64_t number, least, most;

	range_ends(row, &low, &high);
	duration_parse(low, &least);
	duration_parse(high, &most);
	if (!duration_parse(value, &number) || number < least || number > most)
		return range_error(row, value, "a time with its unit (ms, s, m, h, d)", why);
	*out = number;
	return 0;
}

static int parse_bool(const struct setting *row, struct view value, bool *out, struct reason *why)
{
	*out = view_equal(value, VIEW("yes"));
	if (!*out && !view_equal(value, VIEW("no")))
		return fail(why, "%s: \"%.*s\" is neither yes nor no", row->key, VIEW_ARG(value));
	return 0;
}

static int check_choice(const struct setting *row, struct view value, struct reason *why)
{
	struct view rest = view_of(row->range), word;

	while (view_cut(&rest, '|', &word))
		if (view_equal(word, value))
			return 0;
	return fail(why, "%s: \"%.*s\" is not one of %s", row->key, VIEW_ARG(value), row->range);
}

static int check_listen(const struct setting *row, struct view value, struct reason *why)
{
	struct net_address address;
	struct view rest = value;
	struct reason detail;

	for (;;) {
		int result = listen_next(&rest, &address, &detail);

		if (result == 0)
			return 0;
		if (result < 0)
			return fail(why, "%s: %s", row->key, detail.text);
	}
}

static int check_string(const struct setting *row, struct view value, struct reason *why)
{
	if (value.len > SETTING_VALUE_MAX)
		return fail(why, "%s: the value is longer than %d bytes", row->key,
		            SETTING_VALUE_MAX);
	if (view_has_controls(value))
		return fail(why, "%s: a control character in the value", row->key);
	if (value.len == 0 && strcmp(row->range, "required") == 0)
		return fail(why, "%s: a value is needed", row->key);
	if (row->type == SETTING_DIRECTORY && (value.len == 0 || value.data[0] != '/'))
		return fail(why, "%s: \"%.*s\" is not an absolute path", row->key, VIEW_ARG(value));
	if (row->type == SETTING_CHOICE)
		return check_choice(row, value, why);
	if (row->type == SETTING_LISTEN)
		return check_listen(row, value, why);
	return 0;
}

static int setting_store(struct settings *s, const struct setting *row, struct view value,
                         struct reason *why)
{
	char *field = (char *)s + row->offset;

	switch (row->type) {
	case SETTING_INT: return parse_int(row, value, (int *)(void *)field, why);
	case SETTING_SIZE: return parse_size(row, value, (uint64_t *)(void *)field, why);
	case SETTING_DURATION: return parse_duration(row, value, (int64_t *)(void *)field, why);
	case SETTING_BOOL: return parse_bool(row, value, (bool *)field, why);
	case SETTING_CHOICE:
	case SETTING_STRING:
	case SETTING_DIRECTORY:
	case SETTING_LISTEN: break;
	}
	if (check_string(row, value, why) != 0)
		return -1;
	*(const char **)(void *)field = arena_string(&s->strings, value);
	return 0;
}

int setting_parse(struct settings *s, struct view key, struct view value, struct reason *why)
{
	const struct setting *row = setting_find(key);

	if (row != NULL)
		return setting_store(s, row, value, why);
	const struct setting *nearest = setting_nearest(key);

	if (nearest != NULL)
		return fail(why, "unknown setting \"%.*s\"; did you mean %s?", VIEW_ARG(key),
		            nearest->key);
	return fail(why, "unknown setting \"%.*s\"; see posthouse.conf(5)", VIEW_ARG(key));
}

void setting_format(const struct settings *s, const struct setting *row, struct text *out)
{
	const char *field = (const char *)s + row->offset;

	switch (row->type) {
	case SETTING_INT: text_format(out, "%d", *(const int *)(const void *)field); break;
	case SETTING_SIZE: size_format(*(const uint64_t *)(const void *)field, out); break;
	case SETTING_DURATION: duration_format(*(const int64_t *)(const void *)field, out); break;
	case SETTING_BOOL: text_add_string(out, *(const bool *)field ? "yes" : "no"); break;
	case SETTING_CHOICE:
	case SETTING_STRING:
	case SETTING_DIRECTORY:
	case SETTING_LISTEN: text_add_string(out, *(const char *const *)(const void *)field); break;
	}
}

bool setting_is_read_by(const struct setting *row, const char *program)
{
	struct view rest = view_of(row->readers), word;

	while (view_cut(&rest, ' ', &word))
		if (view_equal(word, VIEW("*")) || view_equal(word, view_of(program)))
			return true;
	return false;
}

/* The defaults as the table has them. */
static void defaults_from_table(struct settings *s)
{
	struct reason why;

	*s = (struct settings){ 0 };
	for (size_t i = 0; i < settings_count; i++)
		if (setting_store(s, &settings_table[i], view_of(settings_table[i].initial),
		                  &why) != 0)
			log_panic("settings.def: %s", why.text);
}

/* What depends on the machine and on other settings. */
static void complete(struct settings *s)
{
	char name[256] = "";

	if (s->host_name[0] == '\0') {
		if (gethostname(name, sizeof name - 1) != 0 || name[0] == '\0')
			string_put(name, sizeof name, VIEW("localhost"));
		s->host_name = arena_string(&s->strings, view_of(name));
	}
	if (s->mail_domain[0] == '\0')
		s->mail_domain = s->host_name;
}

void settings_default(struct settings *s)
{
	defaults_from_table(s);
	complete(s);
}

static int load_each(struct settings *s, struct map *file, struct reason *why)
{
	struct view key, value;
	enum map_result more;

	while ((more = map_next(file, &key, &value)) == MAP_FOUND)
		if (setting_parse(s, key, value, why) != 0)
			return -1;
	return more == MAP_DAMAGED ? fail(why, "damaged: an entry cannot be read") : 0;
}

int settings_load(struct settings *s, int fd, struct reason *why)
{
	struct map file;

	*s = (struct settings){ 0 };
	if (map_open(&file, fd, "settings.cdb", why) != 0)
		return -1;
	defaults_from_table(s);
	int result = load_each(s, &file, why);

	map_release(&file);
	complete(s);
	if (result != 0)
		settings_free(s);
	return result;
}

int settings_load_generation(struct settings *s, int generation, struct reason *why)
{
	int fd = generation_file(generation, "settings.cdb", why);

	if (fd < 0)
		return -1;
	struct reason detail;
	int result = settings_load(s, fd, &detail);

	close(fd);
	return result == 0 ? 0 : fail(why, "settings.cdb: %s", detail.text);
}

void settings_inherit(struct settings *s)
{
	int fd = program_generation_file("settings.cdb");
	struct reason why;

	if (settings_load(s, fd, &why) < 0)
		log_fatal("settings.cdb: %s (run: posthouse build)", why.text);
	close(fd);
	log_set_debug(s->log_debug);
}

void settings_free(struct settings *s)
{
	arena_clear(&s->strings);
	*s = (struct settings){ 0 };
}
