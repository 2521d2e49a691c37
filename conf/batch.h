/* SPDX-License-Identifier: ISC */
/* Many entries from standard input: a line each as the map's text writes it, in one edit, all of
 * them or none. */
#ifndef CONF_BATCH_H
#define CONF_BATCH_H

#include "conf/edits.h"

enum { BATCH_BYTES_MAX = 1 << 26 };

/* "-" and nothing else. */
bool batch_is_asked(int argc, char **argv);
/* What one line does to the texts; -1 with the reason.  key and value live until batch_run ends. */
typedef int batch_line(struct edits *e, void *context, struct view key, struct view value,
                       struct reason *why);
/* Reads all of standard input, then takes the lock (edits_run) and does each of its lines; what is
 * wrong with any is said with its line's number, and nothing is changed; an exit code. */
int batch_run(const struct command *c, batch_line *line, void *context);

#endif
