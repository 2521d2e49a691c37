/* SPDX-License-Identifier: ISC */
/*
 * What really happens in the world of t/unit/queuestates.c: what agents have in hand, to whom they
 * delivered, about whom they reported. queued can only infer it; here it is known, and queued is
 * judged by it.
 */
#ifndef T_UNIT_QUEUETRUTH_H
#define T_UNIT_QUEUETRUTH_H

#include "queue/queued/messages.h"
#include "t/unit/queuefakes.h"
#include "t/unit/queueworld.h"

/* Where the world's clock begins, and when a message is given up. */
enum { TRUTH_START_MS = 1000000, TRUTH_LIFETIME_MS = 6000 };

/* A worker's job. */
struct truth_work {
	bool busy;
	unsigned message, count;
	enum job_report report;
	struct {
		uint32_t index;
		uint8_t address;
		bool answered;
	} who[WORLD_ADDRESSES];
};

extern struct truth_work truth_works[FAKES_HUBS][FAKES_LINES];

/* Nothing has happened. */
void truth_begin(const struct world_scenario *s, const struct records *records);
/* The first thing that was wrong is kept. */
void truth_wrong(const char *what, unsigned message, const char *address);
const char *truth_what_is_wrong(void); /* NULL: nothing */

const struct world_address *truth_address(unsigned number);
unsigned truth_address_number(const char *address);
struct message *truth_message(unsigned number); /* that queued has; NULL: none */

/* A message is acknowledged. */
void truth_acknowledged(unsigned message);
/* It is not ours any more: somebody removed it. */
void truth_removed(unsigned message);
/* A record may be missing on the disk, for another reason than queued's. */
void truth_lossy(void);
/* An orderly stop: from now on it must be. */
void truth_all_written(void);
/* An agent tells queued the outcome for recipient i of its job. */
void truth_told(const struct truth_work *k, unsigned i, enum job_outcome outcome);
/* queued may have forgotten what its disk does not say. */
void truth_restarted(void);

/* Is recipient i of a job, which begins, right? */
void truth_judge_job(const struct truth_work *k, unsigned i, bool stopping);
void truth_judge(void);
uint64_t truth_hash(void);

#endif
