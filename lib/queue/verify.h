/* SPDX-License-Identifier: ISC */
/*
 * What a file of the queue is worth: the one judgement of queued's start and of `posthouse queue
 * check`.
 */
#ifndef LIB_QUEUE_VERIFY_H
#define LIB_QUEUE_VERIFY_H

#include "lib/queue/queuefile.h"

enum { QUEUE_LOG_READ_MAX = 64 << 20 };

enum queue_verdict {
	QUEUE_WHOLE,
	QUEUE_STATE_WRONG, /* the state byte is neither c nor l; all that has a checksum is right */
	QUEUE_EMPTY,       /* no byte in it */
	QUEUE_NO_HEADER,   /* its place is zeros, or the file ends before it */
	QUEUE_HEADER_WRONG, /* it is none */
	QUEUE_OTHER_ID,     /* another message's than the file's name says */
	QUEUE_TRUNCATED,    /* the file ends before what the header promises */
	QUEUE_SEAL_WRONG,   /* of header and envelope: damaged, or made under another secret */
	QUEUE_TEXT_WRONG,   /* the message's checksum; the rest is right */
	QUEUE_UNREADABLE    /* not now: error */
};

/* How much of a file is read. */
enum queue_reading {
	QUEUE_READ_ENDS, /* header, envelope and log; the message itself is taken for right, as long
	                    as all the rest is */
	QUEUE_READ_UNSYNCED, /* the message too, unless the state byte says that it was synced: what
	                        was on the disk before that byte was written no crash can tear */
	QUEUE_READ_ALL
};

struct queue_verified {
	enum queue_verdict verdict;
	int error;                  /* QUEUE_UNREADABLE: errno; 0: it was truncated meanwhile */
	char state;                 /* the byte in its place; 0 where there is none */
	struct queue_header header; /* from QUEUE_TRUNCATED on, and where it is whole */
	struct text tail;           /* envelope and log, likewise */
};

void queue_verified_init(struct queue_verified *v);
void queue_verified_free(struct queue_verified *v);
/* id: by the file's name; 0: whose it is, the header says. key NULL: there is no secret, every seal
 * is wrong. May be called again. */
void queue_verify(struct queue_verified *v, int fd, uint64_t id, const struct queue_key *key,
                  enum queue_reading reading);
/* Words for the log and the operator. */
const char *queue_verdict_text(const struct queue_verified *v);
/* Is all right that has a checksum? */
bool queue_verified_whole(const struct queue_verified *v);
/* Does the envelope mean something to this version? */
bool queue_verified_envelope(const struct queue_verified *v);

#endif
