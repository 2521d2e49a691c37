/* SPDX-License-Identifier: ISC */
/*
 * An edit that costs what it changes: while the texts are those that the current generation was
 * built from, the edited entries alone are compiled and checked, against that generation's maps,
 * and written to an overlay of the map (overlay.h).
 *
 * What a build would find wrong, or would warn of, is not judged here: such an edit is no partial
 * one, and is made by compiling everything, which has the words.  Neither is one that others may
 * depend on in a way that only a pass over all of them shows: an alias that another alias leads
 * to, a home that may be somebody else's (model.h, asked); nor one that includes a file.
 */
#ifndef CONF_PARTIAL_H
#define CONF_PARTIAL_H

#include "conf/model.h"
#include "conf/overlay.h"

struct edit;
struct edits;

enum { PARTIAL_ENTRIES_MAX = 100000 };

struct partial {
	bool open;
	int generation; /* its directory */
	long number;
	struct map manifest;
	/* Their own files are not summed when they are opened: whoever reads them does so by
	 * mapsure.h. Everything else is summed. */
	struct map maps[MAPS];
	struct maptable_known known;
	struct map asked_file;
	struct sieve asked; /* of the generation */
	struct model m;     /* the settings, and the edited entries */
	bool in_model;
	/* How each map becomes what it is with them. */
	enum partial_way { PARTIAL_SAME, PARTIAL_OVERLAY, PARTIAL_FOLD } ways[MAPS];
	struct overlay overlays[MAPS];
};

/* The current generation, if the texts are its own; else p->open is false. base: the settings. */
void partial_open(struct partial *p, struct model *base);
void partial_close(struct partial *p);
/* The entry of a key in a text that the generation was built from; false when there is none, or
 * *lost: the text is another one. */
bool partial_find(struct partial *p, enum map_id id, struct view text, struct view mail_domain,
                  struct view key, struct arena *arena, struct maptext_entry *out, bool *lost);
/* p->m of the edits' changes: can they be published alone?  Their texts are settled. */
bool partial_compile(struct partial *p, struct edits *e);

#endif
