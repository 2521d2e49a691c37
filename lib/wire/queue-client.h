/* SPDX-License-Identifier: ISC */
/* Asking queued over the control socket: what `posthouse queue`, mailq and sendmail -q have in
 * common. */
#ifndef LIB_WIRE_QUEUE_CLIENT_H
#define LIB_WIRE_QUEUE_CLIENT_H

#include <stdio.h>

#include "lib/base/reason.h"
#include "lib/wire/control.h"

/* Connects and has master pass us on to queued; the connection, or -1 with a reason; *temporary
 * tells which kind. */
int queue_ask_open(const char *rundir, bool *temporary, struct reason *why);

struct queue_entry {
	struct control_entry entry; /* recipient_list is a copy of its own */
	char *recipients;
};
struct queue_list {
	struct queue_entry *entries;
	size_t count;
};

/* The messages that fit the filter, the oldest first.  0, or -1 with a reason. */
int queue_ask_list(int fd, const char *filter, struct queue_list *list, struct reason *why);
void queue_list_free(struct queue_list *list);
/* The form that people know from mailq. */
void queue_list_print(const struct queue_list *list, FILE *out);

/* CONTROL_QUEUE_RETRY, _HOLD, _RELEASE, _REMOVE: how many, or -1 with a reason. */
long queue_ask_change(int fd, enum control_type what, const char *filter, struct reason *why);
/* Prints the header lines; *file is the queue file's descriptor, -1 when it came without. */
int queue_ask_show(int fd, const char *id, FILE *out, int *file, uint64_t *offset, uint64_t *bytes,
                   struct reason *why);

#endif
