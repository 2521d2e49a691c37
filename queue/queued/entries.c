/* SPDX-License-Identifier: ISC */
#include "queue/queued/entries.h"

#include "lib/base/clock.h"

/* ---- which messages ---- */

static bool domain_is(struct view address, struct view domain)
{
	struct view own = address_domain(address);

	return own.len < address.len && view_equal_nocase(own, domain);
}

static bool any_recipient(const struct message *m, struct view wanted, bool domain)
{
	for (uint32_t i = 0; i < m->recipient_count; i++) {
		struct view address = view_of(recipient_address(m, &m->recipients[i]));

		if (m->recipients[i].state != RECIPIENT_GONE &&
		    (domain ? domain_is(address, wanted) : view_equal_nocase(address, wanted)))
			return true;
	}
	return false;
}

bool entry_matches(const struct message *m, struct view filter)
{
	struct view word, rest = filter;

	if (m->removed)
		return false;
	if (filter.len == 0)
		return true;
	if (!view_cut(&rest, ':', &word))
		return false;
	if (view_equal(word, VIEW("from")))
		return view_equal_nocase(view_of(message_sender(m)), rest);
	return any_recipient(m, rest, view_equal(word, VIEW("domain")));
}

bool entry_filter_ok(struct view filter)
{
	uint64_t id;

	return filter.len == 0 || queue_id_parse(filter, &id) ||
	       view_starts(filter, VIEW("from:")) || view_starts(filter, VIEW("to:")) ||
	       view_starts(filter, VIEW("domain:"));
}

/* ---- what is shown of one ---- */

char entry_state(const struct message *m)
{
	if (m->held)
		return 'h';
	return message_deliveries(m)->count || m->in_line || message_count(m, RECIPIENT_ASKED) ||
	                       m->next.at_ms == 0
	               ? 'a'
	               : 'd';
}

int64_t entry_next_wall_ms(const struct message *m)
{
	return clock_wall_ms() + m->next.at_ms - clock_ms();
}

void entry_put(struct wire_out *out, const struct message *m)
{
	static struct control_entry e;
	static struct text list;
	const struct recipient *last = NULL;

	if (list.max == 0)
		text_init(&list, CONTROL_RECIPIENT_LIST_MAX);
	text_clear(&list);
	queue_id_text(m->id, e.id);
	e.state = entry_state(m);
	e.bytes = m->message_bytes;
	e.arrived_s = m->arrived_ms / 1000;
	e.next_s = e.state == 'd' ? entry_next_wall_ms(m) / 1000 : 0;
	string_put(e.sender, sizeof e.sender, view_of(message_sender(m)));
	e.recipients = message_left(m);
	for (uint32_t i = 0; i < m->recipient_count && !list.full; i++) {
		const struct recipient *r = &m->recipients[i];
		struct view address = view_of(recipient_address(m, r));

		if (r->state == RECIPIENT_GONE)
			continue;
		if (r->said && (last == NULL || r->said_s > last->said_s))
			last = r;
		if (list.len + address.len + 1 <= CONTROL_RECIPIENT_LIST_MAX / 2) {
			if (list.len)
				text_add_byte(&list, '\n');
			text_add(&list, address);
		}
	}
	e.recipient_list = text_view(&list);
	string_cut(e.reason, sizeof e.reason, view_of(last ? saying_text(last->said) : ""));
	control_entry_put(out, &e);
}
