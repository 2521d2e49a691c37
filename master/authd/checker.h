/* SPDX-License-Identifier: ISC */
/*
 * The workers that compute password hashes, and the queue before them.
 *
 * Computing takes up to a second and up to a gigabyte: it happens in a few processes, never in the
 * event loop. A worker is told a stored hash and a password and answers with one byte; it knows no
 * names, holds no descriptor but its line, and forgets what it was told. One that dies, or takes
 * too long, is replaced; its check was unusable.
 */
#ifndef MASTER_AUTHD_CHECKER_H
#define MASTER_AUTHD_CHECKER_H

#include "lib/base/loop.h"
#include "master/authd/hash.h"

enum {
	CHECKS_PER_WORKER = 128, /* waiting at most; the next one is told to come back later */
	CHECK_TIMEOUT_MS = 30000
};

/* One password to be checked.  The views stay valid until done() or checker_cancel(). */
struct check {
	struct view stored, password;
	void (*done)(struct check *check, enum hash_result result);
	/* The checker's own. */
	struct check *next;
	struct check_worker *worker;
	bool waiting;
};

struct checker;

/* Forks the workers.  forget() is called in each: it wipes what a worker must not have. */
struct checker *checker_start(struct loop *loop, unsigned workers, void (*forget)(void));
/* False when too many wait already. */
bool checker_submit(struct checker *c, struct check *check);
/* Its result is not wanted any more; harmless when there is nothing under way. */
void checker_cancel(struct checker *c, struct check *check);

#endif
