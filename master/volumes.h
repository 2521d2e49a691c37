/* SPDX-License-Identifier: ISC */
/*
 * Watches the mounts: a file system of mail that is unmounted while the house runs leaves a bare
 * mount point, into which nobody is let from then on (lib/conf/places.h), so that its mailboxes
 * wait. What mail costs is not touched.
 *
 * What looks at them is a child, since mail.root may be on a file server that does not answer.
 */
#ifndef MASTER_VOLUMES_H
#define MASTER_VOLUMES_H

/* Once places_take has said that all is well. */
void volumes_start(void);
/* After a reload: mail.root may be elsewhere, and have others. */
void volumes_take_settings(void);

#endif
