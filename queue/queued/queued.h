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
#include "queue/queued/resolving.h"
#include "queue/queued/writers.h"
#include "queue/queued/commands.h"

enum {
	QUEUED_ACTIVE_MAX = 20000, /* messages with a target in memory: being asked about, waiting
	                              for an agent, or with one */
	QUEUED_AGENTS_MAX = 10000, /* lines of one kind of agent */
	QUEUED_OWNERS_BUCKETS = 1024
};

struct queued;

/* One kind of agent. */
struct channel {
	struct hub server;
	struct queued *queued;
	const char *name; /* in the log */
	struct schedule *schedule;
	/* local: whose, and whether a parent is running */
	struct channel *owners_next;
	uint32_t uid, gid;
	bool is_owner, started, ending;
	struct timer run;      /* at the end of this round of the loop */
	int64_t not_before_ms; /* the parent was lost a moment ago */
};

/* Recipients of one message that go the same way in one job, or one report about them. */
struct delivery {
	struct schedule_item item;
	struct message *message;
	struct channel *channel;
	struct delivery *of_next, *of_previous; /* of the message */
	enum job_report report;
	bool running, trouble;
	struct text notes; /* log records of its results */
	unsigned count;
	struct {
		uint32_t index;
		bool answered;
	} who[];
};

struct line_of_messages {
	struct message *first, *last;
};

struct queued {
	struct loop *loop;
	struct settings settings;
	struct disk disk;
	struct records records;
	struct writers *writers;
	struct channel remote, bouncing, *owners[QUEUED_OWNERS_BUCKETS];
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
void life_result(struct queued *q, struct delivery *d, struct recipient *r,
                 const struct job_result *result);
void life_delivered(struct queued *q, struct delivery *d); /* the job is over; frees d */
void life_drain(struct queued *q, struct channel *c, struct schedule_destination *d);
void life_attempt_now(struct queued *q, struct message *m);
/* An operator's. */
void life_forgive(void *context);
void life_retry(void *context, struct message *m);
void life_hold(void *context, struct message *m, bool hold);
void life_remove(void *context, struct message *m);

/* agents.c */
void agents_start(struct queued *q);
void agents_set_limits(struct queued *q);
/* At the end of this round of the loop: give what waits to whoever is idle, and ask for more hands.
 * Not at once: an agent that is lost meanwhile would change the message that the caller is working
 * on. */
void agents_run(struct channel *c);
void agents_aim(struct queued *q, struct target *t); /* whose work, by what it is scheduled */
bool agents_busy(const struct queued *q);
void agents_forgive(struct queued *q); /* destinations in trouble are tried at once */

#endif
