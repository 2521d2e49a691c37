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

/* ---- logs.c ---- */
/* Where lines go from now on; after a failure, where they went before. */
int logs_open(const struct settings *s, struct reason *why);
void logs_tell_output(void); /* to logd: the present log */
/* Sends logd the pipes that it does not have, in the last stage its end too; what its wire has no
 * room for goes when it has. */
void logs_tell(void);
void logs_lay_pipe(struct instance *i); /* for one that is in the list */
void logs_reader_ended(void);           /* before logd is started again */
void logs_reconnect(void);              /* the system's log was started again */

/* ---- master.c ---- */
int house_reload(struct reason *why);
void house_stop(bool failed);
/* The number-th instance of a resident program; NULL: there are fewer. */
struct instance *resident_of(enum house_program program, unsigned number);
/* The descriptors that every program has. */
void give_common(struct instance *i);
/* Into the list, with a fresh wire "master" and a pipe for its lines; row, uid, gid, callbacks are
 * set. */
void take_in(struct instance *i);
/* A fresh wire "master", with nothing on it. */
void lay_wire_again(struct instance *i);

#endif
