/* SPDX-License-Identifier: ISC */
/* Homes of new users, which are made where the mail is and nowhere else: beneath a mount point they
 * would be hidden by the volume, and taken for it meanwhile. */
#ifndef CONF_HOME_H
#define CONF_HOME_H

#include <limits.h>

#include "lib/base/lines.h"
#include "lib/base/reason.h"
#include "lib/conf/settings.h"
#include "lib/conf/users.h"

/* The programs that open mailboxes are shut into mail.root (lib/base/sandbox.h): a link that leads
 * out of it is none for them, and where one leads nowhere they can make no directory. */
enum home_link_kind {
	HOME_NO_LINK,
	HOME_LINK_WITHIN, /* to another place below mail.root: there it goes on */
	HOME_LINK_OUT,
	HOME_LINK_NOWHERE
};

struct home_link {
	enum home_link_kind kind;
	char path[PATH_MAX];   /* of the link: the home, or a directory between mail.root and it */
	char target[PATH_MAX]; /* where it leads to, without links; of one that leads nowhere, what
	                          it says. Somebody else may have chosen it: no part of a command */
};

/* The first link on the way from mail.root to the home that leads out of it or nowhere, else the
 * last that stays within. Nothing is opened. */
enum home_link_kind home_find_link(const char *mail_root, const char *home, struct home_link *out);
/* "a symbolic link out of mail.root, to /srv/mail: ..." */
void home_link_text(const struct home_link *l, struct text *out);
/* -1: the home's mailbox could not be used for such a link. */
int home_judge_links(const struct settings *s, const char *home, struct reason *why);

/* The file systems below mail.root that are known and not mounted (lib/conf/places.h), read once.
 * The settings must stay as they are. */
struct missing {
	const char *mail_root;
	char root[PATH_MAX]; /* the same without symbolic links; "": it cannot be told */
	struct text paths;
	struct lines sorted;
	char found[PATH_MAX];
};

void missing_init(struct missing *m, const struct settings *s);
void missing_free(struct missing *m);
/* Is the home, or a part of its Maildir, on one of them? m->found: which. */
bool missing_find(struct missing *m, const char *home);

/* -1: mail.root is missing, or not the directory that was used before. */
int home_judge_root(const struct settings *s, struct reason *why);
/* Parents are made like mail.root, which the install table gave its owner, whatever the umask; the
 * home is its owner's alone. Nothing is made behind a link that leads out of mail.root. -1 also
 * where a file system below mail.root that it would be on is not mounted. */
int home_make(const struct settings *s, struct missing *volumes, const struct user *u,
              const char *home, struct reason *why);

#endif
