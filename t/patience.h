/* SPDX-License-Identifier: ISC */
/* A loop that runs until a callback stops it: what never happens ends the test instead of hanging
 * it. */
#ifndef T_PATIENCE_H
#define T_PATIENCE_H

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/loop.h"

enum { PATIENCE_MS = 120000 };

static void (*patience_tell)(void);

static void patience_lost(struct timer *t)
{
	(void)t;
	printf("Bail out! nothing happened in time: ");
	patience_tell();
	exit(1);
}

/* tell: prints how far it has come. */
static void patience_run(struct loop *loop, void (*tell)(void))
{
	static struct timer timer = { .due = patience_lost };

	patience_tell = tell;
	loop_timer_set(loop, &timer, loop_now_ms(loop) + PATIENCE_MS);
	loop_run(loop);
	loop_timer_clear(loop, &timer);
}

#endif
