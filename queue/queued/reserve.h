/* SPDX-License-Identifier: ISC */
/*
 * Room for the messages that are being written: what of the disk is promised to whom, and who gives
 * it back.
 *
 * A message that is opened is promised what its client has announced, and RESERVE_BESIDE_BYTES for
 * what we add to it or for who announced nothing, and only while the promises to all leave
 * queue.space-min free. What somebody writes beyond that nobody promised: there may be room. When
 * there is none, the oldest of those of the network that has most of such messages is ended, and so
 * on. For a newcomer that would be turned away the oldest of a network that has more open messages
 * than the newcomer's gives way, and as many more as it needs; nobody where that does not help.
 *
 * Pure: what is free and how long the files are is told.
 */
#ifndef QUEUE_QUEUED_RESERVE_H
#define QUEUE_QUEUED_RESERVE_H

#include "lib/base/list.h"
#include "lib/base/shares.h"

enum {
	RESERVE_BESIDE_BYTES = 1 << 20,
	RESERVE_AHEAD_TIMES = 3, /* of the length: allocated by the file system itself */
	RESERVE_AHEAD_BYTES = 4 << 20,
	RESERVE_GIVE_WAY_MAX = 16 /* for one newcomer */
};

/* In the struct of who has a message open, zeroed at first. */
struct reserved {
	struct link link;
	struct share open, over; /* over: longer than what was promised */
	struct share_path owner;
	uint64_t promised_bytes, written_bytes; /* written: when it was last told */
};

struct reserve {
	uint64_t space_min_bytes, free_bytes; /* set by the caller before it asks */
	uint64_t unwritten_bytes;             /* promised and not written */
	struct list all;
	struct shares *open, *over;
};

void reserve_init(struct reserve *r, unsigned owner_levels);
/* Is there room for a message that announces so much (0: nothing)? */
bool reserve_has_room(const struct reserve *r, uint64_t announced_bytes);
/* May it be that promises and growth matter, when no message is longer than this? Else how long
 * the files are need not be looked up. */
bool reserve_is_near(const struct reserve *r, uint64_t message_max_bytes);
/* false: no memory. */
bool reserve_take(struct reserve *r, struct reserved *m, uint64_t announced_bytes,
                  const struct share_path *owner);
/* Its file is so long by now, and has so many bytes of blocks. A file system allocates ahead of a
 * file that grows (XFS twice as much again): blocks count as written, but who has not written more
 * than was promised is over it only with more than thrice the length and RESERVE_AHEAD_BYTES, which
 * is what a captured writer gets. */
void reserve_grown(struct reserve *r, struct reserved *m, uint64_t file_bytes,
                   uint64_t allocated_bytes);
/* The message is taken (its bytes stay), or ended (they are free); harmless when it has nothing. */
void reserve_give_back(struct reserve *r, struct reserved *m, bool bytes_too);

/* Who has to be ended, since there is too little room for what was promised and queue.space-min;
 * NULL: nobody, or nobody who was not promised it. */
struct reserved *reserve_one_too_many(const struct reserve *r);
/* How many have to be ended, in this order, for a newcomer that announces so much; 0: nobody, for
 * there is room, or all who give way to it would not make enough. */
unsigned reserve_giving_way(struct reserve *r, uint64_t announced_bytes,
                            const struct share_path *newcomer,
                            struct reserved *givers[RESERVE_GIVE_WAY_MAX]);

#endif
