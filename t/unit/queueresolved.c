/* SPDX-License-Identifier: ISC */
#include "t/unit/queueresolved.h"

#include <string.h>

#include "t/unit/queuedisk.h"
#include "t/unit/queuetruth.h"

static struct {
	bool used;
	struct message *message; /* NULL: forgotten */
	uint32_t index;
} questions[RESOLVED_QUESTIONS];

void resolved_begin(void)
{
	memset(questions, 0, sizeof questions);
}

bool resolved_is_asked(unsigned question)
{
	return questions[question].used;
}

bool resolving_has_room(const struct resolving *r)
{
	(void)r;
	for (unsigned i = 0; i < RESOLVED_QUESTIONS; i++)
		if (!questions[i].used)
			return true;
	return false;
}

void resolving_ask(struct resolving *r, struct message *m, uint32_t index)
{
	unsigned i = 0;

	(void)r;
	while (questions[i].used)
		i++;
	questions[i].used = true;
	questions[i].message = m;
	questions[i].index = index;
}

bool resolving_tell(struct resolving *r, const struct wire_out *out)
{
	(void)r;
	(void)out;
	return true;
}

void resolving_forget(struct resolving *r, const struct message *m)
{
	(void)r;
	for (unsigned i = 0; i < RESOLVED_QUESTIONS; i++)
		if (questions[i].message == m)
			questions[i].message = NULL;
}

static void fill_found(struct found *f, const struct world_address *row, bool expanded, bool later)
{
	static struct resolve_target t = { .agent = AGENT_REMOTE };

	*f = (struct found){ .address = memory_string(view_of(row->address)),
		             .expanded = expanded };
	if (later || row->kind == WORLD_ERROR) {
		string_put(f->status, sizeof f->status, view_of(later ? "4.2.2" : "5.1.1"));
		f->text = memory_string(view_of("resolved's words"));
	} else {
		string_put(t.route.domain, sizeof t.route.domain,
		           view_of(row->kind == WORLD_OTHER_TARGET ? "other.test" : "one.test"));
		f->target = target_new(&t);
	}
}

/* An alias's errors are told to queued with the others; what it really means stands in fates. */
void resolved_answers(struct messages *messages, unsigned question, bool later)
{
	struct message *m = questions[question].message;
	uint32_t index = questions[question].index;

	questions[question].used = false;
	questions[question].message = NULL;
	if (m != NULL) {
		const struct world_address *row = truth_address(
			truth_address_number(recipient_address(m, &m->recipients[index])));
		struct found *found = memory_get(3 * sizeof *found);
		unsigned count = 0;

		if (row->kind == WORLD_ALIAS && !later)
			for (; count < 3 && row->targets[count]; count++) {
				const struct world_address *to =
					truth_address(truth_address_number(row->targets[count]));
				/* The alias itself among its targets is a mailbox. */
				fill_found(&found[count],
				           to == row ? &(struct world_address){ to->address,
				                                                WORLD_TARGET,
				                                                { NULL } }
				                     : to,
				           true, false);
			}
		else
			fill_found(&found[count++], row, false, later);
		messages_answered(messages, m, index, found, count);
	}
	messages_admit(messages);
}

static unsigned number_of(const struct message *m)
{
	return (unsigned)(m->id - DISK_FIRST_ID);
}

uint64_t resolved_hash(void)
{
	uint64_t hash = 0;

	for (unsigned i = 0; i < RESOLVED_QUESTIONS; i++) {
		const struct message *m = questions[i].message;

		hash = disk_mix(hash, !questions[i].used ? 0
		                      : m ? 2 + questions[i].index + 16 * number_of(m)
		                          : 1);
	}
	return hash;
}
