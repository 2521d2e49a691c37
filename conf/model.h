/* SPDX-License-Identifier: ISC */
/*
 * The configuration in memory: settings, maps and certificates as the texts have them.
 *
 * This file reads the texts and knows nobody.  What no single line shows is looked for by
 * consistency.c, certificates are read by certificates.c; load.c calls all of them in order.
 */
#ifndef CONF_MODEL_H
#define CONF_MODEL_H

#include "conf/hashtable.h"
#include "conf/problems.h"
#include "conf/sieve.h"
#include <sys/stat.h>

#include "lib/base/arena.h"
#include "lib/conf/certificates.h"
#include "lib/conf/mapbuild.h"
#include "lib/conf/maptext.h"
#include "lib/conf/settings.h"

/* How keys and values of a map become compiled entries, and text again: maps.def as functions. */
struct map_kind {
	mapkey_function *key;
	mapbuild_compile_function *compile;
	mapbuild_show_function *show;
	mapbuild_index_function *index; /* NULL: no such entry */
};

extern const struct map_kind map_kinds[MAPS];

/* A text: a file's, or what an edit would make of it. */
struct source {
	char *path;
	struct view text;
	char *memory;            /* that the text is in; NULL: somebody else's */
	struct stat st;          /* of the file that it was read from, or written to; 0: of none */
	struct timespec read_at; /* before st was taken */
	bool stamped;            /* written to it (inputs.h, inputs_stamp) */
	bool missing, unreadable, denied; /* denied: it may not be opened */
};

enum { MODEL_VALUE_MAX = 1 << 20 }; /* of a compiled entry */

struct model_map {
	struct source source;
	struct map_entry **entries;
	size_t count;
	struct hashtable index; /* key -> struct map_entry */
};

struct model_certificate {
	struct certificate certificate;
	int64_t expires_s;
	struct view *names;
	size_t name_count;
};

struct model {
	const char *confdir;
	struct settings settings;
	struct source conf;
	struct hashtable setting_lines; /* key -> struct map_entry of posthouse.conf */
	struct model_map maps[MAPS];
	struct model_certificate *certificates;
	size_t certificate_count, certificate_default;
	bool certificates_unseen; /* some are not an onlooker's to read */
	/* Files below the configuration directory that values include. */
	struct source *included;
	size_t included_count;
	/* What the checks of entries depended on: keys that were looked for (kind: the map), homes
	 * (SIEVE_HOME), and what homes within a Maildir are below of (SIEVE_HOLDER).  Whoever
	 * publishes the model makes it before the checks. */
	struct sieve asked;
	/* All maps of the generation that a few entries are to change (partial.h): what the model
	 * has no entry of is as it is there. NULL: the model is everything. */
	struct map *below;
	bool below_damaged; /* it did not say whether it has one that was looked for */
	struct arena arena;
	struct problems problems;
};

enum { SIEVE_HOME = 'h', SIEVE_HOLDER = 'm' };

/* overrides: texts to be taken instead of the files, "" as name ends them; NULL: none. */
struct override {
	const char *name; /* "users.map" */
	struct view text;
};

/* Begins a model with the settings alone; enough for commands that only need to know where things
 * are.  What is wrong is in m->problems. */
void model_read_settings(struct model *m, const char *confdir, const struct override *overrides);
/* All maps, after the settings. */
void model_read_maps(struct model *m, const struct override *overrides);
/* One entry more of a map, compiled after those of the maps above it.  Text, key and value outlive
 * the model. */
void model_add_entry(struct model *m, enum map_id id, const struct maptext_entry *text);
/* Of a partial one: there is no entry of the (compiled) key any more. */
void model_add_gone(struct model *m, enum map_id id, struct view key);
void model_free(struct model *m);

/* directory/name, in the model's memory; an absolute name stays as it is. */
char *model_path(struct model *m, const char *directory, const char *name);
/* The text of a file of the configuration directory; what keeps it from being read is a problem, a
 * missing file is none. */
void model_read_source(struct model *m, const char *name, const struct override *overrides,
                       struct source *out);
/* The text of a file below the configuration directory, in the model's memory. */
int model_read_below(struct model *m, const char *name, struct view *text, struct reason *why);
/* The line of posthouse.conf that sets the key; 0 when it is the default. */
int model_setting_line(const struct model *m, const char *key);
/* The compiled value of a key, whose ASCII case does not matter, for the checks (they may not copy
 * it: mapsure.h); false when it is not there. */
bool model_find(struct model *m, enum map_id map, struct view key, struct view *compiled);

#endif
