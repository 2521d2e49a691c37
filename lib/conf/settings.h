/* SPDX-License-Identifier: ISC */
/*
 * The settings: struct settings has one typed field for each row of settings.def.
 *
 * Text is parsed by `posthouse build` alone; programs load the compiled form
 * (settings.cdb of the current generation: key -> value as text, only the keys
 * that differ from the defaults) from a descriptor that master opened for them.
 */
#ifndef LIB_CONF_SETTINGS_H
#define LIB_CONF_SETTINGS_H

#include "lib/base/arena.h"
#include "lib/base/bytes.h"
#include "lib/base/reason.h"

enum {
	SETTING_VALUE_MAX = 1024,
	PORTERS_MAX = 8 /* porter.processes goes so far (settings.def); master and keyd have as many
	                   places */
};

#define SETTING_FIELD_INT(field)       int field;
#define SETTING_FIELD_SIZE(field)      uint64_t field;
#define SETTING_FIELD_DURATION(field)  int64_t field;
#define SETTING_FIELD_BOOL(field)      bool field;
#define SETTING_FIELD_CHOICE(field)    const char *field;
#define SETTING_FIELD_STRING(field)    const char *field;
#define SETTING_FIELD_DIRECTORY(field) const char *field;
#define SETTING_FIELD_LISTEN(field)    const char *field;

struct settings {
#define SETTING(type, key, field, initial, range, readers, help) SETTING_FIELD_##type(field)
#include "lib/conf/settings.def"
#undef SETTING
	struct arena strings; /* owns the strings that were parsed */
};

enum setting_type {
	SETTING_INT,
	SETTING_SIZE,
	SETTING_DURATION,
	SETTING_BOOL,
	SETTING_CHOICE,
	SETTING_STRING,
	SETTING_DIRECTORY,
	SETTING_LISTEN
};

struct setting {
	enum setting_type type;
	const char *key;
	size_t offset; /* of the field in struct settings */
	const char *initial, *range, *readers, *help;
};

extern const struct setting settings_table[];
extern const size_t settings_count;

/* All defaults; host.name and mail.domain become this machine's name. */
void settings_default(struct settings *s);
/* The defaults, then the compiled settings from the descriptor (not closed).  An unknown key or a
 * bad value is an error, after which there is nothing to free.  Strings belong to the struct. */
int settings_load(struct settings *s, int fd, struct reason *why);
/* The same of a generation (generation.h). */
int settings_load_generation(struct settings *s, int generation, struct reason *why);
/* For programs of the house, before program_confine: those of the generation that master gave;
 * fatal when they cannot be read. Sets the log's debug level too. */
void settings_inherit(struct settings *s);
void settings_free(struct settings *s);

/* The row of a key, or NULL. */
const struct setting *setting_find(struct view key);
/* The row whose key is most like this one, or NULL when none is near. */
const struct setting *setting_nearest(struct view key);
/* Checks one value and stores it; the reason names the nearest key, or the allowed range. */
int setting_parse(struct settings *s, struct view key, struct view value, struct reason *why);
/* Does that program work with it (settings.def)? */
bool setting_is_read_by(const struct setting *row, const char *program);
/* Writes the value that the settings hold as canonical text. */
void setting_format(const struct settings *s, const struct setting *row, struct text *out);

/* "30s", "5m", "500ms"; a number without a unit only when it is 0. */
bool duration_parse(struct view text, int64_t *ms);
void duration_format(int64_t ms, struct text *out); /* in the largest unit that is exact */
/* "50M", "64K", "1234". */
bool size_parse(struct view text, uint64_t *bytes);
void size_format(uint64_t bytes, struct text *out);

#endif
