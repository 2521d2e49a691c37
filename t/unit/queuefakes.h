/* SPDX-License-Identifier: ISC */
/*
 * What stands in for the library below queued's files, so that one process lives through a million
 * lives of queued (t/unit/queuestates.c): memory that a crash loses, a clock that moves only when
 * it is told to, timers, the lines of agents, a log. Linked before the library, whose own of these
 * are then not taken.
 */
#ifndef T_UNIT_QUEUEFAKES_H
#define T_UNIT_QUEUEFAKES_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/wire/hub.h"

/* What is allocated from now on stays for ever: the buffers that files keep for themselves. */
void fakes_memory_permanent(void);
/* All that has been allocated since is lost, as by kill -9; the same run gets the same places. */
void fakes_memory_forget(void);

/* Log lines are shown, each behind `#`. */
extern bool fakes_log_shown;

/* libsodium's random numbers are always the same one. */
void fakes_no_random(void);

/* Both clocks; they move together. */
extern int64_t fakes_now_ms;

/* The loop: timers alone. */
extern struct loop *const fakes_loop;
void fakes_loop_forget(void);
/* Runs those that are due. */
bool fakes_loop_run_due(void);
int64_t fakes_loop_next_ms(void); /* 0: none is set */

/* The agents' lines. A hub of this name ("remote.job") wants so many workers more; they come when
 * the world says so. */
enum { FAKES_HUBS = 2, FAKES_LINES = 4 };

struct fakes_hub {
	struct hub *hub; /* NULL: not started */
	unsigned wanted;
	struct hub_line *lines[FAKES_LINES]; /* NULL: none */
};

extern struct fakes_hub fakes_hubs[FAKES_HUBS];
/* queued sends to an agent. */
extern void (*fakes_sent)(struct hub_line *line, const struct wire_out *out);
/* It drops a line for what it said. */
extern void (*fakes_dropped)(const char *why);

void fakes_hubs_forget(void);
struct fakes_hub *fakes_hub_of(const struct hub_line *line);
/* The type of what a worker has sent and nobody read: its line has that when it ends. */
extern unsigned char fakes_unread;
void fakes_worker_comes(struct fakes_hub *h);
void fakes_worker_dies(struct hub_line *line);
/* What is noted on lines is done, as the loop does it. */
bool fakes_hubs_run_due(void);

#endif
