/* SPDX-License-Identifier: ISC */
/*
 * The workers that compute password hashes.
 *
 * Computing takes up to a second and up to a gigabyte: it happens in a few processes (tasks.h),
 * never in the event loop. A worker is told a stored hash and a password and answers with one byte;
 * it knows no names. A check whose worker dies, or takes too long, was unusable.
 */
#ifndef MASTER_AUTHD_CHECKER_H
#define MASTER_AUTHD_CHECKER_H

#include "lib/wire/tasks.h"
#include "master/authd/hash.h"

enum {
	CHECKS_PER_WORKER = 128, /* under way at most; the next one is told to come back later */
	CHECK_TIMEOUT_MS = 30000
};

/* One password to be checked.  The views stay valid until done() or task_cancel(&check->task). */
struct check {
	struct task task;
	struct view stored, password;
	void (*done)(struct check *check, enum hash_result result);
};

/* Forks the workers.  forget() is called in each: it wipes what a worker must not have. */
void checker_start(struct loop *loop, unsigned workers, void (*forget)(void));
/* False when too many are under way already. */
bool checker_submit(struct check *check);

#endif
