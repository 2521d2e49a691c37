/* SPDX-License-Identifier: ISC */
/*
 * How often: clients of an address, lines in the log, requests, bytes. What others can cause
 * without end must not fill the disk or take the loop's time.
 *
 *	window   so many within a second that begins with the first of them
 *	pace     the same for lines in the log, which tell how many were kept back
 *	bucket   so many in the long run, and a burst of more that were not used before
 *	progress the other way round: so many at least in the long run
 */
#ifndef LIB_BASE_PACE_H
#define LIB_BASE_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed at first. */
struct window {
	int64_t until_ms;
	unsigned count;
};

/* One more: the how many-th of the present second it is. */
unsigned window_count(struct window *window, int64_t now_ms);

/* Zeroed at first. */
struct pace {
	struct window window;
	unsigned silent;
};

/* May it be said now, `per_second` at most? *more: how often it was kept back since it was said
 * last. */
bool pace_says(struct pace *pace, int64_t now_ms, unsigned per_second, unsigned *more);

/* What a bucket holds when it is full, and how much of it comes back. */
struct bucket_rate {
	int64_t per_second, full;
};

/* Zeroed at first, which is full. */
struct bucket {
	int64_t missing; /* thousandths */
	int64_t at_ms;   /* then */
};

/* Is there so much in it? */
bool bucket_has(struct bucket *bucket, const struct bucket_rate *rate, int64_t now_ms,
                int64_t amount);
/* The same, and takes it. */
bool bucket_take(struct bucket *bucket, const struct bucket_rate *rate, int64_t now_ms,
                 int64_t amount);

/* So many a second keep it going; so long it may do without any, and no longer than that whatever
 * came before. per_second 0: anything does. */
struct progress_rate {
	int64_t per_second;
	int64_t patience_ms;
};

struct progress {
	int64_t at_ms;
	int64_t late_us; /* behind what would have had to come, 0 .. patience */
};

void progress_begin(struct progress *progress, int64_t now_ms);
/* So many have come since the last call. false: too few, by more than the patience. */
bool progress_goes_on(struct progress *progress, const struct progress_rate *rate, int64_t now_ms,
                      int64_t amount);

#endif
