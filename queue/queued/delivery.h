/* SPDX-License-Identifier: ISC */
/*
 * Recipients of one message that go the same way in one job, or one report about them: made where
 * it is decided what a message needs, waiting in a schedule or with an agent (agents.h) from then
 * on, and handed back at the end.
 */
#ifndef QUEUE_QUEUED_DELIVERY_H
#define QUEUE_QUEUED_DELIVERY_H

#include "lib/wire/job.h"
#include "queue/queued/record.h"

struct delivery {
	struct message *message;
	struct link of_message;
	enum job_report report;
	/* Log records of its results: written at its end, or earlier when that takes long. */
	struct text notes;
	struct link noted;
	/* The agents' side. */
	struct schedule_item item;
	struct channel *channel;
	bool running;
	bool heard, trouble; /* the destination has answered; it has not, as a whole */
	unsigned count;
	struct {
		uint32_t index;
		bool answered;
	} who[];
};

/* One of the message's deliveries, with these of its recipients. */
struct delivery *delivery_new(struct message *m, enum job_report report,
                              struct recipient *const *list, unsigned count);
void delivery_free(struct delivery *d);
/* The recipients in this state, in the order of the envelope; m->counts[state] of them. The
 * caller's to free. */
struct recipient **delivery_candidates(const struct message *m, enum recipient_state state);

#endif
