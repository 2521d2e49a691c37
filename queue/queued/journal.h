/* SPDX-License-Identifier: ISC */
/*
 * The log of a queue file, as it is written: records are collected while an event of a message is
 * handled and written in one piece at its end. One message at a time.
 *
 * What cannot be written, whatever the error (the disk is full, the file is away for a moment while
 * its directory is being restored), stays known: what the file lacks of a message is written anew
 * out of its record, a file that is to go is removed, with the next event of the message, at each
 * journal_look, and at the stop.  Of that only a crash makes a repeated attempt.  Memory: a fixed
 * size for each message, and the records of aliases, which are no more than their recipients.
 */
#ifndef QUEUE_QUEUED_JOURNAL_H
#define QUEUE_QUEUED_JOURNAL_H

#include "lib/base/list.h"
#include "queue/queued/disk.h"
#include "lib/queue/queuelog.h"
#include "queue/queued/record.h"

enum {
	JOURNAL_LOOK_MAX = 1000, /* tried in one look, those first that were tried longest ago */
	JOURNAL_OVER_MAX = 100 * 1000 /* remembered of those that are over */
};

/* A message whose file says less than is known. */
struct unwritten {
	struct link all;
	uint64_t id;
	struct message *message; /* NULL: it is over, and its file is to go */
	struct text expansions;  /* records; in the order in which they were made */
	/* Of one that is over. */
	uint64_t log_end;
	uint32_t recipients;
	bool says_done; /* the file: a start sends nothing of it */
	bool away;
	int64_t since_ms; /* by the clock that only goes forward */
};

struct journal {
	struct disk *disk;
	const struct records *index;
	struct text records; /* of the message in work */
	struct list unwritten;
	size_t over;
};

void journal_init(struct journal *j, struct disk *disk, const struct records *index);
void journal_note(struct journal *j, const struct message *m, const struct queue_log *l);
/* What happened to a recipient, with its outcome if it has one. */
void journal_note_recipient(struct journal *j, const struct message *m, const struct recipient *r,
                            enum queue_event event);
/* To the disk, now or as soon as that is possible. A record that finds no room in
 * QUEUE_ENVELOPE_MAX costs a repeated attempt after a restart, nothing more. */
void journal_write(struct journal *j, struct message *m);
/* An operator has removed it, and its file goes when what runs of it has ended: no start before
 * that sends it. */
void journal_write_removed(struct journal *j, struct message *m);
void journal_forget(struct journal *j); /* what was noted needs no record */
/* What was noted waits in `notes`, and comes back from there. */
void journal_put_off(struct journal *j, const struct message *m, struct text *notes);
void journal_take_up(struct journal *j, const struct message *m, const struct text *notes);

/* The message is over: its file goes. */
void journal_remove(struct journal *j, struct message *m);
/* It is set aside, with what its log says. */
void journal_leave(struct journal *j, struct message *m);
/* A file that never was a message goes. */
void journal_remove_file(struct journal *j, uint64_t id);
/* Is it over, and its file perhaps still there? */
bool journal_is_over(const struct journal *j, uint64_t id);
/* Tries what is unwritten; no system call where nothing is. What is over and away for longer than
 * this has been removed by somebody else. */
void journal_look(struct journal *j, int64_t away_ms);
/* The last time, with a warning for each that cannot be written now either. */
void journal_stop(struct journal *j);
/* Fills in `left` and `unwritten`. */
void journal_count(const struct journal *j, struct control_counts *out);

#endif
