/* SPDX-License-Identifier: ISC */
/* A list of messages in the queue, in the form that people know from mailq. */
#ifndef LIB_QUEUE_QUEUELIST_H
#define LIB_QUEUE_QUEUELIST_H

#include <stdio.h>

#include "lib/wire/control.h"

struct queue_entry {
	struct control_entry entry; /* recipient_list is a copy of its own */
	char *recipients;
};
struct queue_list {
	struct queue_entry *entries;
	size_t count;
};

void queue_list_free(struct queue_list *list);
void queue_list_print(const struct queue_list *list, FILE *out);
enum { QUEUE_COUNTS_TEXT_MAX = 200 };

bool queue_counts_any(const struct control_counts *c);
/* "2 damaged, 1 stray"; "" for none. */
void queue_counts_text(const struct control_counts *c, char out[QUEUE_COUNTS_TEXT_MAX]);
/* The last line of a list, when there is anything to count. */
void queue_list_print_counts(const struct control_counts *c, FILE *out);
/* What strangers wrote may not steer the terminal. */
void queue_list_clean(FILE *out, struct view v);

#endif
