/* SPDX-License-Identifier: ISC */
/*
 * May an account do something with a path, and if not, what stands in the way?
 *
 * Root's own eyes see everything, also what no program of the house can use. So the kernel is asked
 * as the account: root takes its effective uid and gid and no other group for the question (its
 * real and saved ones stay root's, so that the account cannot reach this process). Access lists,
 * read-only file systems and what a file server makes of root are judged as they will be for the
 * account's programs; only the remedy is read from mode and owner. Who is not root asks as who they
 * are, whatever account is named: in a private house all is one uid's.
 */
#ifndef CONF_PERMISSION_H
#define CONF_PERMISSION_H

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "lib/base/reason.h"

struct asker {
	uid_t uid;
	gid_t gid;
	const char *name; /* for the words: "_phqueue" */
};

/* Somebody who is no account of the house: whoever has a shell and runs sendmail. */
extern const struct asker permission_anybody;

/* Files are asked for as this account from here on; the one that it is already costs nothing. -1
 * with errno where the system does not let root be it (a container without that uid). */
int permission_as(const struct asker *who);
/* And as who this process is again, before anything else is done. */
void permission_as_self(void);

/* What stands in the way: the path itself, or a directory before it (links are followed). */
struct obstacle {
	char path[PATH_MAX];
	struct stat st;
	int error;  /* ENOENT: path is what is missing */
	int wanted; /* R_OK, W_OK, X_OK, of that path */
	bool last;  /* it is the path that was asked for */
};

/* wanted: R_OK, W_OK, X_OK. 0, or -1 with errno and *o. Afterwards this process is who
 * it was before: who asks often as the same calls permission_as first. */
int permission_ask(const struct asker *who, const char *path, int wanted, struct obstacle *o);
/* What to run: "run chmod o+x", "run chown 5"; own: the path should belong to the account. */
void obstacle_remedy(const struct obstacle *o, const struct asker *who, bool own,
                     struct reason *remedy);
/* The whole: "mode is 0700, owner 0:0: _phqueue cannot enter it; run chmod o+x". */
void obstacle_text(const struct obstacle *o, const struct asker *who, bool own,
                   struct reason *text);

#endif
