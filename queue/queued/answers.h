/* SPDX-License-Identifier: ISC */
/*
 * What an answer of resolved makes of the recipient that was asked about: it has a target now, or
 * failed, or was an alias and others take its place.
 */
#ifndef QUEUE_QUEUED_ANSWERS_H
#define QUEUE_QUEUED_ANSWERS_H

#include "queue/queued/journal.h"

/* Recipient `index` is RECIPIENT_ASKED; frees `found`. */
void answers_take(struct journal *j, struct message *m, uint32_t index, struct found *found,
                  unsigned count);

#endif
