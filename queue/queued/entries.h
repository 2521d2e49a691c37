/* SPDX-License-Identifier: ISC */
/* What the command line is shown of a message, and by what it names several. */
#ifndef QUEUE_QUEUED_ENTRIES_H
#define QUEUE_QUEUED_ENTRIES_H

#include "lib/wire/control.h"
#include "queue/queued/record.h"

/* A filter: lib/wire/control.h. Of one that is an id only the others' sense is asked for here. */
bool entry_filter_ok(struct view filter);
bool entry_matches(const struct message *m, struct view filter);

char entry_state(const struct message *m); /* of struct control_entry */
int64_t entry_next_wall_ms(const struct message *m);
/* Appends it to a packet begun with CONTROL_QUEUE_ENTRY. */
void entry_put(struct wire_out *out, const struct message *m);

#endif
