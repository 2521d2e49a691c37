/* SPDX-License-Identifier: ISC */
/*
 * queued's own pieces and what they say to each other.
 *
 *	writers.c    smtpd, pickup, bounce: a message comes in
 *	life.c       what a message needs next: questions, deliveries, reports, another attempt, the
 *end resolving.c  resolved: where does a recipient go agents.c     local, remote, bounce: jobs out,
 *results in commands.c      the command line recover.c    the start record.h remembers, schedule.h
 *decides, disk.h touches the disk.
 */
#ifndef QUEUE_QUEUED_QUEUED_H
#define QUEUE_QUEUED_QUEUED_H

#include "lib/conf/settings.h"
#include "lib/wire/job.h"
#include "lib/wire/hub.h"
#include "queue/queued/record.h"
#include "queue/queued/disk.h"
#include "queue/queued/agents.h"
#include "queue/queued/resolving.h"
#include "queue/queued/writers.h"
#include "queue/queued/commands.h"

enum {
	QUEUED_ACTIVE_MAX = 20000, /* messages with a target in memory: being asked about, waiting
	                              for an agent, or with one */
};

struct queued;

struct line_of_messages {
	struct message *first, *last;
};

struct queued {
	struct loop *loop;
	struct settings settings;
	struct disk disk;
	struct records records;
	struct writers *writers;
	struct agents *agents;
	struct line_of_messages fresh, old; /* waiting to be admitted */
	unsigned line_turn, active;
	struct timer attempts;
	struct resolving *resolving;
	/* master */
	struct watch master;
	struct commands *commands;
	bool stopping;
	struct timer stop_look;
	int64_t stop_late_ms;
	struct text log; /* records of the message in work */
};

/* life.c */
void life_start(struct queued *q);
void life_found(void *context, struct message *m, int64_t next_ms); /* at the start */
void life_found_all(struct queued *q);
void life_begin(void *context, struct message *m); /* new */
void life_admit(void *context);                    /* as many as there is room for */
void life_answered(void *context, struct message *m, uint32_t index, struct found *found,
                   unsigned count);
void life_result(void *context, struct delivery *d, struct recipient *r,
                 const struct job_result *result);
void life_delivered(void *context, struct delivery *d); /* the job is over; frees d */
void life_turned_away(void *context, struct delivery *d);
void life_attempt_now(struct queued *q, struct message *m);
/* An operator's. */
void life_forgive(void *context);
void life_retry(void *context, struct message *m);
void life_hold(void *context, struct message *m, bool hold);
void life_remove(void *context, struct message *m);

#endif
