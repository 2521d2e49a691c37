/* SPDX-License-Identifier: ISC */
/*
 * What would hold up an event loop, done by a few jailed workers, one task each at a time: authd's
 * hashes, dnsd's lookups.
 *
 * A worker is forked from the program itself and jailed (jail.h) with nothing but its line; what
 * was said to it and by it is wiped behind each task. One that ends, says what it was not asked, or
 * takes too long is killed, the log says why, its task is lost, and another takes its place after
 * a pause, so that a fault at its start does not spin.
 *
 * No callback runs inside tasks_submit or task_cancel: those only note, the loop acts.
 */
#ifndef LIB_WIRE_TASKS_H
#define LIB_WIRE_TASKS_H

#include "lib/base/loop.h"
#include "lib/base/sandbox.h"
#include "lib/wire/wire.h"

/* Stands in the asker's struct, zeroed; it is the asker's again when it was answered, lost or
 * cancelled. */
struct task {
	/* The skeleton's own. */
	struct link waiting;
	struct task_worker *worker; /* at work */
};

struct tasks {
	/* Set by the caller before tasks_start. */
	struct loop *loop;
	unsigned workers_min; /* forked at once and kept */
	unsigned workers_max; /* the others when there is work for them */
	size_t tasks_max;     /* waiting and at work; further ones are refused */
	int timeout_ms;       /* of one task; 0: none */
	struct sandbox_profile profile;
	/* In a worker before its jail: lets go of what it shall not have. May be NULL. */
	void (*begin)(void);
	/* In a worker: does what `in` says and begins and fills the answer. false: it is no task.
	 */
	bool (*work)(struct wire_in *in, struct wire_out *answer);
	/* Begins and fills what a worker is told. */
	void (*put)(const struct task *task, struct wire_out *out);
	/* false, with nothing done: it is no answer, and the task is lost. */
	bool (*answered)(struct task *task, struct wire_in *answer);
	void (*lost)(struct task *task);
	/* Whose turn it is among those that wait, NULL: nobody; for a caller that keeps them
	 * itself, and calls tasks_come instead of tasks_submit. Both or none. */
	struct task *(*next)(struct tasks *tasks);
	void (*taken)(struct task *task); /* that one; it is out of what the caller keeps */
	/* The skeleton's own. */
	struct task_worker *workers;
	struct list waiting;
	size_t at_work;
	struct wire_out out;
	struct deferred due;
};

/* The struct stays for the life of the program. */
void tasks_start(struct tasks *tasks);
/* false: there are too many. */
bool tasks_submit(struct tasks *tasks, struct task *task);
/* There may be more for `next` to name. */
void tasks_come(struct tasks *tasks);
/* Not wanted any more: neither answered nor lost will be called for it; harmless when it is not
 * under way. A worker that has it finishes it all the same. */
void task_cancel(struct task *task);
bool task_waits(const struct task *task); /* for a worker, in tasks_submit's queue */
bool task_is_under_way(const struct task *task);

#endif
