/* SPDX-License-Identifier: ISC */
/*
 * Changes to the texts of the configuration: made in memory, checked together with everything
 * else, written with their comments and order kept, compiled, and taken by the running house.
 * What would not build is not written; what cannot be compiled is taken back.
 */
#ifndef CONF_EDITS_H
#define CONF_EDITS_H

#include "conf/command.h"
#include "conf/mine.h"
#include "conf/partial.h"

enum { EDITS_MAX = MAPS };

#define EDITS_INPUT "standard input" /* as a file of its lines, in what is wrong with them */

/* An entry as it shall be. */
struct edit_change {
	struct view key;      /* as compiled */
	struct view text_key; /* as it is written */
	struct view value;    /* one line; not of one that goes */
	bool gone;
	bool in_text;      /* there is an entry in the text as it was: */
	size_t start, end; /* its bytes */
	int input_line;    /* the line of standard input that says so; 0: none does */
	int line;          /* of a settled text; 0: it is in none */
};

struct edit {
	enum map_id map;
	char name[MAPTABLE_FILE_NAME_MAX]; /* "users.map" */
	struct text text;                  /* as it is in the file; settled: as it shall be */
	struct text before;                /* of a changed one that is settled */
	struct stat st;                    /* of the file that was read */
	struct stat st_written;            /* of the one that was written; 0: it is not known */
	struct edit_change **changes;      /* in base's arena, in the order in which they came */
	size_t count;
	struct hashtable index; /* key -> struct edit_change */
	struct hashtable asked; /* keys that were asked for or changed */
	struct hashtable lines; /* of many: key -> struct maptext_entry, the first of each */
	bool in_lines;          /* they are */
	bool written;
	bool missing; /* there is no file: only edit_replace makes one */
	bool changed;
};

struct edits {
	struct model base; /* the settings, for keys without a domain */
	bool only_mine;
	struct mine mine; /* when only_mine */
	struct partial partial;
	int directory; /* the configuration's, locked (lock.h) */
	struct edit files[EDITS_MAX];
	size_t count;
	bool many; /* set by work: more than a few entries */
	int line;  /* of standard input that work is at; 0: none */
	/* Set by work: of everything as it is after the edit, -1 refuses it. NULL: nothing does. */
	int (*judge)(const struct model *m, void *context, struct reason *why);
	void *judge_context;
};

/* Takes the lock that every command takes before it changes a text, lets work open and edit texts,
 * and, when any was changed, checks, writes, compiles and tells the running house; says what
 * happened; an exit code.  With c->only_mine the generation is the current one and what work edits,
 * and errors elsewhere do not matter. work's own: not EXIT_DONE with a reason, -1 for
 * EXIT_PERMANENT. */
int edits_run(const struct command *c,
              int (*work)(struct edits *e, void *context, struct reason *why), void *context);

/* The text of a map, read once; NULL when it cannot be read.  Files are written in the order in
 * which they were opened here.  What is asked and changed costs a pass of the text each, or one for
 * all when e->many was set before. */
struct edit *edits_open(struct edits *e, enum map_id map, struct reason *why);
/* The value as it stands: 1, 0 when there is no such key, -1. */
int edit_get(struct edits *e, struct edit *f, struct view key, struct text *value,
             struct reason *why);
/* Replaces the entry in its place, or adds it at the end. */
int edit_set(struct edits *e, struct edit *f, struct view key, struct view value,
             struct reason *why);
/* 1, or 0 when there was no such key. */
int edit_delete(struct edits *e, struct edit *f, struct view key, struct reason *why);
/* A new text as a whole, instead of changes. */
void edit_replace(struct edit *f, struct view text);
/* Makes the texts of the changes. */
int edits_settle(struct edits *e, struct reason *why);
/* The line of standard input that a line of a settled text ("users.map") is of; 0: of none. */
int edits_input_line(const struct edits *e, struct view file, int line);
/* The reason that there is no such key; -1. */
int edit_missing(const struct edit *f, struct view key, struct reason *why);

#endif
