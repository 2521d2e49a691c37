/* SPDX-License-Identifier: ISC */
/* Asking queued over the control socket: what `posthouse queue`, mailq and sendmail -q have in
 * common. */
#ifndef LIB_QUEUE_ASK_H
#define LIB_QUEUE_ASK_H

#include "lib/base/reason.h"
#include "lib/queue/queuelist.h"

/* Connects and has master pass us on to queued; the connection, or -1 with a reason; *temporary
 * tells which kind. */
int queue_ask_open(const char *rundir, bool *temporary, struct reason *why);

/* The messages that fit the filter, the oldest first.  0, or -1 with a reason. */
int queue_ask_list(int fd, const char *filter, struct queue_list *list, struct reason *why);

/* What is not served; 0, or -1: queued is of an older version, or does not respond. */
int queue_ask_counts(int fd, struct control_counts *counts);
/* Takes a file of the queue directory back: 0, or -1 with a reason. */
int queue_ask_restore(int fd, const char *name, bool unverified, struct reason *why);

/* CONTROL_QUEUE_RETRY, _HOLD, _RELEASE, _REMOVE: how many, or -1 with a reason. */
long queue_ask_change(int fd, enum control_type what, const char *filter, struct reason *why);
/* Prints the header lines; *file is the queue file's descriptor, -1 when it came without. */
int queue_ask_show(int fd, const char *id, FILE *out, int *file, uint64_t *offset, uint64_t *bytes,
                   struct reason *why);

#endif
