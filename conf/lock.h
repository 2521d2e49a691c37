/* SPDX-License-Identifier: ISC */
/* The lock of the configuration: whoever changes or builds the texts holds it. */
#ifndef CONF_LOCK_H
#define CONF_LOCK_H

#include "lib/base/reason.h"

enum { LOCK_SILENCE_MS = 1000 };

/* Waits for the lock on a directory; after LOCK_SILENCE_MS says on standard error what it waits
 * for. The descriptor that holds it, close-on-exec: closing it gives the lock back; or -1. */
int lock_directory(const char *directory, struct reason *why);

#endif
