/* SPDX-License-Identifier: ISC */
#include "lib/base/pace.h"

#include <limits.h>

enum {
	WINDOW_MS = 1000,
	PARTS = 1000 /* of one in a bucket: so many milliseconds as a second has */
};

unsigned window_count(struct window *w, int64_t now_ms)
{
	if (now_ms >= w->until_ms)
		*w = (struct window){ .until_ms = now_ms + WINDOW_MS };
	if (w->count < UINT_MAX)
		w->count++;
	return w->count;
}

bool pace_says(struct pace *p, int64_t now_ms, unsigned per_second, unsigned *more)
{
	if (window_count(&p->window, now_ms) > per_second) {
		p->silent++;
		return false;
	}
	*more = p->silent;
	p->silent = 0;
	return true;
}

static void refill(struct bucket *b, const struct bucket_rate *rate, int64_t now_ms)
{
	int64_t passed_ms = now_ms - b->at_ms;

	if (passed_ms <= 0)
		return;
	b->at_ms = now_ms;
	if (passed_ms > b->missing / rate->per_second)
		b->missing = 0;
	else
		b->missing -= passed_ms * rate->per_second;
}

bool bucket_has(struct bucket *b, const struct bucket_rate *rate, int64_t now_ms, int64_t amount)
{
	refill(b, rate, now_ms);
	return b->missing + amount * PARTS <= rate->full * PARTS;
}

bool bucket_take(struct bucket *b, const struct bucket_rate *rate, int64_t now_ms, int64_t amount)
{
	if (!bucket_has(b, rate, now_ms, amount))
		return false;
	b->missing += amount * PARTS;
	return true;
}

void progress_begin(struct progress *p, int64_t now_ms)
{
	*p = (struct progress){ .at_ms = now_ms };
}

/* What came at once does not count for later: a client that sends most of a message and then holds
 * it is as slow as another. */
bool progress_goes_on(struct progress *p, const struct progress_rate *rate, int64_t now_ms,
                      int64_t amount)
{
	if (rate->per_second == 0)
		return true;
	p->late_us += (now_ms - p->at_ms) * 1000 - amount * 1000000 / rate->per_second;
	p->at_ms = now_ms;
	if (p->late_us < 0)
		p->late_us = 0;
	return p->late_us <= rate->patience_ms * 1000;
}
