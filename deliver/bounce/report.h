/* SPDX-License-Identifier: ISC */
/* The text of a delivery status notification (RFC 3464 in a multipart/report, RFC 6522): pure, no
 * I/O. */
#ifndef DELIVER_BOUNCE_REPORT_H
#define DELIVER_BOUNCE_REPORT_H

#include "lib/wire/job.h"

enum { REPORT_TEXT_MAX = 1 << 20, REPORT_BOUNDARY_MAX = 64 };

struct report {
	const struct job *job;
	const struct job_recipient *recipients;
	unsigned count;
	const char *host;     /* the reporting MTA, and the domain of the report's own address */
	const char *to;       /* who gets it */
	const char *boundary; /* must not occur in the message */
	int64_t now_s;
	bool whole;     /* the message goes back whole, else its header only */
	bool eight_bit; /* what goes back holds 8-bit bytes */
};

/* Everything up to where the returned message (or its header) begins. false: over
 * REPORT_TEXT_MAX. */
bool report_head(const struct report *r, struct text *out);
/* What closes it. */
void report_tail(const struct report *r, struct text *out);

#endif
