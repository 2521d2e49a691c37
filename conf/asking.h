/* SPDX-License-Identifier: ISC */
/* What a running house is asked over RUNDIR/control, and its answers. */
#ifndef CONF_ASKING_H
#define CONF_ASKING_H

#include "lib/base/reason.h"
#include "lib/wire/control.h"

struct settings;

/* Who hears an answer: what version runs (before its lines; "unknown" is one that does not say),
 * and each line.  NULL: does not care. */
struct hearer {
	void (*version)(struct hearer *h, const char *version);
	void (*line)(struct hearer *h, const char *line);
};

/* master answers at once what it is and how: for so long who asks is silent. */
enum { ASKING_SILENCE_MS = 5000 };

/* Asks on a connection (control_connect); the exit code that the answer ends with, and why.  A stop
 * or a reload takes what it takes, as long as master answers others. */
int ask(const struct settings *s, int fd, enum control_type question, struct hearer *h,
        struct reason *why);
/* -1: master does not answer within ASKING_SILENCE_MS.  Asked before what may take longer, and
 * again while nothing comes.  Says once on standard error who is waited for: `whom` and those that
 * do not answer, or with whom NULL all that run. */
int ask_again(const struct settings *s, const char *whom, bool *said, struct reason *why);
/* To take the current generation; an exit code.  refused: it was asked and did not, so that it goes
 * on with the one it has (and not: it could not be asked, or is of another version). */
int ask_to_reload(const struct settings *s, bool *refused, struct reason *why);
/* The generation that it uses; -1 when it does not run or does not say. */
long ask_generation(const struct settings *s);
/* 0: what is made current in this directory.state is what the running house takes, or none runs.
 * *generation: as ask_generation says it. */
int ask_takes_from(const struct settings *s, const char *state, long *generation,
                   struct reason *why);
/* Is this line of a status the generation's? */
bool status_generation(const char *line, long *number);
/* Is it the one that names its directory.state, and is that another than `state`? Says so. */
bool status_is_elsewhere(const char *line, const char *state, struct reason *why);

#endif
