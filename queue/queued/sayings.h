/* SPDX-License-Identifier: ISC */
/*
 * What was said of recipients that wait (status, host, text): a destination that is down says the
 * same of all of its messages, which share one copy, by counting.
 */
#ifndef QUEUE_QUEUED_SAYINGS_H
#define QUEUE_QUEUED_SAYINGS_H

#include <stdint.h>

struct saying; /* NULL: nothing was said; all of its words are "" */

/* Nothing has been said yet; what was is not freed. */
void sayings_start(void);
/* One reference, the caller's. */
struct saying *saying_new(const char *status, const char *host, const char *text);
void saying_drop(struct saying **s); /* *s is NULL then; harmless when it was */
const char *saying_status(const struct saying *s);
const char *saying_host(const struct saying *s);
const char *saying_text(const struct saying *s);

#endif
