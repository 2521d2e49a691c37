/* SPDX-License-Identifier: ISC */
/* sendmail's way out: the submission socket, or drop when nobody listens there. */
#ifndef QUEUE_OUTLET_H
#define QUEUE_OUTLET_H

#include <sys/types.h>

#include "lib/base/reason.h"
#include "lib/wire/submit.h"
#include "queue/submit/paths.h"

struct outlet {
	int fd;
	pid_t drop; /* 0: fd is the socket; else the helper, and fd its standard input */
	bool lost;  /* the other end has closed: the result tells why */
	struct wire_out out;
};

int outlet_open(struct outlet *o, const struct paths *p, struct reason *why);
void outlet_envelope(struct outlet *o, const struct submit_envelope *e);
void outlet_recipient(struct outlet *o, const struct spool_recipient *r);
/* Any number of bytes. */
void outlet_bytes(struct outlet *o, struct view bytes);
/* Ends the message and the outlet: -1 with a reason when it is not known what became of it (a temporary failure). */
int outlet_finish(struct outlet *o, struct submit_result *result, struct reason *why);
/* Ends it without a message. */
void outlet_abandon(struct outlet *o);

#endif
