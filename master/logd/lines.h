/* SPDX-License-Identifier: ISC */
/*
 * From what a program wrote into its pipe to lines of the log: time and program are put before each
 * by us, so that none speaks in another's name, and no byte is left that a terminal would obey.
 *
 * Each pipe has its bound, which no honest load meets: queued, the most talkative, writes some
 * 10,000 lines at 3,000 messages a second. Beyond it lines are dropped and counted.
 */
#ifndef MASTER_LOGD_LINES_H
#define MASTER_LOGD_LINES_H

#include "lib/base/bytes.h"
#include "lib/base/log.h"
#include "lib/base/pace.h"
#include "lib/base/program.h"

enum {
	LINES_PER_SECOND = 20000,
	LINES_BYTES_PER_SECOND = 4 << 20, /* as they are written: an escaped byte is four */
	LINES_BURST_SECONDS = 2           /* what was not used lasts so long */
};

enum lines_form {
	LINES_FILE,  /* "TIME PROGRAM[PID]: TEXT" */
	LINES_SYSTEM /* "<PRIORITY>PROGRAM[PID]: TEXT", RFC 3164; the system's log knows the time */
};

/* When and in which form lines are written. */
struct lines_moment {
	enum lines_form form;
	int64_t now_ms;            /* for the bounds */
	int64_t wall_ms;           /* of `stamp` */
	char stamp[LOG_STAMP_MAX]; /* of lines whose writer's own is not believed */
};

struct lines {
	char program[PROGRAM_NAME_MAX];
	struct text held; /* a line whose end has not come yet */
	struct bucket count, bytes;
	int64_t empty_wall_ms; /* when the pipe held nothing; 0: not known */
	uint64_t dropped;      /* the caller's to tell of and to set back */
};

void lines_start(struct lines *l, struct view program);
void lines_free(struct lines *l);
/* Adds to `out` what `bytes` completes: whole lines, each ended by the only newline in it. A line
 * bears the time that its writer gave it, unless that cannot be: it is later than now, or from
 * before the pipe was empty. */
void lines_take(struct lines *l, struct view bytes, const struct lines_moment *moment,
                struct text *out);
/* All that was written until now has been taken. */
void lines_are_all(struct lines *l, const struct lines_moment *moment);
/* No more will come: the line that has no end is one. */
void lines_end(struct lines *l, const struct lines_moment *moment, struct text *out);

#endif
