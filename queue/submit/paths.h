/* SPDX-License-Identifier: ISC */
/* What sendmail and drop must know of the configuration, read from the text: they belong to no
 * house that runs. */
#ifndef QUEUE_SUBMIT_PATHS_H
#define QUEUE_SUBMIT_PATHS_H

#include "lib/base/bytes.h"

enum { PATHS_MAX = 1024 };

struct paths {
	char run[PATHS_MAX], drop[PATHS_MAX];
	char programs[PATHS_MAX]; /* where drop is */
	uint64_t message_size_max;
};

/* environment: may the caller choose (POSTHOUSE_CONF, POSTHOUSE_RUNDIR, POSTHOUSE_DROPDIR,
 * POSTHOUSE_PROGRAMS)? Not in a program with more rights than its caller. An unreadable
 * posthouse.conf leaves the defaults. */
void paths_find(struct paths *p, bool environment);

#endif
