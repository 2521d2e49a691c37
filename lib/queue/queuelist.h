/* SPDX-License-Identifier: ISC */
/* A list of messages in the queue, in the form that people know from mailq. */
#ifndef LIB_QUEUE_QUEUELIST_H
#define LIB_QUEUE_QUEUELIST_H

#include <stdio.h>

#include "lib/wire/control.h"

/* As it comes; zeroed but for `out`. */
struct queue_list {
	FILE *out;
	size_t count;
	uint64_t bytes;
};

/* The next one; the context is the struct queue_list. */
void queue_list_print(void *context, const struct control_entry *e);
/* What stands below them, or that there are none. */
void queue_list_print_end(const struct queue_list *list);
enum { QUEUE_COUNTS_TEXT_MAX = 200 };

bool queue_counts_any(const struct control_counts *c);
/* "2 damaged, 1 stray"; "" for none. */
void queue_counts_text(const struct control_counts *c, char out[QUEUE_COUNTS_TEXT_MAX]);
/* The last line of a list, when there is anything to count. */
void queue_list_print_counts(const struct control_counts *c, FILE *out);
/* What strangers wrote may not steer the terminal. */
void queue_list_clean(FILE *out, struct view v);

#endif
