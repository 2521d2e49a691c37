/* SPDX-License-Identifier: ISC */
/* Programs as master knows them: their descriptors, starting, and starting again after a crash. */
#ifndef MASTER_INSTANCE_H
#define MASTER_INSTANCE_H

#include <sys/types.h>

#include "lib/base/loop.h"
#include "lib/base/pace.h"
#include "lib/base/program.h"
#include "master/house.h"

enum {
	RESTART_FIRST_MS = 1000,
	RESTART_MAX_MS = 60000,
	STEADY_MS = 10000 /* a program that lived this long starts again at once */
};

/* What a program is given: descriptors stay open in master, so that a successor finds the same
 * wires. */
struct descriptors {
	struct {
		char name[PROGRAM_NAME_MAX];
		int fd;
	} rows[PROGRAM_FDS_MAX];
	unsigned count;
};

void descriptors_add(struct descriptors *d, const char *name,
                     int fd); /* too many or too long a name is a panic */
/* The row of that name gets another descriptor; the old one, which is closed. */
void descriptors_replace(struct descriptors *d, const char *name, int fd);
int descriptors_find(const struct descriptors *d, const char *name); /* -1: none */
void descriptors_drop(struct descriptors *d, const char *prefix); /* forgets rows; closes nothing */

struct instance;
typedef void instance_ended(struct instance *i, int status); /* pid is 0; may free it */

struct instance {
	const struct house_row *row;
	struct descriptors descriptors;
	uid_t uid;
	gid_t gid;
	const char *root; /* NULL: no jail */
	pid_t pid;        /* 0: not running */
	bool ready;
	bool retired; /* its end is wanted: reload or stop */
	bool trial;   /* ends where it would be ready (trial.h) */
	unsigned failures, starts;
	unsigned beat_ms;  /* how often it was told to say that it turns (beats.h); 0: not */
	int64_t beats;     /* heard in its life */
	int64_t silent_ms; /* how long master's looks have found it silent */
	bool given_up;     /* and it was killed for that */
	int64_t started_ms;
	struct timer restart;
	struct watch wire; /* master's end of the wire "master" */
	int wire_other_end;
	struct pace complaints; /* of it, in the log */
	struct pace dials;
	int log[2];    /* its pipe to logd, reading and writing end; -1: none, it is logd */
	bool log_told; /* logd has, or will find on its wire, the reading end */
	instance_ended *ended;
	/* In the child, before it becomes the program; may be NULL. */
	void (*begins)(const struct instance *i);
	struct instance *next;
};

/* Into the list, with a fresh wire "master" and a pipe for its lines; row, uid, gid, callbacks are
 * set. -1 (errno): it is not in the list, and has neither. */
int instance_take_in(struct instance *i);
/* For lines to logd, which is given the reading end; of residents with more room. -1: errno. */
int instance_make_pipe(int ends[2], bool is_resident);
/* Out of the list; its wire and its pipe, whose other end is logd's, are closed. */
void instance_let_go(struct instance *i);
void instance_give_common(struct instance *i); /* the descriptors that every program has */
/* "master", with nothing on it. false: it has been logged why there is none, and instance_start
 * tries again. */
bool instance_lay_wire_again(struct instance *i);
/* The same, and the program that has the old one keeps it: our end, which is the caller's. */
int instance_leave_wire(struct instance *i);
/* Forks and execs row->name; pid, started_ms, starts are set. false: it has been logged why not. */
bool instance_start(struct instance *i);
/* Of a line in the log that the program can cause as often as it likes: may it be said now, and how
 * often was it not? */
bool instance_may_complain(struct instance *i, unsigned *more);
void instance_log_end(const struct instance *i, int status);
/* Sets i->restart: at once after a steady life, else after a delay that grows. */
void instance_start_later(struct instance *i);

#endif
