/* SPDX-License-Identifier: ISC */
/*
 * Taking back what was set aside, or is misplaced, or could not be read: what verifies goes to its
 * place in the queue. queued does it on an operator's word while it runs, `posthouse queue check`
 * while it does not.
 */
#ifndef LIB_QUEUE_RESTORE_H
#define LIB_QUEUE_RESTORE_H

#include "lib/queue/queuedir.h"
#include "lib/queue/verify.h"

/* Would it be taken: as it is, or unverified? */
enum queue_restorable { QUEUE_RESTORE_NO, QUEUE_RESTORE_YES, QUEUE_RESTORE_UNVERIFIED };
enum queue_restorable queue_restorable(const struct queue_verified *v);
/* from: a name that queuedir_parse knows. 0: it stands in its place, live and durably so, and *id
 * says whose it is: what was set aside may have had another's name. A single flipped bit of header
 * or envelope is mended (mend.h). unverified: what does not verify otherwise is sealed anew, as it
 * is and by the name that it has, when its envelope can be read. */
int queue_restore(int directory, const struct queue_key *key, const char *from, bool unverified,
                  uint64_t *id, struct reason *why);

#endif
