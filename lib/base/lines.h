/* SPDX-License-Identifier: ISC */
/*
 * The lines of a text in the order of their bytes, for who looks for many of them: whoever chose
 * the lines cannot make that slow.
 */
#ifndef LIB_BASE_LINES_H
#define LIB_BASE_LINES_H

#include "lib/base/bytes.h"

/* The lines lie in the text that was given, which must stay as it is. */
struct lines {
	struct view *sorted; /* without their LF; equal ones all */
	size_t count;
};

void lines_init(struct lines *l, struct view text); /* each ends in LF; the last need not */
void lines_free(struct lines *l);
bool lines_has(const struct lines *l, struct view line);
/* One that begins so; NULL: none. */
const struct view *lines_starting(const struct lines *l, struct view prefix);

#endif
