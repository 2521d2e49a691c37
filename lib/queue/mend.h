/* SPDX-License-Identifier: ISC */
/*
 * One flipped bit in header or envelope of a queue file: the seal over both says which it was. So
 * nobody has to take the file unverified, with the recipients that it has now.
 */
#ifndef LIB_QUEUE_MEND_H
#define LIB_QUEUE_MEND_H

#include "lib/queue/verify.h"

/* Bytes of the envelope; each bound keeps a file below about a second of CPU time. */
enum {
	QUEUE_MEND_ENVELOPE_MAX = 8 << 10, /* its own bits are tried up to here */
	QUEUE_MEND_HEADER_MAX = 256 << 10  /* the header's up to here */
};

struct queue_mend {
	uint64_t at; /* of the byte in the file */
	char byte;   /* as it was */
	bool whole;  /* with it the message's checksum is right too */
};

/* Could this be one bit? Whether it is, queue_mend says. */
bool queue_mend_suits(const struct queue_verified *v);
/* Which byte makes header and envelope verify? Nothing is written. id: as for queue_verify. */
bool queue_mend(int fd, uint64_t id, const struct queue_key *key, struct queue_mend *m);

#endif
