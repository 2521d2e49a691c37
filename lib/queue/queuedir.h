/* SPDX-License-Identifier: ISC */
/*
 * The queue directory as queued and `posthouse queue check` see it: 256 directories of queue files,
 * damaged/ and torn/ for what was set aside, and the secret.
 *
 * Whatever stands there under a message's name may be something else (a FIFO, a device, a link):
 * nothing that is opened here can block, and only ordinary files are taken.
 */
#ifndef LIB_QUEUE_QUEUEDIR_H
#define LIB_QUEUE_QUEUEDIR_H

#include "lib/base/reason.h"
#include "lib/queue/queuefile.h"
#include "lib/wire/control.h"

enum { QUEUEDIR_DIRECTORIES = 256, QUEUEDIR_NAME_MAX = 8 + 256 };

enum queuedir_place { QUEUEDIR_LIVE, QUEUEDIR_DAMAGED, QUEUEDIR_TORN };

/* "3f/ID", from the queue directory. */
void queuedir_name(uint64_t id, char out[QUEUEDIR_NAME_MAX]);
/* A message's file, wherever it stands: "3f/ID"; *aside: "damaged/ID", "torn/ID.1". */
bool queuedir_parse(const char *name, uint64_t *id, bool *aside);
/* The state byte of a committed file: 0, -1 with errno. */
int queuedir_make_live(int fd);
/* flags: O_RDONLY, O_WRONLY, O_RDWR. -1 with errno. */
int queuedir_open(int directory, const char *name, int flags);
/* The same, and how long it is. */
int queuedir_open_sized(int directory, const char *name, int flags, uint64_t *size);
/* The same of what is known to be an ordinary file: nobody looks. */
int queuedir_open_known(int directory, const char *name, int flags);
/* What errno of queuedir_open says of something that is no ordinary file. */
bool queuedir_is_stray(int error);
const char *queuedir_error(int error); /* its words */

/* Another name, never over a file that has it already: -1, EEXIST. */
int queuedir_give_name(int directory, const char *from, const char *to);
/* Never over a file that has the name already: then it gets a number behind it. `to` is the name
 * that it has now. -1 with errno. */
int queuedir_move(int directory, const char *from, enum queuedir_place place,
                  char to[QUEUEDIR_NAME_MAX]);

/* 1: here it is; 0: there is none; -1: it cannot be read, or is damaged. */
int queuedir_secret(int directory, struct queue_key *key, struct reason *why);
/* Is the file missing, damaged or another one than the one that this key was derived from? What
 * cannot be read at the moment may be the right one. */
bool queuedir_secret_is_lost(int directory, const struct queue_key *key);
/* Makes one, synced before use: one that was lost in a power cut would make every queue file look
 * forged. */
int queuedir_make_secret(int directory, struct queue_key *key, struct reason *why);

enum queuedir_kind {
	QUEUEDIR_MESSAGE,   /* a message's name; nothing has been opened yet */
	QUEUEDIR_MISPLACED, /* the same, in the wrong one of the 256 */
	QUEUEDIR_STRAY,     /* another name, or no ordinary file as far as the directory tells */
	QUEUEDIR_UNREADABLE /* the directory itself: errno */
};

struct queuedir_entry {
	enum queuedir_place place;
	enum queuedir_kind kind;
	unsigned number;              /* of the 256; QUEUEDIR_LIVE */
	uint64_t id;                  /* QUEUEDIR_MESSAGE, QUEUEDIR_MISPLACED */
	int error;                    /* QUEUEDIR_UNREADABLE */
	char name[QUEUEDIR_NAME_MAX]; /* from the queue directory */
};

/* Every entry of one kind of place, until visit() has seen enough and says false. Files may be
 * moved and removed meanwhile, but by others only: what visit() wants to do to the directory it
 * does afterwards. */
void queuedir_walk(int directory, enum queuedir_place place,
                   bool (*visit)(void *context, const struct queuedir_entry *e), void *context);

/* What is there and is not served, by the names alone: unreadable are directories. */
void queuedir_count(int directory, struct control_counts *out);
/* Those in damaged/ and torn/ alone. */
void queuedir_count_aside(int directory, struct control_counts *out);

#endif
