/* SPDX-License-Identifier: ISC */
/* The maps that there are: maps.def as programs and the command line see it. */
#ifndef LIB_CONF_MAPTABLE_H
#define LIB_CONF_MAPTABLE_H

#include "lib/conf/map.h"

enum map_id {
#define MAP(id, name, one, many, key, text, program, index) MAP_##id,
#include "lib/conf/maps.def"
#undef MAP
	MAPS
};

enum { MAPTABLE_FILE_NAME_MAX = 64 };

struct maptable_row {
	const char *name;       /* "users": users.map, users.cdb */
	const char *one, *many; /* of its entries, for people; "": they are not counted */
	bool secret;            /* text and compiled file are their owner's alone */
	const char *program;    /* that reads the compiled file */
};

extern const struct maptable_row maptable[MAPS];

/* Its number; -1 with a reason that lists the maps. */
int maptable_find(const char *name, struct reason *why);
/* "users.map", "users.cdb". */
void maptable_text_file(enum map_id id, char out[MAPTABLE_FILE_NAME_MAX]);
void maptable_compiled_file(enum map_id id, char out[MAPTABLE_FILE_NAME_MAX]);

/* Every file of a generation: the maps' by their numbers, and more, the manifest last. From
 * GENERATION_ASKED on a generation may be without: those that it has are in its manifest. */
enum {
	GENERATION_SETTINGS = MAPS,
	GENERATION_CERTIFICATES,
	GENERATION_ASKED,    /* what the builder's checks asked for (conf/inputs.h) */
	GENERATION_OVERLAYS, /* of each map (map.h): "users.more.cdb" */
	GENERATION_MANIFEST = GENERATION_OVERLAYS + MAPS,
	GENERATION_FILES
};
void maptable_generation_file(int file, char out[MAPTABLE_FILE_NAME_MAX]);
/* Which map it is of, its overlay too; -1: of none. */
int maptable_of_file(int file);
/* A map of a generation (its directory) with its overlay; -1 with what is wrong, errno as map_open
 * says it. just_verified: nobody need do so again. */
int maptable_open(int generation, enum map_id id, bool just_verified, struct map *out,
                  struct reason *detail);
/* Files that were verified, as they were then: one that another generation has too, and nobody has
 * written since, is not summed again. */
struct maptable_known {
	struct map_identity files[GENERATION_FILES];
};
struct maptable_verifying {
	int generation, has_manifest; /* -1: it cannot be read */
	struct map manifest;
	struct reason manifest_why; /* it cannot; manifest_errno too */
	int manifest_errno;
	bool numbered; /* a file says which generation it was built for: there was one */
	const struct maptable_known *known;
};
/* known: NULL, none is. */
void maptable_verify_begin(struct maptable_verifying *v, int generation,
                           const struct maptable_known *known);
/* Can it be read, is it as the build wrote it, and the one that the manifest names? The manifest is
 * asked for last: it is lost where there is none, and a file before it has a number. One that could
 * not be read at the beginning fails then, and is never known: the others were not held against
 * it. */
int maptable_verify(struct maptable_verifying *v, int file, struct map_identity *found,
                    struct reason *why);
void maptable_verify_end(struct maptable_verifying *v);
/* All of them: the first that is not. found: what they are; may be NULL. */
int maptable_verify_all(int generation, const struct maptable_known *known,
                        struct maptable_known *found, struct reason *why);
/* The same of one that is not the current one: a generation_judge. */
int maptable_judge(void *context, int generation, struct reason *why);

/* What of a generation is secret (keys/ with its files, the compiled files of secret maps), as far
 * as others than this uid may read it: `name`, from the generation's directory, and the mode that
 * it should have. They might have been given these modes by a restore; the builder made others. */
void maptable_exposed(int generation, void (*tell)(void *context, const char *name, unsigned mode),
                      void *context);

/* The n-th of the files of a generation (as above) that hold the maps of that program; -1: it has
 * no more. */
int maptable_file_of(const char *program, unsigned n);

/* At a program's start, before program_confine: opens every map that the table gives to it; the
 * others stay as they were.  A damaged one is logged and answers every lookup with MAP_DAMAGED, so
 * that mail waits for what its addresses are.  Fatal when a file is missing. */
void maptable_inherit(const char *program, struct map maps[MAPS]);

#endif
