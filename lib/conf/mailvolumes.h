/* SPDX-License-Identifier: ISC */
/*
 * The file systems that mail lies on: mail.root, where it is a mount point, and what is mounted
 * below it at or above the home of a mailbox, or where there are no homes. What was seen so has a
 * line "volume - PATH" in STATEDIR/directories (places.h); while it is not mounted, what is
 * delivered to its path would be hidden by the next mount.
 *
 * What an ordinary user can mount is none: what FUSE mounts for another than root
 * (lib/conf/volumes.h), and what is within a home, but for its Maildir.
 */
#ifndef LIB_CONF_MAILVOLUMES_H
#define LIB_CONF_MAILVOLUMES_H

#include <sys/types.h>

#include "lib/base/bytes.h"
#include "lib/base/reason.h"
#include "lib/conf/settings.h"

/* mail.root without symbolic links, as it was when this setting was first asked for, or since
 * mailvolumes_forget_root: master must not ask a file server that may not answer whenever somebody
 * wants the status. NULL: errno. */
const char *mailvolumes_root(const struct settings *s);
/* A process that may wait has found it to be here; NULL: it is to be looked for anew. */
void mailvolumes_set_root(const struct settings *s, const char *root);

#define MAILVOLUMES_LINE "volume - "

/* The paths of those that are mounted, as this process sees mounts, and have no line in `known',
 * the text of STATEDIR/directories; each ended by LF, in order. */
void mailvolumes_new(const struct settings *s, struct view known, struct text *out);
/* Of those that have a line and are not mounted; where mounts cannot be seen, none. */
void mailvolumes_missing(const struct settings *s, struct view known, struct text *out);
/* Is it at this path or below? */
bool mailvolumes_covers(struct view volume, struct view path);

/*
 * A mount point that is bare: nobody but root gets into it from now on (mode 0), so that the
 * mailboxes on its volume wait and nothing is written beneath it. One that is not there is made; a
 * link or a file in its place lets nobody in either. *had: its mode before, 0 when nobody got in.
 * -1: it could not be done, or something is mounted there again (EBUSY). No symbolic link is
 * followed on the way.
 */
int mailvolumes_shut(const char *path, mode_t *had, struct reason *why);

#endif
