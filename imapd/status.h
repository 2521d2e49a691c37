/* SPDX-License-Identifier: ISC */
/* STATUS's items, for LIST's return option too (RFC 5819). A list is the parenthesised argument. */
#ifndef IMAPD_STATUS_H
#define IMAPD_STATUS_H

#include "imapd/session.h"

/* What to answer BAD: an item that there is not, or none; NULL: the list is good. */
const char *status_items_fault(const struct argument *list);

/* The mailbox as it is; list is good. */
enum store_result status_read(struct session *s, struct view name, const struct argument *list,
                              struct folder_status *out, struct reason *why);
/* The untagged STATUS. */
void status_tell(struct session *s, struct view name, const struct argument *list,
                 const struct folder_status *status);

#endif
