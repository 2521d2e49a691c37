/* SPDX-License-Identifier: ISC */
/*
 * The log of a queue file, as it is written: records are collected while an event of a message is
 * handled and written in one piece at its end. One message at a time.
 */
#ifndef QUEUE_QUEUED_JOURNAL_H
#define QUEUE_QUEUED_JOURNAL_H

#include "queue/queued/disk.h"
#include "queue/queued/queuelog.h"
#include "queue/queued/record.h"

struct journal {
	struct disk *disk;
	struct text records; /* of the message in work */
};

void journal_init(struct journal *j, struct disk *disk);
void journal_note(struct journal *j, const struct message *m, const struct queue_log *l);
/* What happened to a recipient, with its outcome if it has one. */
void journal_note_recipient(struct journal *j, const struct message *m, const struct recipient *r,
                            enum queue_event event);
/* To the disk. A record that cannot be written, or finds no room in QUEUE_ENVELOPE_MAX, costs a
 * repeated attempt after a restart, nothing more. */
void journal_write(struct journal *j, struct message *m);
void journal_forget(struct journal *j); /* the message ends */
/* What was noted waits in `notes`, and comes back from there. */
void journal_put_off(struct journal *j, const struct message *m, struct text *notes);
void journal_take_up(struct journal *j, const struct message *m, const struct text *notes);

#endif
