/* SPDX-License-Identifier: ISC */
/* The parts of sendmail. */
#ifndef QUEUE_SUBMIT_SENDMAIL_H
#define QUEUE_SUBMIT_SENDMAIL_H

#include "queue/submit/handover.h"

/* What the options say, the same for every message of this run. */
struct sending {
	struct paths paths;
	struct submit_envelope envelope;
	uint8_t notify;
	bool read_recipients; /* -t */
	bool dot_is_text;     /* -i */
};

/* One message from standard input to these recipients; a code of sysexits.h. */
int send_message(const struct sending *s, char **recipients, int count);
/* SMTP on standard input and output. */
int send_smtp(const struct sending *s);
/* Says what became of it; a code of sysexits.h. */
int sendmail_finish(struct handover *o, char *text, size_t size);

#endif
