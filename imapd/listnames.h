/* SPDX-License-Identifier: ISC */
/* The names that an extended LIST may have to tell (RFC 5258): folders, subscribed names, parents
 * of these, each once. */
#ifndef IMAPD_LISTNAMES_H
#define IMAPD_LISTNAMES_H

#include "lib/base/arena.h"
#include "lib/store/store.h"

struct list_name {
	const char *name;
	bool exists;       /* it can be selected; false: \NonExistent */
	bool has_children; /* that exist, or have some that do */
	bool is_folder;    /* it exists, or a child does: what LIST without options tells */
	bool subscribed;

	/* For who goes through them. */
	bool wanted;       /* it meets the selection criteria */
	bool told;         /* and matches a pattern */
	bool child_wanted; /* RECURSIVEMATCH: a descendant meets the criteria */
	bool child_untold; /* and is not told itself */
};

struct list_names {
	struct list_name *names; /* sorted by bytes, INBOX first */
	size_t count;
	struct store_names folders, subscriptions; /* they hold the bytes */
	struct arena parents;
};

/* On failure *out is empty. */
enum store_result listnames_read(struct store *store, struct list_names *out, struct reason *why);
void listnames_free(struct list_names *l);

/* Sets child_wanted and child_untold from `wanted` and `told`. */
void listnames_mark_parents(struct list_names *l);

#endif
