/* SPDX-License-Identifier: ISC */
/*
 * The log at the end of a queue file: what has become of its recipients, one record a line, each
 * with its own short keyed checksum.
 */
#ifndef LIB_QUEUE_QUEUELOG_H
#define LIB_QUEUE_QUEUELOG_H

#include "lib/queue/queuefile.h"

enum { QUEUE_LOG_TEXT_MAX = 512 };

enum queue_event {
	QUEUE_NEW, /* a recipient that came out of an alias; counts only when QUEUE_EXPANDED follows
	            */
	QUEUE_EXPANDED, /* recipient `index` was replaced by the new ones before this record */
	QUEUE_DONE,     /* recipient `index` needs nothing more */
	QUEUE_RETRY,    /* an attempt failed for now */
	QUEUE_FAILED,   /* it failed for good; a report is owed */
	QUEUE_SUCCESS,  /* delivered; a report was asked for and is owed */
	QUEUE_NOTICE,   /* the delay notice has gone out */
	QUEUE_ATTEMPT,  /* `number` attempts so far, the next at `time_s` */
	QUEUE_HOLD,
	QUEUE_RELEASE,
	QUEUE_EVENTS
};

struct queue_log {
	enum queue_event event;
	uint32_t index; /* recipient; of QUEUE_NEW: the one it came from */
	/* QUEUE_ATTEMPT: attempts; QUEUE_SUCCESS: 1 when it was relayed; QUEUE_NEW: the recipient's
	 * own number; QUEUE_EXPANDED: how many there are then, and the first of the new ones (0 in
	 * files of 0.1, never else) */
	uint32_t number, first;
	int64_t time_s;
	char status[STATUS_MAX], host[256], text[QUEUE_LOG_TEXT_MAX];
	struct envelope_recipient recipient; /* QUEUE_NEW */
};

void queue_log_encode(struct text *out, const struct queue_key *key, uint64_t id,
                      const struct queue_log *l);
/* The next good record; records that are torn or not sealed are passed over and counted in *bad
 * (may be NULL). false at the end; then *rest holds a last line without its end, if there is
 * one. */
bool queue_log_next(struct view *rest, const struct queue_key *key, uint64_t id,
                    struct queue_log *l, unsigned *bad);

/* Only the records of expansions (QUEUE_NEW, QUEUE_EXPANDED), as they stand in `records`. */
void queue_log_expansions(struct view records, struct text *out);

#endif
