/* SPDX-License-Identifier: ISC */
/* What LIST, its extended form (RFC 5258) and LSUB share. */
#ifndef IMAPD_LIST_H
#define IMAPD_LIST_H

#include "imapd/session.h"

enum {
	LIST_ATTRIBUTES_MAX = 256,
	LIST_PATTERNS_MAX = 200 /* in one command: each is compared with every name */
};

/* "\Sent" and such (RFC 6154 section 2) for a mailbox of this name, or NULL. */
const char *list_special_use(const char *name);

/* "* LIST (attributes) "." name", and what stands behind the name: nothing, or a blank and an
 * extended data item. */
void list_tell(struct session *s, const char *what, const char *attributes, struct view name,
               const char *behind);

/* RFC 3501's list-mailbox: an astring that may have wildcards. */
bool list_pattern_valid(const struct argument *a);

/* RFC 5258 section 1: options before the reference, patterns in parentheses, or anything behind
 * the pattern. */
bool list_is_extended(const struct argument *a);
/* Checks the arguments itself. */
void list_extended_run(struct session *s, struct argument *a);

#endif
