/* SPDX-License-Identifier: ISC */
/*
 * How a worker is forked and confined: the one way, for the workers of services (worker.h), authd's
 * and dnsd's.
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
	JAIL_MEMORY_MIB = 512,     /* the same */
	JAIL_FILE_MIB_BESIDE = 64, /* for a writer of messages, beside the largest message */
	JAIL_KEEP_MAX = 16
};

/* fork(), as loop_fork; in the child every descriptor is closed but the standard ones and
 * the `count` in keep, and the signal `death` is its parent's death: SIGKILL where that loses
 * nothing that the worker would finish. The child must not run the loop. */
pid_t jail_fork(const int *keep, unsigned count, int death);

/* In the child, before anything a stranger wrote: the profile less SANDBOX_FORK; limits that are 0
 * get the numbers above, and no file is written where file_bytes_max is 0. */
void jail_enter(const struct sandbox_profile *profile);

#endif
