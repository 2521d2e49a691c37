/* SPDX-License-Identifier: ISC */
/*
 * Certificates for which TLS is dead, since keyd has not their keys: it says so before it is ready.
 *
 * A start goes on all the same, for one certificate is not the house. A reload that would make one
 * is refused, unless the certificates are those that are in use: then the keyd that runs has their
 * keys, of which a file was lost since, and stays. For neither that nor one that was dead before
 * is an account not locked.
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
/* One that was tried with this generation has ended well: -1, and why, when it has one more than
 * there are now and the certificates are others. What is still on its wire counts. */
int keyless_judge(const struct instance *keyd, int generation, struct reason *why);
/* Has it keys that its successor would not have, by the last trial? */
bool keyless_stays(const struct instance *keyd);
/* What is asked for now is this generation, without a trial. */
void keyless_untried(int generation);
/* The generation that was tried is the one in use: what was found holds until the next keyd is
 * ready. */
void keyless_take(void);
/* Each there is now; `file` has no control characters in it. lost: the keyd that runs has the key
 * still. */
void keyless_each(void (*tell)(void *context, const char *file, bool lost), void *context);

#endif
