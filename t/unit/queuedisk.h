/* SPDX-License-Identifier: ISC */
/*
 * A disk in memory behind queued's disk.h, for t/unit/queuestates.c. What was written is there for
 * whoever reads; what of it a power cut leaves is chosen by the explorer, record by record, since
 * nothing syncs the log of a queue file. Messages are numbered from 0.
 */
#ifndef T_UNIT_QUEUEDISK_H
#define T_UNIT_QUEUEDISK_H

#include "queue/queued/disk.h"

enum { DISK_FIRST_ID = 0x100000, DISK_FILES = 2 };

/* Empty. drops: the word of the records that do not get to it (a control); NULL: none. */
void disk_begin(const char *drops);
/* A live file, synced. */
void disk_accept(unsigned n, const struct envelope *e, const struct envelope_recipient *to,
                 unsigned count, struct queue_header *header);

/* What can happen to it. */
void disk_fill(void); /* the next append writes half of it and fails */
/* The next descriptor for an agent is not to be had, with this errno. */
void disk_refuse_open(int error);
bool disk_was_away(void); /* ENOENT, the last time */
void disk_damage(unsigned n);
void disk_unlink(unsigned n);
void disk_stop(bool unknown); /* all is synced; clean, unless not all is known */
unsigned disk_unsynced(void); /* records that a power cut may take */
/* The first `unit` of them are there and half of the next; hole: all are but this one. */
void disk_cut(unsigned unit, bool hole);
bool disk_may_come_back(unsigned n); /* removed, and not synced */
void disk_come_back(unsigned n);

/* What is there. */
bool disk_file_is_there(unsigned n);
bool disk_file_is_aside(unsigned n);
bool disk_says_done(unsigned n, const char *address);     /* by the last record of it */
bool disk_says_finished(unsigned n, const char *address); /* `done`: a report is in the queue too */
bool disk_says_failed(unsigned n, const char *address);
unsigned disk_bad_records(unsigned n); /* torn, or not sealed for this file */
uint64_t disk_hash(unsigned n);
/* For a hash of more than that: with another number. */
uint64_t disk_mix(uint64_t hash, uint64_t n);

#endif
