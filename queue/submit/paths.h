/* SPDX-License-Identifier: ISC */
/* What sendmail and drop must know of the configuration, read from the text: they belong to no
 * house that runs. */
#ifndef QUEUE_SUBMIT_PATHS_H
#define QUEUE_SUBMIT_PATHS_H

#include "lib/base/bytes.h"
#include "lib/base/reason.h"

enum { PATHS_MAX = 1024 };

struct paths {
	char run[PATHS_MAX], drop[PATHS_MAX], state[PATHS_MAX];
	char programs[PATHS_MAX];             /* where drop is */
	uint64_t message_size_max, space_min; /* bytes */
};

/* environment: may the caller choose (POSTHOUSE_CONF, POSTHOUSE_RUNDIR, POSTHOUSE_DROPDIR,
 * POSTHOUSE_PROGRAMS)? Not in a program with more rights than its caller. A
 * posthouse.conf that is missing or not for the caller's eyes leaves the defaults; -1: reading it
 * failed, or a path is too long. */
int paths_find(struct paths *p, bool environment, struct reason *why);

#endif
