/* SPDX-License-Identifier: ISC */
/* Behind queued's resolving.h, for t/unit/queuestates.c: resolved, whose answers are the
 * scenario's and come when the explorer says so, in any order. */
#ifndef T_UNIT_QUEUERESOLVED_H
#define T_UNIT_QUEUERESOLVED_H

#include "queue/queued/messages.h"

enum { RESOLVED_QUESTIONS = 2 /* at once: a third recipient waits for room */ };

void resolved_begin(void); /* nothing has been asked */
bool resolved_is_asked(unsigned question);
void resolved_answers(struct messages *messages, unsigned question, bool later);
uint64_t resolved_hash(void);

#endif
