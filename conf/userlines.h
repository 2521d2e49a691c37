/* SPDX-License-Identifier: ISC */
/* What is done to a user's entries: one of the command line, or one of many lines (batch.h). */
#ifndef CONF_USERLINES_H
#define CONF_USERLINES_H

#include "conf/batch.h"

/* The compiled keys of users who were added, in the memory of whoever reads them. */
struct added {
	struct arena arena;
	struct view *keys;
	size_t count;
};

/* Each -1 with the reason.  words: as users.map has them. */
int user_add_entry(struct edits *e, struct added *a, struct view address, struct view words,
                   struct reason *why);
/* Words replace those of the same name. */
int user_set_entry(struct edits *e, struct view address, struct view words, struct reason *why);
int user_delete_entry(struct edits *e, struct view address, struct reason *why);

/* Lines with words of users.map and, perhaps, password=HASH. */
batch_line user_add_line;    /* context: struct added */
batch_line user_set_line;    /* no context */
batch_line user_delete_line; /* context: a size_t that counts */

/* Of new users, as they were published: makes their homes.  Not those of a private configuration:
 * local makes one on the first delivery, or says why not. */
void user_make_homes(const struct command *c, const struct added *a);

#endif
