/* SPDX-License-Identifier: ISC */
/*
 * What queued writes and removes itself (records of the log, state bytes, files that are done) is
 * not synced by it. A few seconds after such a change a process of its own writes back the queue's
 * whole file system, so that a power cut repeats what was delivered in the last seconds and not
 * what the system would have written back within half a minute.
 *
 * The whole file system and nothing less: where mailboxes share it with the queue, local relies on
 * the journal to keep "delivered" behind the mailbox. On btrfs the sync of a queue file or
 * directory alone would make "delivered" durable first, and a power cut then loses the message.
 */
#ifndef QUEUE_QUEUED_WRITEBACK_H
#define QUEUE_QUEUED_WRITEBACK_H

#include "lib/base/sandbox.h"
#include "queue/queued/disk.h"

struct loop;

enum { WRITEBACK_AFTER_MS = 5000 };

/* Forks; disk: its changes are told from now on. profile: what may be in its own process at most.
 */
void writeback_start(struct loop *loop, struct disk *disk, const struct sandbox_profile *profile);

#endif
