/* SPDX-License-Identifier: ISC */
/*
 * Whose turn it is among the clients that wait for a worker, and whose session gives way when no
 * worker comes: no network takes all of a program's workers from the others.
 *
 * Wide networks take turns, and in one of them its networks, and its sites (lib/base/shares.h).
 * When all workers are taken, the oldest session of the heaviest network among those that make no
 * progress gives its place to a client whose network has less than that; where none has, the one
 * whose client has been silent for longest, if that is long, and if nobody works for it. So that
 * this is seldom needed, the last quarter of the places is kept for clients whose network, and wide
 * network, have little without progress.
 *
 * Those from whose network somebody has logged in lately have every other turn, and half of the
 * queue, when both want them.
 *
 * Pure: no descriptors, no clock of its own.
 */
#ifndef MASTER_PORTER_TURNS_H
#define MASTER_PORTER_TURNS_H

#include "lib/base/shares.h"

/* A client. Zeroed at first but for its owners and whether it is known. */
struct turn {
	struct share_path owners; /* of NET_OWNERS levels */
	bool known;               /* somebody has logged in from its network */
	struct share share;       /* while it waits, or holds a place that it may have to give */
	struct link promised;     /* waits for the place that another one gives */
	int64_t asked_ms;         /* promised: since when */
	struct link standing; /* has its place, makes no progress, and it is its turn to speak */
	int64_t stands_ms;    /* since when it makes none, whatever it waits for */
	int64_t silent_ms;    /* when its client last spoke, or since stands_ms */
	bool holds;           /* has a place; or is promised one, and counts as if it had it */
	bool gets_on;         /* makes progress */
	bool gone;            /* has given its place */
};

/* turns_start before its use. */
struct turns {
	size_t most;                       /* places in all */
	struct shares *waiting, *yielding; /* the outermost owner of who waits: known or not */
	struct list promised, standing;    /* standing: in the order of silent_ms */
	int64_t idle_ms; /* when there was last a worker for each, or one for somebody */
};

enum {
	TURNS_NO_WORKER_MS = 1000, /* clients wait so long, and no worker comes: all are taken */
	TURNS_PROMISE_MS = 2000,   /* whoever has to give its place is given so long */
	/* A client that has been silent for so long, and makes no progress, gives its place to one
	 * of a network that has no more than its own: a crowd of many networks with one each. Those
	 * who mean to log in or to send are slower than that only where they could not be served in
	 * any case, or all would throw out each other. */
	TURNS_SILENT_MS = 10000,
	TURNS_WORDS_MS = 20000, /* who makes no progress for so long is silent, whatever it says,
	                           and whatever it begins to wait for */
	TURNS_PASSES = 16,      /* so many owners may be asked in one call whether they can use
	                           their turn */
	/* Of the last places a network gets none when it holds this part of all without progress;
	 * or when its wide network holds that one, and it is not a little of it. */
	TURNS_LAST_PART = 4,
	TURNS_NETWORK_PART = 8,
	TURNS_WIDE_PART = 4,
	TURNS_LITTLE_PART = 64
};

void turns_start(struct turns *turns, size_t most);
size_t turns_waiting(const struct turns *turns); /* with those that are promised a place */

/* Of a client that neither waits nor holds. */
void turns_wait(struct turns *turns, struct turn *turn, int64_t now_ms);
/* One of those that wait that would give its place in the queue to a newcomer; NULL: none. */
struct turn *turns_giving_way(const struct turns *turns, const struct turn *newcomer);
/* Who gets the next worker, when so many places are taken; NULL: nobody waits, or those who do have
 * to leave it to others. */
struct turn *turns_next(struct turns *turns, size_t held);
/* May one that has just come have a worker that is idle? */
bool turns_may(const struct turns *turns, const struct turn *turn, size_t held);
/* It has got it, or had it without waiting. */
void turns_serve(struct turns *turns, struct turn *turn, int64_t now_ms);
/* Of one with a place: it makes progress, and does not give it; or no more; or still none, and its
 * client has spoken. */
void turns_progress(struct turns *turns, struct turn *turn, bool progress, int64_t now_ms);
/* Its client waits for what it has asked for: it is not silent until turns_progress. Not where it
 * has made no progress for TURNS_WORDS_MS: who fails again and again has always something to wait
 * for. */
void turns_busy(struct turn *turn, int64_t now_ms);
/* It neither waits nor holds any more; harmless when it has not. */
void turns_leave(struct turn *turn);

/* Will no worker come for those that wait: since none has come for so long, or since they have to
 * leave the last places to others? */
bool turns_are_stuck(struct turns *turns, size_t held, int64_t now_ms);
/* A place for one of those that wait: who is to give it, and has it no more. To be called again
 * until it says NULL: nobody has to. */
struct turn *turns_claim(struct turns *turns, int64_t now_ms);
/* The same for one that was promised a place, and whoever was to give it does not. */
struct turn *turns_claim_again(struct turns *turns, int64_t now_ms);
/* One without progress whose client has been silent for so long, whoever waits: it is to give its
 * place, and has it no more. NULL: none. */
struct turn *turns_expired(struct turns *turns, int64_t now_ms, int64_t most_ms);

#endif
