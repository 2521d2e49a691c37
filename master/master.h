/* SPDX-License-Identifier: ISC */
/* master's state, for its own files. */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include "lib/conf/settings.h"
#include "lib/wire/owner.h"
#include "master/listener.h"
#include "master/instance.h"

enum { RESIDENTS_MAX = HOUSE_RESIDENT - 1 + PORTERS_MAX, RETIRED_MAX = 256, OWNERS_MAX = 4096 };

struct master {
	struct loop *loop;
	struct settings settings;
	const char *state_directory; /* as given on the command line */
	int generation;              /* the current generation's directory */
	struct launch launch;
	struct listeners listeners;
	int submit, keys, log_socket;
	uid_t uids[ACCOUNTS]; /* all our own uid when unprivileged */
	gid_t gids[ACCOUNTS];
	char empty_root[256];
	struct instance *instances; /* all: residents, and behind them in time owners' services */
	struct instance residents[RESIDENTS_MAX];
	unsigned resident_count, owner_count;
	pid_t retired[RETIRED_MAX]; /* predecessors that finish their last clients */
	unsigned retired_count;
	bool up; /* every program has been ready once */
	bool stopping, failed, empty;
	enum house_stage stage;
	struct timer stage_over;
	int ready_fd; /* -1: nobody waits */
};

extern struct master master;

/* ---- owners.c ---- */
/* OWNER_WORK from a resident; refused work is logged and its descriptors closed. */
void owners_work(const struct instance *from, struct wire_in *in);
/* A new generation: those that run finish and end; new work starts successors. */
void owners_retire(void);

/* ---- control.c ---- */
void control_start(int listener);
void control_stopped(void); /* answers those who wait for the house to be empty */

/* ---- master.c ---- */
int house_reload(struct reason *why);
void house_stop(bool failed);
/* The number-th instance of a resident program; NULL: there are fewer. */
struct instance *resident_of(enum house_program program, unsigned number);
/* The descriptors that every program has. */
void give_common(struct instance *i);
/* Into the list, with a fresh wire "master"; row, uid, gid, callbacks are set. */
void take_in(struct instance *i);

#endif
