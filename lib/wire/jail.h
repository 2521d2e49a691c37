/* SPDX-License-Identifier: ISC */
/*
 * How a worker is forked and confined: the one way, for those of services (worker.h) and of tasks
 * (tasks.h).
 *
 * It has no descriptor but those named, can neither fork nor make pairs of sockets, and lives in a
 * sandbox of its own below its parent's, so that workers of one uid cannot signal each other or the
 * parent (Landlock from ABI 6 on; where there is none the filter of system calls has no kill).
 */
#ifndef LIB_WIRE_JAIL_H
#define LIB_WIRE_JAIL_H

#include <sys/types.h>

#include "lib/base/sandbox.h"

struct loop;

enum {
	JAIL_DESCRIPTORS = 64, /* without a number in the profile */
	/* For who sends descriptors: the kernel holds against this number all that its uid has
	 * under way between any programs, and those of a busy service are many. */
	JAIL_DESCRIPTORS_OF_SENDER = 4096,
	JAIL_MEMORY_MIB = 512, /* the same */
	JAIL_KEEP_MAX = 16
};

/* fork(), as loop_fork, and a line between the two (wire.h) if `line` is not NULL: its one end is
 * here, the other in the child, which sends no descriptors over it. -1 (errno): neither is there,
 * and *line is -1. In the
 * child every descriptor is closed but the standard ones, the line and the `count` in keep, and the
 * signal `death` is its parent's death: SIGKILL where that loses nothing that the worker would
 * finish. The child must not run the loop. */
pid_t jail_fork(int *line, const int *keep, unsigned count, int death);

/* In the child, before anything a stranger wrote: the profile less SANDBOX_FORK; limits that are 0
 * get the numbers above, and no file is written where file_bytes_max is 0. */
void jail_enter(const struct sandbox_profile *profile);

/* The end of a worker: without the exit handlers, which would copy the data pages of every library
 * for nothing, since its output is written. A sanitizer looks for leaks in one. */
_Noreturn void jail_end(int status);

#endif
