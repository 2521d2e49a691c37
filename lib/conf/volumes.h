/* SPDX-License-Identifier: ISC */
/*
 * The file systems that are mounted below a directory, as /proc/self/mountinfo has them
 * (proc_pid_mountinfo(5)).
 *
 * Left out: a directory that is mounted on itself, as systemd's ReadWritePaths= does; what autofs
 * mounts when somebody asks for it (its own mount point counts); what has a name with a dot at its
 * beginning on its way from the directory, as .zfs and .snapshot have.
 */
#ifndef LIB_CONF_VOLUMES_H
#define LIB_CONF_VOLUMES_H

#include "lib/base/bytes.h"
#include "lib/base/reason.h"

/* Without those: what others than root can mount, and unmount at any time: what FUSE has for
 * another user (user_id= in the options, mount.fuse3(8)), types ecryptfs and fuseblk (ntfs-3g),
 * which set-uid programs mount for anybody, and what fstab(5) lets users mount (user, users, owner,
 * group). */
enum volumes { VOLUMES_ALL, VOLUMES_OPERATORS };

/* Their paths in order, each once and followed by LF; those of an LF inside are left out. The
 * directory is named without symbolic links. -1: it cannot be told. */
int volumes_below(const char *directory, enum volumes which, struct text *out, struct reason *why);
/* The same out of such texts, for tests. */
void volumes_in(struct view mountinfo, struct view fstab, struct view directory, enum volumes which,
                struct text *out);

#endif
