/* SPDX-License-Identifier: ISC */
/*
 * Who is named twice in an envelope gets the message once: a To that is a Cc too, an argument of
 * sendmail that is in the header as well. Compared is where an address leads, when all of the
 * message are resolved; a mailbox has its name in capitals too, what is before the @ of another
 * host's address is that host's business. Two that want different reports (NOTIFY) stay two.
 */
#ifndef QUEUE_QUEUED_REPEATED_H
#define QUEUE_QUEUED_REPEATED_H

#include "queue/queued/journal.h"

/* Recipients with a target, in any order. Those that are left come to the front; how many. The
 * others need nothing more, with a record and a line in the log. */
uint32_t repeated_drop(struct journal *j, struct message *m, struct recipient **list,
                       uint32_t count);

#endif
