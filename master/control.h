/* SPDX-License-Identifier: ISC */
/* The control socket (lib/wire/control.h): status, reload, stop. */
#ifndef MASTER_CONTROL_H
#define MASTER_CONTROL_H

#include <stdbool.h>

#include "lib/base/reason.h"

struct control_calls {
	unsigned (*reload)(
		void); /* control_reloaded comes later, with this round or a higher one */
	void (*stop)(bool failed); /* control_stopped comes later, not within the call */
	/* A line for what is not what its path names any more. */
	void (*replaced)(void (*tell)(void *context, const char *text), void *context);
};

/* Again: another listener instead; who has connected to the one before it is heard out. */
void control_listen(int listener, const struct control_calls *calls);
/* Answers those who wait for this round, or one before it. */
void control_reloaded(unsigned round, int result, const struct reason *why);
void control_stopped(void); /* answers those who wait for the house to be empty */

#endif
