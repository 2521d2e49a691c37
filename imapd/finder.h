/* SPDX-License-Identifier: ISC */
/* A substring search that does not mind ASCII case (Horspool): one pass over a mapped message, no
 * copy. */
#ifndef IMAPD_FINDER_H
#define IMAPD_FINDER_H

#include "lib/base/bytes.h"

struct finder {
	struct view needle; /* in small letters; kept by reference */
	uint32_t skip[256];
	bool ascii; /* the needle; false when what it was made of was not */
};

void finder_begin(struct finder *f, struct view needle);
bool finder_finds(const struct finder *f, struct view hay);

#endif
