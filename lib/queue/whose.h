/* SPDX-License-Identifier: ISC */
/*
 * Whether the secret of a queue directory is the one that its messages were written with. With
 * another's, as a restore on a new machine leaves it, each looks damaged, and all would be set
 * aside: the one judgement of queued's start, posthouse check and posthouse queue check.
 */
#ifndef LIB_QUEUE_WHOSE_H
#define LIB_QUEUE_WHOSE_H

#include "lib/queue/queuedir.h"

/*
 * True when there are waiting messages that are whole but for their seal, by more than one bit, and
 * nothing at all fits the secret: no seal of a message, no record of a log. Damage of single files
 * is no such thing, since it leaves others, or a record of the same file. A queue in which there is
 * one message alone, without a record, and that one changed in more than a bit so that it still
 * reads as an envelope, cannot be told apart from it, and counts.
 *
 * Reads files until one fits: one, as a rule.
 */
bool queue_secret_is_others(int directory, const struct queue_key *key);

/* What is to be done then. */
#define QUEUE_SECRET_IS_OTHERS                                                                      \
	"the file `secret' of queue.directory is not the one with which the waiting messages were " \
	"written: put that one back, or accept them without it with `posthouse queue check "        \
	"--unverified waiting', see posthouse(8)"

#endif
