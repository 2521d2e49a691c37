/* SPDX-License-Identifier: ISC */
/* What may happen thousands of times in a minute, and is told to the log in one line: soon after
 * the first time, then once a minute for as long as it goes on, each time how often it was. */
#ifndef LIB_BASE_TALLY_H
#define LIB_BASE_TALLY_H

#include "lib/base/loop.h"

enum { TALLY_SOON_MS = 1000, TALLY_AGAIN_MS = 60000 };

/* Zeroed at first but for loop and tell. */
struct tally {
	struct loop *loop;
	void (*tell)(struct tally *tally, unsigned count);
	unsigned count; /* not told yet */
	struct timer timer;
};

void tally_add(struct tally *tally);

#endif
