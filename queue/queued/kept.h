/* SPDX-License-Identifier: ISC */
/*
 * What a clean stop keeps of the records of messages that wait, so that the next start reads one
 * file, `records' of the queue directory, instead of one for each. It holds only together with the
 * mark of that stop, which has its time, for files that are in a directory nothing was changed in
 * since; of all others, and of those that do more than wait, the files are read.
 */
#ifndef QUEUE_QUEUED_KEPT_H
#define QUEUE_QUEUED_KEPT_H

#include "queue/queued/disk.h"
#include "queue/queued/record.h"

enum {
	KEPT_MESSAGES_MIN = 100,  /* fewer are read as fast from their files */
	KEPT_RECIPIENTS_MAX = 20, /* of a message */
	KEPT_WRITE_MS = 3000,     /* master kills who has not stopped after 10 s */
	KEPT_TICK_MS = 2000       /* a directory that was changed so shortly before the stop could
	                             be changed again without another time (vfat has steps of 2 s) */
};

struct kept;

/* Behind the mark of a clean stop, which is put first: whoever ends this halfway has lost no more
 * than the file. Its time, for the mark (disk_name_clean_mark). 0: there is none, since it is not
 * worth it, the disk would have less space than this, or it took longer than KEPT_WRITE_MS. */
uint64_t kept_write(struct disk *d, const struct records *records, uint64_t space_min_bytes);
/* NULL: there is none that holds, by the mark (disk_was_clean). */
struct kept *kept_open(struct disk *d);
/* The message, as it was, and the time of its next attempt; ids come in order. NULL: it
 * is not among them. */
struct message *kept_take(struct kept *k, uint64_t id, int64_t *next_wall_ms);
void kept_close(struct kept **k); /* *k is NULL then; harmless when it was */
/* Once the mark does not hold for all any more; also what was written of one halfway. */
void kept_forget(struct disk *d);

#endif
