/* SPDX-License-Identifier: ISC */
/*
 * The whole configuration in memory: settings, maps and certificates, read from text and
 * checked together.  A model without errors can be written as a generation.
 */
#ifndef CONF_MODEL_H
#define CONF_MODEL_H

#include "conf/problems.h"
#include "conf/table.h"
#include "lib/base/arena.h"
#include "lib/conf/access.h"
#include "lib/conf/certificates.h"
#include "lib/conf/settings.h"

enum map_id { MAP_DOMAINS, MAP_USERS, MAP_PASSWORDS, MAP_ALIASES, MAP_ROUTES, MAP_ACCESS, MAPS };

/* A text: a file's, or what an edit would make of it. */
struct source {
	char *path;
	struct view text;
	char *memory; /* that the text is in; NULL: somebody else's */
	bool missing;
};

struct map_entry {
	struct view key, value; /* the key as compiled, the value as text */
	struct view compiled;
	int line;
	void *parsed; /* struct domain or struct user, for the maps that refer to it */
};

struct model;

/* One row for each map: how its keys and values are checked, compiled and shown. */
struct map_kind {
	const char *name; /* "users": users.map, users.cdb */
	unsigned mode;    /* of the compiled file */
	int (*key)(const struct model *m, struct view text, struct text *out, struct reason *why);
	int (*compile)(struct model *m, struct map_entry *e, struct text *out, struct reason *why);
	/* A compiled entry as text: key and value; false: not an entry of the text. */
	bool (*show)(struct view key, struct view value, struct text *key_out,
	             struct text *value_out);
};

extern const struct map_kind map_kinds[MAPS];

struct model_map {
	struct source source;
	struct map_entry **entries;
	size_t count;
	struct table index; /* key -> struct map_entry */
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
	struct table setting_lines; /* key -> struct map_entry of posthouse.conf */
	struct model_map maps[MAPS];
	struct model_certificate *certificates;
	size_t certificate_count, certificate_default;
	struct arena arena;
	struct problems problems;
};

/* overrides: texts to be taken instead of the files, "" as name ends them; NULL: none. */
struct override {
	const char *name; /* "users.map" */
	struct view text;
};

/* Reads and checks everything; what is wrong is in m->problems. */
void model_read(struct model *m, const char *confdir, const struct override *overrides);
/* The settings alone, for commands that only need to know where things are. */
void model_read_settings(struct model *m, const char *confdir, const struct override *overrides);
void model_free(struct model *m);

/* Writes a generation and makes it current; its number or -1. */
long model_publish(const struct model *m, struct reason *why);

/* -1 with a reason that lists the maps. */
int map_id_by_name(const char *name, struct reason *why);

/* ---- the parts ---- */
/* directory/name, in the model's memory; an absolute name stays as it is. */
char *model_path(struct model *m, const char *directory, const char *name);
void source_read(struct model *m, const char *name, const struct override *overrides,
                 struct source *out);
void model_check_settings(struct model *m);
void model_check_domains(struct model *m);     /* what domains say of each other */
void model_check_aliases(struct model *m);     /* targets that lead nowhere; the postmaster too */
void model_read_certificates(struct model *m); /* certificates.c */
/* The line of posthouse.conf that sets the key; 0 when it is the default. */
int model_setting_line(const struct model *m, const char *key);

#endif
