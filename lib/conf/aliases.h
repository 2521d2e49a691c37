/* SPDX-License-Identifier: ISC */
/*
 * aliases.map: address or @domain (what no user and no other alias has) -> targets.
 *
 *	info@example.test    anna@example.test, bert@example.test
 *	postmaster           anna@example.test        (at mail.domain)
 *	@example.test        anna@example.test
 *	staff@example.test   include:lists/staff      (addresses in a file, read by the build)
 *	gone@example.test    :fail: 5.1.6 moved to gone@example.org
 *
 * Targets are separated by spaces or commas.
 */
#ifndef LIB_CONF_ALIASES_H
#define LIB_CONF_ALIASES_H

#include "lib/base/arena.h"
#include "lib/conf/map.h"
#include "lib/conf/value.h"

enum { ALIAS_TARGETS_MAX = 10000 };

struct alias {
	bool fails;       /* :fail: */
	struct view text; /* what the sender is told then; may be empty */
	unsigned targets; /* how many alias_next will give */
	struct value_reader rest;
};

/* The next target, an address with a domain, the domain lower-cased; false at the end. */
bool alias_next(struct alias *a, struct view *target);

/* Compiles a line.  domain: added to targets without one.  open_include gives the text of an
 * included file (or fails), NULL: no includes. */
struct alias_source {
	struct view domain;
	struct arena *arena;
	int (*open_include)(const void *context, struct view path, struct view *text,
	                    struct reason *why);
	const void *context;
};
int alias_compile(const struct alias_source *source, struct view text, struct text *out,
                  struct reason *why);
bool alias_decode(struct view value, struct alias *out);

#endif
