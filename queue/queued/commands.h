/* SPDX-License-Identifier: ISC */
/*
 * The command line's side: `posthouse queue ...`, mailq, sendmail -q (protocol control,
 * lib/wire/control.h). It lists and shows by itself; what is to change is told.
 */
#ifndef QUEUE_QUEUED_COMMANDS_H
#define QUEUE_QUEUED_COMMANDS_H

#include "lib/base/loop.h"
#include "queue/queued/journal.h"
#include "queue/queued/record.h"

enum { COMMANDS_MAX = 16 /* lines at once */ };

struct commands;

struct commands_setup {
	struct loop *loop;
	const struct records *records;
	struct disk *disk;
	const struct journal *journal;
	void *context;
	/* An operator asks for a retry: destinations in trouble are tried again at once. */
	void (*forgive)(void *context);
	/* For one message. Removing may end it at once. */
	void (*retry)(void *context, struct message *m);
	void (*hold)(void *context, struct message *m, bool hold);
	void (*remove)(void *context, struct message *m);
	void (*changed)(void *context); /* after each batch of these */
	/* Takes a file of the queue directory back; 0, or -1 with a reason. */
	int (*restore)(const char *name, bool unverified, struct reason *why);
	/* The start goes on behind: makes a message known whose file it has not looked at, and how
	 * many of all these are. */
	void (*look_at)(uint64_t id);
	uint32_t (*left)(uint32_t *all);
};

struct commands *commands_new(const struct commands_setup *setup);
/* A line to somebody who asks; master has said that they may. The descriptor is the callee's. */
void commands_take(struct commands *c, int fd);
/* Who waits for the end of the start goes on. */
void commands_all_known(struct commands *c);

#endif
