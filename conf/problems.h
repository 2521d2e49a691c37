/* SPDX-License-Identifier: ISC */
/* What a build found wrong: all of it, each with file, line and remedy. */
#ifndef CONF_PROBLEMS_H
#define CONF_PROBLEMS_H

#include "lib/base/bytes.h"

enum { PROBLEMS_TEXT_MAX = 1 << 20, PROBLEMS_SHOWN_MAX = 200 };

struct problems {
	struct text text; /* lines, in the order in which they were found */
	unsigned errors, warnings;
	/* For check by a user whose house it is not: what they may not read is no fault of it. */
	bool onlooker;
};

void problems_init(struct problems *p);
void problems_free(struct problems *p);
/* line 0: the whole file; file NULL: neither. */
void problem_error(struct problems *p, const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void problem_warning(struct problems *p, const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* Names lines of files by what `origin` says they are of, as "standard input:12"; it is asked with
 * the file's name behind the last "/" and the line, and says 0 of those that stay as they are. */
void problems_rename(struct problems *p, int (*origin)(void *context, struct view file, int line),
                     void *context, const char *name);
/* Is this errno of something that was to be looked at the onlooker's alone? */
bool problem_is_unseen(const struct problems *p, int error);
/* Writes those warnings to standard error that `before` has not, wherever their lines were. */
void problems_print_new(const struct problems *p, const struct problems *before);
/* The same of errors, of which each counts: one more of the same words is new.  How many lines. */
unsigned problems_print_new_errors(const struct problems *p, const struct problems *before);
/* Writes all of them to standard error. */
void problems_print(const struct problems *p);

#endif
