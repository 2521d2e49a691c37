/* SPDX-License-Identifier: ISC */
/*
 * Which message is asked about next: pure. A million may wait, but only so many are active at once:
 * being asked about, waiting for an agent, or with one. The others stand in lines, fresh and old,
 * of which fresh mail has three turns in four; in each of the two senders take turns, so that who
 * sends a hundred thousand at once is not in everybody's way. Senders are told apart by a hash:
 * lines cost nothing for each message, nor for each sender.
 */
#ifndef QUEUE_QUEUED_ADMISSION_H
#define QUEUE_QUEUED_ADMISSION_H

#include "queue/queued/record.h"

enum { ADMISSION_ACTIVE_MAX = 20000, ADMISSION_LINES = 1024 };

_Static_assert(2 * SCHEDULE_WAITING_MANY <= ADMISSION_ACTIVE_MAX,
               "what waits for silent destinations gives way in time");

/* Fresh, or old. */
struct admission_side {
	struct line_of_messages {
		struct message *first, *last;
		struct line_of_messages *next; /* whose turn comes behind it */
	} lines[ADMISSION_LINES];              /* by sender */
	struct line_of_messages *first, *last; /* whose turn it is, of those that are not empty */
};

/* Begins zeroed, but for the seed of the hash: strangers choose senders. */
struct admission {
	struct admission_side fresh, old;
	unsigned turn, active;
	uint32_t seed;
};

void admission_stand_in_line(struct admission *a, struct message *m, bool old);
/* The one whose turn it is, active from now on; it stays the first in its line. NULL: nobody waits,
 * or too many are active. */
struct message *admission_next(struct admission *a);
/* The one that admission_next gave has been asked about: the next one's turn. */
void admission_leave_line(struct admission *a, struct message *m);
/* Nothing of it is on its way, or it ends. Harmless when it is not active. */
void admission_over(struct admission *a, struct message *m);

#endif
