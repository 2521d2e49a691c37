/* SPDX-License-Identifier: ISC */
/*
 * Whether the secret of a queue directory is the one that its messages were written with. With
 * another's, as a restore on a new machine leaves it, each looks damaged, and all would be set
 * aside: the one judgement of queued's start, posthouse check and posthouse queue check.
 *
 * Beside the secret lies what tells it from others, `secret.id', written when the queue is taken
 * into use. A secret that it names is the right one, whatever the files say, which sessions have
 * written and disks may have changed. With another one, messages that are whole but for their seal
 * are the other's. Without the file (from before there was one) they are, where no message at all
 * fits the secret.
 */
#ifndef LIB_QUEUE_WHOSE_H
#define LIB_QUEUE_WHOSE_H

#include "lib/queue/queuedir.h"

/* Reads files until it is sure: none, as a rule. */
bool queue_secret_is_others(int directory, const struct queue_key *key);
/* It is the right one from now on; synced. 0; -1, errno. */
int queue_secret_remember(int directory, const struct queue_key *key);

/* What is to be done with another's. */
#define QUEUE_SECRET_IS_OTHERS                                                                      \
	"the file `secret' of queue.directory is not the one with which the waiting messages were " \
	"written: put that one back, or accept them without it with `posthouse queue check "        \
	"--unverified waiting', see posthouse(8)"

/* While queued runs, it is another matter. */
#define QUEUE_SECRET_IS_LOST                                                                         \
	"the file `secret' of queue.directory is missing, or not the one that queued uses and has "  \
	"sealed the waiting messages with: put that one back before posthouse is stopped; if it is " \
	"gone, stop posthouse, and see `queue check --unverified waiting' in posthouse(8)"

#endif
