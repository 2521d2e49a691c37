/* SPDX-License-Identifier: ISC */
#include "queue/queued/repeated.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/log.h"

static int compare_bytes(const struct target *a, const struct target *b)
{
	int order = memcmp(a->bytes, b->bytes, a->len < b->len ? a->len : b->len);

	return order ? order : (a->len > b->len) - (a->len < b->len);
}

/* Are they the same person in the same place, with the same reports? Another host's address is its
 * own before the @; a mailbox has its name in capitals too. */
static int compare_person(const struct message *m, const struct recipient *one,
                          const struct recipient *other)
{
	bool is_ours = agent_carries(one->target->agent, AGENT_CARRIES_MAILBOX);
	int order = one->target->agent - other->target->agent;

	if (order == 0)
		order = one->notify - other->notify;
	if (order == 0)
		order = compare_bytes(one->target, other->target);
	if (order == 0)
		order = (is_ours ? strcasecmp : strcmp)(recipient_address(m, one),
		                                        recipient_address(m, other));
	return order;
}

static const struct message *compared; /* qsort hands on no context */

static int compare_persons(const void *a, const void *b)
{
	const struct recipient *one = *(struct recipient *const *)a,
			       *other = *(struct recipient *const *)b;
	int order = compare_person(compared, one, other);

	return order ? order : (one > other) - (one < other);
}

uint32_t repeated_drop(struct journal *j, struct message *m, struct recipient **list,
                       uint32_t count)
{
	uint32_t kept = 1;

	compared = m;
	qsort(list, count, sizeof *list, compare_persons);
	for (uint32_t i = 1; i < count; i++) {
		if (compare_person(m, list[kept - 1], list[i]) != 0) {
			list[kept++] = list[i];
			continue;
		}
		recipient_set(m, list[i], RECIPIENT_GONE);
		journal_note_recipient(j, m, list[i], QUEUE_DONE);
		log_info("id=%s event=repeated to=<%s>", message_name(m),
		         log_quote(view_of(recipient_address(m, list[i]))));
	}
	return kept;
}
