/* SPDX-License-Identifier: ISC */
/* Asking queued over the control socket: what `posthouse queue`, mailq and sendmail -q have in
 * common. Where a function says "or why not", it returns minus the exit code of the command
 * (EXIT_PERMANENT: queued refuses; EXIT_TEMPORARY: there is no answer) and gives the reason. */
#ifndef LIB_QUEUE_ASK_H
#define LIB_QUEUE_ASK_H

#include "lib/base/reason.h"
#include "lib/queue/queuelist.h"

/* Connects and has master pass us on to queued; the connection, or why not. */
int queue_ask_open(const char *rundir, struct reason *why);

/* Calls each() with the messages that fit the filter, the oldest first, as they come; its
 * recipient_list is gone after that. 0, or why not, also when some have come. */
int queue_ask_list(int fd, const char *filter,
                   void (*each)(void *context, const struct control_entry *e), void *context,
                   struct reason *why);

/* What is not served; 0, or -1: queued is of an older version, or does not respond. */
int queue_ask_counts(int fd, struct control_counts *counts);
/* Takes a file of the queue directory back: 0, or why not. */
int queue_ask_restore(int fd, const char *name, bool unverified, struct reason *why);

/* CONTROL_QUEUE_RETRY, _HOLD, _RELEASE, _REMOVE: how many, or why not. */
long queue_ask_change(int fd, enum control_type what, const char *filter, struct reason *why);
/* Prints the header lines; *file is the queue file's descriptor, -1 when it came without. 0, or why
 * not. */
int queue_ask_show(int fd, const char *id, FILE *out, int *file, uint64_t *offset, uint64_t *bytes,
                   struct reason *why);

#endif
