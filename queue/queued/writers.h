/* SPDX-License-Identifier: ISC */
/*
 * The writers' side: smtpd, pickup and bounce bring messages (protocol spool, lib/wire/spool.h).
 * A message is this side's own until its writer has synced it; then it is handed on.
 */
#ifndef QUEUE_QUEUED_WRITERS_H
#define QUEUE_QUEUED_WRITERS_H

#include "lib/base/limits.h"
#include "lib/base/loop.h"
#include "lib/conf/settings.h"
#include "queue/queued/journal.h"

enum { WRITERS_MAX = SESSION_LINES_MAX /* lines of one program */ };

struct writers;

struct writers_setup {
	struct loop *loop;
	const struct settings *settings; /* looked at for every message: it may change in place */
	struct disk *disk;
	struct journal *journal;
	void *context;
	/* The message is safe and live, its writer knows; it is the callee's. */
	void (*accepted)(void *context, struct message *m);
};

/* Serves the wires smtpd.spool, pickup.spool and bounce.spool. */
struct writers *writers_start(const struct writers_setup *setup);
/* The system goes down: whoever opens a message is told to come again, open ones are taken. */
void writers_stop(struct writers *ws);
/* Is a writer in the middle of this message (0: of any)? */
bool writers_have(const struct writers *ws, uint64_t id);
bool writers_busy(const struct writers *ws);
/* At the end, when the loop does not run any more: the lines are shut, so that no writer can say
 * that it has synced; what is still open then was never acknowledged, and is removed, so that a
 * clean stop leaves whole files alone. */
void writers_end(struct writers *ws);

#endif
