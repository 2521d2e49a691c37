/* SPDX-License-Identifier: ISC */
#include "lib/base/tally.h"

static void set_timer(struct tally *t, int64_t delay_ms)
{
	loop_timer_set(t->loop, &t->timer, loop_now_ms(t->loop) + delay_ms);
}

static void due(struct timer *timer)
{
	struct tally *t = loop_owner(timer, struct tally, timer);
	unsigned count = t->count;

	if (count == 0)
		return;
	t->count = 0;
	set_timer(t, TALLY_AGAIN_MS);
	t->tell(t, count);
}

void tally_add(struct tally *t)
{
	t->timer.due = due;
	t->count++;
	if (!loop_timer_is_set(&t->timer))
		set_timer(t, TALLY_SOON_MS);
}
