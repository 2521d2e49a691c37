/* SPDX-License-Identifier: ISC */
/*
 * The drop directory: each file that can be taken is submitted and removed.
 *
 * What cannot be taken away is not sent, since it would be sent again: before the end of a message
 * is handed in its file is renamed to .taken-NAME, which needs the rights that its removal needs.
 * What cannot be taken now waits, each file with a delay of its own, and holds up no other.
 */
#ifndef QUEUE_SUBMIT_DROPDIR_H
#define QUEUE_SUBMIT_DROPDIR_H

#include "lib/base/loop.h"
#include "queue/submit/dropfile.h"

/* path: of the directory, for inotify. begin: an empty submission of this uid, with a writer that
 * is free. */
void dropdir_start(struct loop *loop, int directory, const char *path,
                   void (*begin)(struct submission *s, uint32_t uid));
/* For good: the directory is another process's from here on. */
void dropdir_stop(void);

#endif
