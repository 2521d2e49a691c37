/* SPDX-License-Identifier: ISC */
/*
 * How often: a line in the log at most once a second, a request at most so many times. What
 * others can cause without end must not fill the disk or take the loop's time.
 */
#ifndef LIB_BASE_PACE_H
#define LIB_BASE_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed at first. */
struct pace {
	int64_t next_ms;
	unsigned silent;
};

/* May it be said now? *more: how often it was kept back since it was said last. */
bool pace_says(struct pace *pace, int64_t now_ms, unsigned *more);

/* Zeroed at first, which is full. */
struct bucket {
	int64_t full_ms; /* when it will be full again */
};

/* Takes one of `size` tokens, of which one comes back each `refill_ms`; false: none is left. */
bool bucket_take(struct bucket *bucket, int64_t now_ms, unsigned size, int refill_ms);

#endif
