/* SPDX-License-Identifier: ISC */
/*
 * The workers that compute password hashes.
 *
 * Computing takes up to a second and up to a gigabyte: it happens in a few processes (tasks.h),
 * never in the event loop. A worker is told a stored hash and a password and answers with one byte;
 * it knows no names. Those that wait take turns (waiting.h). A check whose worker dies, or takes
 * too long, was unusable.
 */
#ifndef MASTER_AUTHD_CHECKER_H
#define MASTER_AUTHD_CHECKER_H

#include "lib/wire/tasks.h"
#include "master/authd/hash.h"
#include "master/authd/waiting.h"

enum {
	CHECKS_PER_WORKER = 128, /* wait at most; then one is told to come back later */
	CHECK_TIMEOUT_MS = 30000
};

/* One password to be checked.  The views stay valid until done() or checker_cancel. */
struct check {
	struct task task;
	struct waiter waiter;
	struct view stored, password;
	void (*done)(struct check *check, enum hash_result result);
};

/* Forks the workers.  forget() is called in each: it wipes what a worker must not have. */
void checker_start(struct loop *loop, unsigned workers, void (*forget)(void));
/* NULL, or the check that has to give way, which may be this one: it is over, and done() is not
 * called for it. */
struct check *checker_submit(struct check *check, enum trust trust,
                             const struct net_address *client, const char *account);
/* Not wanted any more; harmless when it is not under way. */
void checker_cancel(struct check *check);
bool checker_has(const struct check *check);

#endif
