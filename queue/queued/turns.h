/* SPDX-License-Identifier: ISC */
/*
 * Fair turns between senders, over many queues at once: pure. There is a queue for each
 * destination; which of them can be served at the moment is the caller's to know.
 *
 * Time here is virtual: each turn of a sender is one tick after their turn before, or after the one
 * that is being served now, whichever is later. In each queue a sender has one turn ahead, however
 * much of theirs waits there, and of the queues that can be served the one whose turn is the
 * earliest comes next. So a sender with mail in 10,000 queues has 10,000 turns in a row ahead, and
 * one with mail in a single queue the very next one. Of one sender in one queue who came first is
 * first.
 *
 * Where a queue is too long, who has most in it gives way (turns_last): what they added last, and
 * of those with as much who would have waited longest. So nobody is put off for what others add.
 *
 * Adding, removing and taking cost O(log n) of those who wait in that queue. Memory: one `line` for
 * each sender in each queue and one record for each sender, while something of theirs waits.
 */
#ifndef QUEUE_QUEUED_TURNS_H
#define QUEUE_QUEUED_TURNS_H

#include "lib/base/bytes.h"
#include "lib/base/hash.h"
#include "lib/base/heap.h"

struct turns {
	struct hash senders, lines;
	uint32_t seed; /* strangers choose senders */
	int64_t now;   /* the turn served last */
};

/* Zeroed at first, and when it is empty free of memory but its heaps': turns_queue_free. */
struct turns_queue {
	struct heap lines;  /* by their turns */
	struct heap crowds; /* the same, by how much is in them */
	size_t count;       /* items */
};

void turns_begin(struct turns *t);
/* What still waits must not be removed any more. */
void turns_free(struct turns *t);
void turns_queue_free(struct turns_queue *q);

/* item: a link of the caller's object, in no list. */
void turns_add(struct turns *t, struct turns_queue *q, struct view sender, struct link *item);
/* Whose turn it is in a queue that is not empty, removed: the turn is taken. */
struct link *turns_take(struct turns *t, struct turns_queue *q);
/* One that waits, removed: nobody has had a turn. */
void turns_remove(struct turns *t, struct link *item);
struct link *turns_first(const struct turns_queue *q); /* NULL: it is empty */
struct link *turns_last(const struct turns_queue *q);  /* who gives way; NULL: it is empty */
size_t turns_most(const struct turns_queue *q);        /* what the sender of that one has in it */
int64_t turns_next(const struct turns_queue *q);       /* the first one's turn; it is not empty */

#endif
