/* SPDX-License-Identifier: ISC */
/*
 * Certificates for which TLS is dead, since keyd has not their keys: it says so before it is ready.
 *
 * A start goes on all the same, for one certificate is not the house; a reload that would make one
 * is refused. One that was dead before is no reason, or no account could be locked until it is
 * mended.
 */
#ifndef MASTER_KEYLESS_H
#define MASTER_KEYLESS_H

#include "lib/wire/wire.h"
#include "master/instance.h"

/* keyd is started, in a trial or not: what it has not said, it has not said. */
void keyless_begin(const struct instance *keyd);
void keyless_heard(const struct instance *keyd, struct wire_in *in); /* MASTER_KEYLESS */
/* It is ready, and has said all. */
void keyless_ready(const struct instance *keyd);
/* One that was tried has ended well: -1, and why, when it has one more than there are now. What is
 * still on its wire counts. */
int keyless_judge(const struct instance *keyd, struct reason *why);
/* Its generation is the one in use: what was found in the trial holds until the next keyd is ready.
 */
void keyless_take(void);
/* Each there is now; `file` has no control characters in it. */
void keyless_each(void (*tell)(void *context, const char *file), void *context);

#endif
