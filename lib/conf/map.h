/* SPDX-License-Identifier: ISC */
/*
 * A compiled map: a cdb file of the current generation, opened by master (or by
 * the command line) and read through its descriptor.  A generation's files never
 * change, so that the file may be mapped and views into it live as long as the map.
 *
 * Behind the tables of the cdb stands a trailer with a sum over all before it, which is verified
 * when the file is opened: a hash table that is damaged would say "not here" of what is here, and
 * so would a map that stands in another's place.
 *
 *	8 bytes   "phsum 2\n"
 *	8 bytes   the number of the generation that it was built for, little-endian like the others
 *	8 bytes   the length of what is before the trailer
 *	8 bytes   its checksum (lib/base/sum.h), with that of the file's name and the numbers
 *
 * Trailers without number and name ("phsum 1") are still taken; what was built before there were
 * any has none, and ends where the last table ends.
 */
#ifndef LIB_CONF_MAP_H
#define LIB_CONF_MAP_H

#include <cdb.h>
#include <errno.h>

#include "lib/base/bytes.h"
#include "lib/base/limits.h"
#include "lib/base/reason.h"

enum {
	MAP_KEY_MAX = ADDRESS_MAX + 64, /* an address and a prefix; longer keys are in no map */
	MAP_TRAILER_BYTES = 32          /* "phsum 2" */
};

/* Which file it is, and as it was written last. Its ctime is none of this: generations that link it
 * and go change that. All zero: none. */
struct map_identity {
	uint64_t device, inode, size, mtime_ns;
};

/* A map may have an overlay: a second file, of the few entries that are others than in the first.
 * Each value begins with what it means; map_get and map_next see both files as one map. */
enum map_mark {
	MAP_GONE = '-',    /* there is no such entry any more; no more bytes */
	MAP_CHANGED = '=', /* in the place that it has in the first file */
	MAP_ADDED = '+'    /* behind all of that file, in the order of the overlay */
};

struct map {
	struct cdb cdb, over; /* over.cdb_mem NULL: no overlay */
	unsigned position;    /* of map_next */
	unsigned over_position;
	int damaged_fd;               /* of a damaged map, else -1 */
	uint64_t generation;          /* that it was built for; 0: it does not say */
	uint64_t sum;                 /* of its trailer, when it has a generation */
	struct map_identity identity; /* before it was verified */
	bool summed, whole;           /* its first file, since it was opened; what was found */
};

/* What a lookup says.  Damaged: the file or the value is broken; treat it as a temporary error. */
enum map_result { MAP_DAMAGED = -1, MAP_MISSING = 0, MAP_FOUND = 1 };

/* name: of the file, "users.cdb". Takes the descriptor; map_close closes it.  On failure it stays
 * with the caller; damage is one, with the errno MAP_ERRNO_DAMAGED: every other may be over in a
 * moment. */
#define MAP_ERRNO_DAMAGED EPROTO /* as cdb_init says it */
int map_open(struct map *m, int fd, const char *name, struct reason *why);
/* The same, but a file that was found whole before, and has not been written since (known: its
 * identity then), is not summed again. */
int map_open_known(struct map *m, int fd, const char *name, const struct map_identity *known,
                   struct reason *why);
/* Sums the first file of an open map after all: whoever copies it as a whole would seal what is
 * damaged as right. */
int map_verify(const struct map *m, const char *name, struct reason *why);
bool map_identify(int fd, struct map_identity *out);
bool map_same_identity(const struct map_identity *a, const struct map_identity *b);
/* Instead of what map_open refused: each lookup says MAP_DAMAGED.  Takes the descriptor too. */
void map_open_damaged(struct map *m, int fd);
void map_close(struct map *m);
/* Is this open file the one that it was opened from, as it was then, and whole? */
bool map_is_of(const struct map *m, int fd);
/* An overlay, opened as a map is; it is m's from now on. map_unlay closes it, if there is one.
 * map_next begins again, after either. */
void map_lay(struct map *m, const struct map *overlay);
void map_unlay(struct map *m);
bool map_has_overlay(const struct map *m);
/* As map_close, but the descriptor is the caller's again. */
void map_release(struct map *m);

/* For the builder: writes the trailer behind a finished cdb, the only one who can read it back;
 * *sum is what map_open will find in it. */
int map_seal(int fd, const char *name, uint64_t generation, uint64_t *sum, struct reason *why);

/* Of a file that has been verified: a sum over its entries alone, which is the same in every
 * generation that has the same. false: it has no trailer that says so. */
bool map_entries_sum(int fd, const char *name, uint64_t *sum);

/* The exact key.  The value is valid until map_close. */
enum map_result map_get(struct map *m, struct view key, struct view *value);
/* prefix and key, ASCII letters of the key lower-cased. */
enum map_result map_get_lower(struct map *m, struct view prefix, struct view key,
                              struct view *value);
/* From the particular to the general: user@a.b.test, a.b.test, .b.test, .test, "*"; a name
 * without "@" begins at its domain.  Each behind the prefix. */
enum map_result map_get_widening(struct map *m, struct view prefix, struct view address,
                                 struct view *value);
/* The same order where the entries are elsewhere: get is asked for each key, as it is written. */
typedef enum map_result map_getter(void *context, struct view key, struct view *value);
enum map_result map_widen(map_getter *get, void *context, struct view address, struct view *value);

/* How many entries the first file has. */
size_t map_base_count(const struct map *m);
/* For the builder: what does the overlay say of it, and of one key after the other (map_rewind
 * begins again)? */
enum map_result map_mark_of(struct map *m, struct view key, enum map_mark *mark,
                            struct view *value);
enum map_result map_next_change(struct map *m, struct view *key, enum map_mark *mark,
                                struct view *value);

/* Every entry, in the order in which they were compiled; map_rewind begins again. */
void map_rewind(struct map *m);
enum map_result map_next(struct map *m, struct view *key, struct view *value);

#endif
