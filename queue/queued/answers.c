/* SPDX-License-Identifier: ISC */
#include "queue/queued/answers.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/mail/esmtp.h"
#include "queue/queued/outcomes.h"

/* Same address, or the same but for the case of the domain: resolved writes addresses in one
 * form. */
static bool has_address(const struct message *m, uint32_t index, const char *address)
{
	return strcmp(recipient_address(m, &m->recipients[index]), address) == 0;
}

/* The recipient itself goes where `f` says. That resolved cannot tell now does not say what the
 * recipient is: it may be an alias, with itself and others among its targets. */
static void take_found(struct journal *j, struct message *m, uint32_t index, struct found *f)
{
	struct recipient *r = &m->recipients[index];

	r->final = r->final || f->status[0] != '4';
	if (f->target) {
		target_drop(&r->target);
		r->target = f->target;
		f->target = NULL;
		recipient_set(m, r, RECIPIENT_READY);
	} else if (f->status[0] == '4') {
		outcomes_defer(j, m, r, f->status, "", f->text);
	} else {
		outcomes_give_up(j, m, r, f->status, "", f->text, true);
	}
}

/* Which of the found addresses the message has already: sorted, since lists are long. */
struct known {
	const char *address;
};

static int compare_known(const void *a, const void *b)
{
	return strcmp(((const struct known *)a)->address, ((const struct known *)b)->address);
}

/* The addresses that the message has; the alias's own may be among its targets, it is then a new,
 * final recipient. They point into the message's strings: nothing may be added to these meanwhile.
 */
static struct known *list_known(const struct message *m, uint32_t index)
{
	struct known *known = memory_get((m->recipient_count + 1) * sizeof *known);

	for (uint32_t i = 0; i < m->recipient_count; i++)
		known[i].address = i == index ? "" : recipient_address(m, &m->recipients[i]);
	qsort(known, m->recipient_count, sizeof *known, compare_known);
	return known;
}

/* Brings those that are new to the front, each with its record; how many. */
static unsigned note_new(struct journal *j, const struct message *m, uint32_t index,
                         struct found *found, unsigned count)
{
	static struct queue_log l;
	struct known *known = list_known(m, index);
	unsigned keep = 0;

	l = (struct queue_log){ .event = QUEUE_NEW, .index = index };
	message_recipient(m, &m->recipients[index], &l.recipient);
	for (unsigned i = 0; i < count; i++) {
		struct known wanted = { found[i].address };

		if (m->recipient_count + (keep + 1) > UINT32_MAX / 2 ||
		    bsearch(&wanted, known, m->recipient_count, sizeof *known, compare_known))
			continue;
		l.number = m->recipient_count + keep;
		string_put(l.recipient.address, sizeof l.recipient.address,
		           view_of(found[i].address));
		journal_note(j, m, &l);
		struct found swap = found[keep];

		found[keep] = found[i];
		found[i] = swap;
		keep++;
	}
	l = (struct queue_log){ .event = QUEUE_EXPANDED,
		                .index = index,
		                .number = m->recipient_count + keep,
		                .first = m->recipient_count };
	journal_note(j, m, &l);
	free(known);
	return keep;
}

/* RFC 3461 section 5.2.7.1 (d): reports about those that follow name the address that was an alias.
 */
static void name_original(struct message *m, uint32_t index)
{
	const struct recipient *r = &m->recipients[index];
	struct text original;

	if (r->orcpt)
		return;
	text_init(&original, ENVELOPE_ORCPT_MAX - 1);
	text_add_string(&original, "rfc822;");
	esmtp_xtext(&original, view_of(recipient_address(m, r)));
	/* One that is too long as xtext goes without. */
	if (!original.full) {
		uint32_t place = message_add_string(m, text_view(&original));

		m->recipients[index].orcpt = place;
	}
	text_free(&original);
}

/*
 * The recipient was an alias: others take its place. The records are written before anything is
 * delivered: after a crash nobody of the expansion is forgotten, and nobody is asked about twice.
 */
static void expand(struct journal *j, struct message *m, uint32_t index, struct found *found,
                   unsigned count)
{
	uint32_t before = m->recipient_count;

	name_original(m, index);
	unsigned keep = note_new(j, m, index, found, count);

	recipient_set(m, &m->recipients[index], RECIPIENT_GONE);
	m->recipients[index].final = m->recipients[index].replaced = true;
	for (unsigned i = 0; i < keep; i++)
		message_add_alike(m, index, view_of(found[i].address));
	log_info("id=%s event=expand to=<%s> into=%u", message_name(m),
	         log_quote(view_of(recipient_address(m, &m->recipients[index]))), keep);
	journal_write(j, m);
	for (unsigned i = 0; i < keep; i++)
		take_found(j, m, before + i, &found[i]);
}

/* Once final, a recipient stays itself as long as it is still among its own targets: the others of
 * that expansion were made recipients the first time. */
void answers_take(struct journal *j, struct message *m, uint32_t index, struct found *found,
                  unsigned count)
{
	struct recipient *r = &m->recipients[index];
	unsigned same = 0;

	while (same < count && !has_address(m, index, found[same].address))
		same++;
	if (count == 1 && (!found[0].expanded || same == 0))
		take_found(j, m, index, &found[0]);
	else if (r->final && same < count)
		take_found(j, m, index, &found[same]);
	else if (count)
		expand(j, m, index, found, count);
	else
		outcomes_defer(j, m, r, "4.3.0", "", "the address has no destination");
	found_free(found, count);
}
