/* SPDX-License-Identifier: ISC */
#include "lib/base/pace.h"

enum { SAY_EACH_MS = 1000 };

bool pace_says(struct pace *p, int64_t now_ms, unsigned *more)
{
	if (now_ms < p->next_ms) {
		p->silent++;
		return false;
	}
	*more = p->silent;
	p->silent = 0;
	p->next_ms = now_ms + SAY_EACH_MS;
	return true;
}

bool bucket_take(struct bucket *b, int64_t now_ms, unsigned size, int refill_ms)
{
	int64_t from = b->full_ms > now_ms ? b->full_ms : now_ms;

	if (from + refill_ms > now_ms + (int64_t)size * refill_ms)
		return false;
	b->full_ms = from + refill_ms;
	return true;
}
