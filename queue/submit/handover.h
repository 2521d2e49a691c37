/* SPDX-License-Identifier: ISC */
/* sendmail's way out: the submission socket, or drop when nobody listens there or lets us in within
 * some seconds, or when who listened there ended and has certainly not taken the message. */
#ifndef QUEUE_SUBMIT_HANDOVER_H
#define QUEUE_SUBMIT_HANDOVER_H

#include <sys/types.h>

#include "lib/base/reason.h"
#include "lib/wire/submit.h"
#include "queue/submit/paths.h"

struct handover {
	int fd;
	pid_t drop; /* 0: fd is the socket; else the helper, and fd its standard input */
	bool lost;  /* the other end has closed: the result tells why */
	bool busy;  /* somebody listens there */
	const struct paths *paths;
	struct text kept; /* frames that went to the socket, for drop; full: not all */
	struct wire_out out;
};

/* The paths are used until the end. */
int handover_open(struct handover *o, const struct paths *p, struct reason *why);
void handover_envelope(struct handover *o, const struct submit_envelope *e);
void handover_recipient(struct handover *o, const struct envelope_recipient *r);
/* More need not be given. */
bool handover_is_lost(const struct handover *o);
/* Any number of bytes. */
void handover_bytes(struct handover *o, struct view bytes);
/* Ends the message and the outlet: -1 with a reason when it is not known what became of it (a
 * temporary failure). */
int handover_finish(struct handover *o, struct submit_result *result, struct reason *why);
/* Ends it without a message. */
void handover_abandon(struct handover *o);

#endif
