/* SPDX-License-Identifier: ISC */
/* Homes of new users, which are made where the mail is and nowhere else: beneath a mount point they
 * would be hidden by the volume, and taken for it meanwhile. */
#ifndef CONF_HOME_H
#define CONF_HOME_H

#include "lib/base/reason.h"
#include "lib/conf/settings.h"
#include "lib/conf/users.h"

/* -1: mail.root is missing, or not the directory that was used before. */
int home_judge_root(const struct settings *s, struct reason *why);
/* Parents are made like mail.root, which the install table gave its owner; the home is its owner's
 * alone. -1 also where a file system below mail.root that it would be on is not mounted. */
int home_make(const struct settings *s, const struct user *u, const char *home, struct reason *why);

#endif
