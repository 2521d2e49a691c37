/* SPDX-License-Identifier: ISC */
/*
 * What became of a recipient in an attempt: its state, what is remembered of it, a line in the log
 * of the house and a record in that of the file.
 */
#ifndef QUEUE_QUEUED_OUTCOMES_H
#define QUEUE_QUEUED_OUTCOMES_H

#include "lib/wire/job.h"
#include "queue/queued/journal.h"

/* Its destination put it off; host "": our own words. */
void outcomes_defer(struct journal *j, struct message *m, struct recipient *r, const char *status,
                    const char *host, const char *text);
/* A fault of our own, with the agent of this name: to be repeated soon. The file says nothing of
 * it, so that a start repeats it at once. After OWN_RETRY_MAX in a row it is put off like any
 * other. */
void outcomes_own_fault(struct journal *j, struct message *m, struct recipient *r, const char *by,
                        const struct job_result *result);
/* Failed for good: a report is owed unless NOTIFY, or who the sender may be (reports.h), says
 * otherwise. before_text: as in struct job_result. */
void outcomes_give_up(struct journal *j, struct message *m, struct recipient *r, const char *status,
                      const char *host, const char *text, bool before_text);
/* The same of a deferred one whose time is over. */
void outcomes_expire(struct journal *j, struct message *m, struct recipient *r);
/* Delivered, by the agent of this name; a report is owed when it was asked for. */
void outcomes_done(struct journal *j, struct message *m, struct recipient *r, const char *by,
                   const struct job_result *result);

#endif
