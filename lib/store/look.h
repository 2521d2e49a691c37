/* SPDX-License-Identifier: ISC */
/*
 * What of a mailbox its owner cannot use, before somebody meets it: for posthouse check.
 *
 * The caller is the owner (effective uid and gid). The kernel is asked what these may, of all that
 * the other functions open, and as they open it: no link is followed. What is missing and is made
 * at need is no fault where it can be made; index, cache and maildirsize, which are made anew when
 * they cannot be opened, are none. Nothing is opened but directories, and nothing is changed.
 */
#ifndef LIB_STORE_LOOK_H
#define LIB_STORE_LOOK_H

#include <sys/stat.h>

#include "lib/store/store.h"

/* Of more folders than these only so many are looked at. */
enum { LOOK_FOLDERS_MAX = 1000, LOOK_PATH_MAX = STORE_NAME_MAX + 64 };

struct look_fault {
	char path[LOOK_PATH_MAX]; /* below home: "Maildir/.Work/posthouse.lock"; "": home itself */
	int wanted;               /* R_OK, W_OK, X_OK */
	int error; /* EACCES; ELOOP: a link; ENOTDIR, EISDIR, EINVAL: of another kind */
	struct stat st;
};

struct look {
	unsigned faults;  /* directories and files that cannot be used */
	unsigned foreign; /* of these, with EACCES: another uid's */
	struct look_fault first;
	unsigned unread, unread_foreign; /* messages that cannot be read */
	unsigned unread_directories;     /* in how many directories these are */
	struct look_fault message;       /* the first of them, path: its directory, "Maildir/cur" */
	unsigned looked;                 /* at so many entries of cur and new */
	unsigned folders;
	bool read_only; /* the file system; told as a fault of Maildir alone */
};

/* home: its descriptor. At most messages_max entries of cur and new are looked at. */
void mailbox_look(int home, unsigned messages_max, struct look *out);

#endif
