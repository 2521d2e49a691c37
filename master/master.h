/* SPDX-License-Identifier: ISC */
/* master's state, for its own files. master.c knows the others; they report to it through what it
 * gives them. */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include <limits.h>

#include "lib/conf/settings.h"
#include "master/instance.h"
#include "master/listener.h"

struct master {
	struct loop *loop;
	struct settings settings;
	const char *state_directory; /* as given on the command line */
	int generation;              /* the directory of the generation in use */
	long generation_number;
	const char *programs;                                /* the directory they are in */
	pid_t pid;                                           /* our own */
	bool privileged;                                     /* identities are changed */
	int null_fd;                                         /* descriptors 0 and 1 of programs */
	void (*wire_said)(struct watch *w, unsigned events); /* of instance.wire */
	struct listeners listeners;
	int submit, keys, log_socket;
	uid_t uids[ACCOUNTS]; /* all our own uid when unprivileged */
	gid_t gids[ACCOUNTS];
	char empty_root[PATH_MAX];
	struct instance *instances; /* all: residents, and behind them in time owners' services */
	bool up;                    /* every program has been ready once */
	bool stopping, failed;
	char refused[REASON_MAX]; /* why the last reload failed; "": it did not */
	enum house_stage stage;
	struct timer stage_over;
	struct deferred next_stage;
	int ready_fd; /* -1: nobody waits */
};

extern struct master master;

#endif
