/* SPDX-License-Identifier: ISC */
/*
 * Where mail for an address ends: aliases are followed until only mailboxes, routes and errors are
 * left. The one judge of what an alias may be: the build asks it of each, resolved at RCPT and when
 * queued wants the recipients.
 */
#ifndef LIB_CONF_EXPANSION_H
#define LIB_CONF_EXPANSION_H

#include "lib/base/arena.h"
#include "lib/conf/classify.h"

enum {
	EXPANSION_DEPTH_MAX = 32,      /* aliases in aliases */
	EXPANSION_LOOKUPS_MAX = 50000, /* addresses that one expansion looks at */
	EXPANSION_ENDS_MAX = 10000     /* final recipients */
};

enum expansion_verdict {
	EXPANSION_GOOD,
	EXPANSION_LOOP, /* aliases that lead to each other and nowhere else */
	EXPANSION_DEEP,
	EXPANSION_MANY,
	EXPANSION_LONG /* a target is no address: builds of before 0.2 let it pass */
};

struct expansion_step {
	const char *address;
	unsigned depth;
	bool past_aliases, expanded; /* came out of an alias */
	bool final;
};

/* Zero-initialised but for what the caller sets: classifier and postmaster (the setting). */
struct expansion {
	const struct classifier *classifier;
	const char *postmaster;
	struct arena arena;
	struct expansion_step *steps; /* in the order they were found; those that are final are the
	                                 answer, when the verdict is GOOD */
	unsigned count, cap, finals;
	unsigned *seen; /* hash table of places in steps, +1; seen_size is a power of two */
	unsigned seen_size;
	enum expansion_verdict verdict;
};

/* Follows the address to all of its ends; once for each struct, expansion_free drops it. */
enum expansion_verdict expansion_collect(struct expansion *e, struct view address);
void expansion_free(struct expansion *e);
/* What is wrong, in a few words. */
const char *expansion_words(enum expansion_verdict verdict);

/* Is this target of an alias the mailbox of the same name? */
bool expansion_means_mailbox(const struct classified *alias, struct view target);

#endif
