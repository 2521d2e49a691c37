/* SPDX-License-Identifier: ISC */
/*
 * Where mail cannot go at present, as deliveries have shown: full mailboxes, and addresses that
 * another host, or DNS, does not know. Kept by queued, which learns it, and by resolved, which
 * answers RCPT with it: what is refused there needs no report to a sender whom nobody has verified.
 *
 * Each is remembered for a time, at most so many of each kind: the oldest gives way, so that
 * thousands of made-up addresses of one kind cost memory of the other kind nothing.
 */
#ifndef LIB_QUEUE_REFUSALS_H
#define LIB_QUEUE_REFUSALS_H

#include "lib/base/hash.h"
#include "lib/wire/resolve.h"

enum {
	REFUSALS_MAX = 4096, /* of each kind */
	/* Hosts try again what was put off about as soon, so that room that was made is found. */
	REFUSAL_FULL_MS = 15 * 60 * 1000,
	/* A message of ours that waits finds it as well: until its next attempt nothing is known to
	 * have changed. With a queue.retry-max of days another one is let in meanwhile, to ask. */
	REFUSAL_FULL_MAX_MS = 2 * 3600 * 1000,
	REFUSAL_UNKNOWN_MS = 2 * 3600 * 1000,
	/* DNS may be mended at any time, and its own negative answers last about as long. */
	REFUSAL_DOMAIN_MS = 15 * 60 * 1000,
	/* A mailbox without room for so little is full for everything; with more, a large message
	 * that did not fit must not keep the small ones out. */
	REFUSAL_ROOM_BYTES = 64 * 1024
};

struct refusal {
	struct hashed by_key;
	struct link by_age;
	enum resolve_refusal_kind kind;
	int64_t until_ms;    /* of the clock that only goes forward */
	uint64_t size_bytes; /* FULL: the smallest that did not fit */
	bool told;           /* the caller's; false in a new or changed one */
	uint64_t message;    /* the caller's: the last one that showed it */
	char key[];
};

struct refusals {
	struct hash known;
	struct list by_age[RESOLVE_REFUSAL_KINDS]; /* the oldest first */
	uint32_t seed;
};

void refusals_begin(struct refusals *rs);
void refusals_free(struct refusals *rs); /* what is known; it may begin again */
/* One that is known lasts anew; keep_ms is cut to what its kind has, 0 ends it. Valid until the
 * next call. */
struct refusal *refusals_add(struct refusals *rs, enum resolve_refusal_kind kind, struct view key,
                             uint64_t size_bytes, int64_t now_ms, int64_t keep_ms);
/* NULL: not known, or not any more. Valid until the next one is added. */
struct refusal *refusals_find(struct refusals *rs, enum resolve_refusal_kind kind, struct view key,
                              int64_t now_ms);
int64_t refusal_keep_ms(enum resolve_refusal_kind kind);

/* Is a message of this size (0: not known) refused by a mailbox that is known as full? */
bool refusal_holds_for(const struct refusal *r, uint64_t size_bytes);

#endif
