/* SPDX-License-Identifier: ISC */
/*
 * What results of deliveries teach about recipients: that a mailbox is full, or has room again;
 * that another host does not know an address, or knows it. resolved is told, since it answers
 * RCPT, and again all of it when it was replaced.
 *
 * Only what is true of a recipient whatever the message counts: no stranger must be able to have
 * others' mail for an address refused by what they send there.
 */
#ifndef QUEUE_QUEUED_LESSONS_H
#define QUEUE_QUEUED_LESSONS_H

#include "lib/base/loop.h"
#include "lib/conf/settings.h"
#include "lib/queue/refusals.h"
#include "lib/wire/job.h"
#include "queue/queued/record.h"

struct lessons {
	/* Set by the caller before lessons_start. */
	struct loop *loop;
	const struct settings *settings;
	void *context;
	/* A packet for resolved; false: not now. */
	bool (*tell)(void *context, const struct wire_out *out);
	/* Its own. */
	struct refusals known;
	struct timer telling;
};

void lessons_start(struct lessons *l);
/* A result of an agent, before it changes the recipient. */
void lessons_learn(struct lessons *l, const struct message *m, const struct recipient *r,
                   const struct job_result *result);
/* An operator removes a message: whether there is room is nobody's to find out then. */
void lessons_removed(struct lessons *l, const struct message *m);
/* resolved is another one, which knows nothing yet. */
void lessons_repeat(struct lessons *l);

#endif
