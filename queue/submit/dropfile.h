/* SPDX-License-Identifier: ISC */
/* One file of the drop directory: its messages (lib/wire/submit.h) go into a submission, the last
 * of them only when the file's checksum is right. */
#ifndef QUEUE_SUBMIT_DROPFILE_H
#define QUEUE_SUBMIT_DROPFILE_H

#include "queue/submit/submission.h"

enum dropfile {
	DROPFILE_WHOLE,   /* all but the end is handed in, and the checksum is right */
	DROPFILE_RESULT,  /* the submission has a result before the end: it is refused */
	DROPFILE_TORN,    /* the file ends before that: drop never reported it as stored */
	DROPFILE_BAD,     /* it has what is no message */
	DROPFILE_DAMAGED, /* its checksum is wrong; nothing is submitted */
	DROPFILE_FAILED   /* it cannot be read now: errno */
};

/* From the descriptor's beginning. Files without a checksum, which an earlier version left, are
 * taken as they are. */
enum dropfile dropfile_feed(int fd, struct submission *s);
/* The same without submitting anything. */
enum dropfile dropfile_check(int fd);
/* The end: the submission has its result afterwards. */
void dropfile_finish(struct submission *s);

#endif
