/* SPDX-License-Identifier: ISC */
/* May it send, is it a recipient: the verdicts for smtpd and pickup. */
#include "queue/resolved/addressbook.h"

#include <string.h>

static enum map_result find(void *context, enum map_id map, struct view key, struct view *value)
{
	struct addressbook *b = context;

	return map_get_lower(&b->maps[map], VIEW(""), key, value);
}

void addressbook_settings(struct addressbook *b, const struct settings *s)
{
	b->postmaster = s->postmaster;
	b->classifier = (struct classifier){ s->mail_domain, s->address_delimiter[0], find, b };
	b->own_senders = strcmp(s->submission_sender, "own") == 0;
	b->smtp_port = (uint16_t)s->remote_port;
}

void addressbook_maps(struct addressbook *b)
{
	b->host_names = access_has_names(&b->maps[MAP_ACCESS], ACCESS_HOST);
	b->sender_names = access_has_names(&b->maps[MAP_ACCESS], ACCESS_SENDER);
	memset(b->judged, 0, sizeof b->judged);
}

static void answer_as(struct resolve_answer *a, enum resolve_verdict verdict, const char *status,
                      struct view text)
{
	a->verdict = verdict;
	string_put(a->status, sizeof a->status, view_of(status));
	resolve_text(a->text, text);
}

static void answer_later(struct resolve_answer *a)
{
	answer_as(a, RESOLVE_LATER, "4.3.5", VIEW("cannot look up addresses now, try again later"));
}

/* A line of the access map that says no, or not now. */
static void answer_access(struct resolve_answer *a, const struct access *access,
                          const char *default_text)
{
	bool later = access->action == ACCESS_DEFER;
	char status[STATUS_MAX];
	struct view text;

	classify_split_status(access->text, later ? "4.7.1" : "5.7.1", status, &text);
	/* A status of the other class would contradict the code. */
	status[0] = later ? '4' : '5';
	answer_as(a, later ? RESOLVE_LATER : RESOLVE_REJECT, status,
	          text.len ? text : view_of(default_text));
}

/* true: the access map has refused, and the answer says so. */
static bool access_refuses(struct addressbook *b, enum access_name kind, const char *name,
                           struct resolve_answer *a, const char *default_text)
{
	struct access access;
	enum map_result r = access_find_name(&b->maps[MAP_ACCESS], kind, view_of(name), &access);

	if (r == MAP_DAMAGED)
		answer_later(a);
	else if (r == MAP_FOUND && access.action >= ACCESS_DEFER)
		answer_access(a, &access, default_text);
	else
		return false;
	return true;
}

void addressbook_client(struct addressbook *b, const struct resolve_question *q,
                        struct resolve_answer *a)
{
	struct access access;
	enum map_result r = access_find_address(&b->maps[MAP_ACCESS], &q->client, &access);

	a->verdict = RESOLVE_ACCEPT;
	a->any_sender = !b->sender_names;
	if (r == MAP_DAMAGED)
		answer_later(a);
	else if (r == MAP_FOUND && access.action >= ACCESS_DEFER)
		answer_access(a, &access, "your IP address may not send mail here");
	else if (r == MAP_FOUND)
		a->verdict = access.action == ACCESS_RELAY ? RESOLVE_RELAY : RESOLVE_ACCEPT;
	/* The address is in no network that we know: its name decides, if names matter at all. */
	else if (!q->client_name[0])
		a->wants_name = b->host_names;
	else
		access_refuses(b, ACCESS_HOST, q->client_name, a,
		               "your host may not send mail here");
}

/* Is this mailbox, or an alias that reaches it directly, the address's? */
static bool belongs(struct addressbook *b, const char *address, const char *account, bool *damaged)
{
	struct classified place, own;
	struct view target;

	classify(&b->classifier, view_of(account), true, &own);
	classify(&b->classifier, view_of(address), false, &place);
	*damaged = place.kind == ADDRESS_IS_DAMAGED || own.kind == ADDRESS_IS_DAMAGED;
	if (view_equal_nocase(view_of(place.address), view_of(own.address)))
		return true;
	if (place.kind == ADDRESS_IS_MAILBOX) { /* the account with a detail */
		classify(&b->classifier, view_of(address), true, &place);
		size_t local = view_find(view_of(own.address), '@');

		return b->classifier.delimiter &&
		       view_starts_nocase(view_of(place.address),
		                          view_take(view_of(own.address), local)) &&
		       place.address[local] == b->classifier.delimiter &&
		       view_equal(address_domain(view_of(place.address)),
		                  address_domain(view_of(own.address)));
	}
	while (place.kind == ADDRESS_IS_ALIAS && alias_next(&place.alias, &target)) {
		struct classified to;

		classify(&b->classifier, target, true, &to);
		if (view_equal_nocase(view_of(to.address), view_of(own.address)))
			return true;
	}
	return false;
}

void addressbook_sender(struct addressbook *b, const struct resolve_question *q,
                        struct resolve_answer *a)
{
	bool damaged = false;

	a->verdict = RESOLVE_ACCEPT;
	string_put(a->normal, sizeof a->normal, view_of(q->sender));
	if (q->sender[0] && access_refuses(b, ACCESS_SENDER, q->sender, a,
	                                   "mail from this address is not accepted"))
		return;
	/* The null sender is everybody's: clients send read receipts from it (RFC 8098 section
	 * 3). */
	if (!b->own_senders || q->account[0] == '\0' || q->sender[0] == '\0')
		return;
	bool own = belongs(b, q->sender, q->account, &damaged);

	if (damaged)
		answer_later(a);
	else if (!own)
		answer_as(a, RESOLVE_REJECT, "5.7.1",
		          VIEW("this address does not belong to your account"));
}

/* ---- recipients ---- */

/* May this client send to domains that are not ours? */
static bool may_relay(struct addressbook *b, const struct resolve_question *q, bool *damaged)
{
	struct access access;

	if (q->account[0])
		return true;
	enum map_result r = access_find_address(&b->maps[MAP_ACCESS], &q->client, &access);

	*damaged = r == MAP_DAMAGED;
	return r == MAP_FOUND && access.action == ACCESS_RELAY;
}

/* user%other@ours, other!user@ours, "user@other"@ours: relaying by the back door of the next
 * server, which would believe us. */
static bool routes_by_local_part(struct view address)
{
	struct view local = view_take(address, address.len - address_domain(address).len - 1);

	return view_find(local, '%') < local.len || view_find(local, '!') < local.len ||
	       view_find(local, '@') < local.len;
}

/* true: refused, or not now. */
static bool relaying_denied(struct addressbook *b, const struct resolve_question *q,
                            const struct classified *place, struct resolve_answer *a)
{
	bool damaged = false, relay = may_relay(b, q, &damaged);

	if (damaged)
		answer_later(a);
	else if (!relay && place->domain == DOMAIN_NOT_OURS)
		answer_as(a, RESOLVE_REJECT, "5.7.1", VIEW("relaying denied"));
	else if (!relay && routes_by_local_part(view_of(place->address)))
		answer_as(a, RESOLVE_REJECT, "5.7.1", VIEW("relaying denied"));
	else
		return false;
	return true;
}

void addressbook_recipient(struct addressbook *b, const struct resolve_question *q,
                           struct resolve_answer *a)
{
	struct classified place;

	classify(&b->classifier, view_of(q->recipient), false, &place);
	string_put(a->normal, sizeof a->normal, view_of(place.address));
	bool refused = access_refuses(b, ACCESS_RECIPIENT, q->recipient, a,
	                              "mail to this address is not accepted");

	/* The kill file may name the domain as it is written or as it is meant. */
	if (refused || access_refuses(b, ACCESS_RECIPIENT, place.address, a,
	                              "mail to this address is not accepted"))
		return;
	if (place.kind == ADDRESS_IS_DAMAGED)
		answer_later(a);
	else if (place.kind != ADDRESS_IS_ELSEWHERE || !relaying_denied(b, q, &place, a))
		addressbook_ends(b, q, &place, a);
	a->mailbox = a->verdict == RESOLVE_ACCEPT && place.kind == ADDRESS_IS_MAILBOX;
	a->size_max_bytes = a->mailbox ? place.user.quota_bytes : 0;
}
