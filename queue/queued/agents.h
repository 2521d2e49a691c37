/* SPDX-License-Identifier: ISC */
/*
 * The agents' side: local, remote and bounce get jobs and give results (protocol job,
 * lib/wire/job.h). When which delivery is run is decided here, by a schedule for each kind of
 * agent.
 *
 * Nothing is called back from within a call: results come with events of the loop.
 */
#ifndef QUEUE_QUEUED_AGENTS_H
#define QUEUE_QUEUED_AGENTS_H

#include "lib/base/loop.h"
#include "lib/conf/settings.h"
#include "queue/queued/delivery.h"
#include "queue/queued/disk.h"

enum { AGENTS_MAX = 10000 /* lines of one kind of agent */ };

struct agents;

enum turned_away {
	TURNED_AWAY_DOWN, /* its destination does not respond */
	TURNED_AWAY_CROWD /* nor for long now, and more wait for it than may */
};

struct agents_setup {
	struct loop *loop;
	const struct settings *settings; /* after a change of it: agents_set_limits */
	struct disk *disk;
	int master; /* the wire over which an owner's agent is asked for */
	void *context;
	/* One for each recipient of a delivery: of those that no agent answered too, as a fault of
	 * our own. */
	void (*result)(void *context, struct delivery *d, struct recipient *r,
	               const struct job_result *result);
	/* Then the job is over. The delivery is the callee's, its message may end. */
	void (*finished)(void *context, struct delivery *d);
	/* Its file is not what was taken: no recipient is done with it any more. */
	void (*damaged)(void *context, struct message *m, enum message_damage damage,
	                const char *reason);
	/* It has not been tried. The delivery is the callee's. */
	void (*turned_away)(void *context, struct delivery *d, enum turned_away why);
	/* Some were: others may take their place. */
	void (*freed)(void *context);
};

struct agents *agents_start(const struct agents_setup *setup);
void agents_set_limits(struct agents *a);
/* The system goes down: no further jobs. */
void agents_stop(struct agents *a);
/* Is an agent in the middle of a job? */
bool agents_busy(const struct agents *a);

/* Finds whose work the target is and what it is scheduled by; those with the same destination may
 * go together. */
void agents_aim(struct agents *a, struct target *t);
/* Once it is aimed. */
bool agents_is_down(const struct agents *a, const struct target *t);
/* Where its recipients' targets, all the same, are aimed. */
void agents_deliver(struct agents *a, struct delivery *d);
void agents_report(struct agents *a, struct delivery *d);
/* One that does not run: it is the caller's again. */
void agents_take_back(struct agents *a, struct delivery *d);
/* Destinations in trouble are tried at once. */
void agents_forgive(struct agents *a);
const char *agents_name(const struct delivery *d); /* for the log: who has it */

#endif
