/* SPDX-License-Identifier: ISC */
/* Clients when there are too many of them: who gives way to whom, and when there is less time for
 * those who do nothing. */
#include "lib/base/log.h"
#include "lib/base/recent.h"
#include "lib/base/tally.h"
#include "master/porter/client-parts.h"

/* What is used up, or nearly. */
enum cause { BY_CLIENTS, BY_TLS, BY_SMTPD, BY_LOGIN, CAUSES };

static struct ended {
	struct tally tally;
	const char *setting;
} ended[CAUSES] = {
	[BY_CLIENTS] = { .setting = "porter.clients-max" },
	[BY_TLS] = { .setting = "porter.sessions" },
	[BY_SMTPD] = { .setting = "smtpd.sessions-max" },
	[BY_LOGIN] = { .setting = "login.sessions-max" },
};

static void stand_in(struct shares *shares, struct share *share, const struct client *c, bool in)
{
	if (!in)
		shares_remove(share);
	else if (!shares_add(shares, &c->place.turn.owners, share))
		log_fatal("out of memory");
}

void client_weigh(struct client *c)
{
	bool outside = c->counted && client_is_outside(c->state);

	stand_in(clients.waiting, &c->waits, c, outside);
	stand_in(clients.securing, &c->secures, c,
	         c->relay_counted && (outside || c->state == CLIENT_ENDING));
}

void client_weigh_no_more(struct client *c)
{
	shares_remove(&c->waits);
	shares_remove(&c->secures);
}

/* A place that is free at once: a relay could not say its last words so soon. */
static bool end_for_another(struct client *c, enum cause why)
{
	if (c == NULL)
		return false;
	tally_add(&ended[why].tally);
	if (c->relay != NULL)
		client_free(c);
	else
		client_dismiss(c, view_of(client_lines(c)->busy));
	return true;
}

bool client_has_way(const struct client *newcomer)
{
	struct share *other = shares_giving_way(clients.waiting, &newcomer->place.turn.owners);

	return end_for_another(list_owner_or_null(other, struct client, waits), BY_CLIENTS);
}

bool client_has_way_to_tls(const struct client *newcomer)
{
	struct share *other = shares_giving_way(clients.securing, &newcomer->place.turn.owners);

	return end_for_another(list_owner_or_null(other, struct client, secures), BY_TLS);
}

/* ---- who is known ---- */

enum { KNOWN_ENTRIES = 16384, KNOWN_MS = 7 * 86400 * 1000 };

static struct view network_of(const struct client *c)
{
	const struct share_key *key = &c->place.turn.owners.keys[NET_NETWORK];

	return (struct view){ (const char *)key->bytes, key->len };
}

void client_recall(struct client *c)
{
	c->place.turn.known =
		recent_has(clients.logged_in, network_of(c), loop_now_ms(clients.with.loop));
}

void client_remember(const struct client *c)
{
	recent_add(clients.logged_in, network_of(c), loop_now_ms(clients.with.loop));
}

/* ---- pressure ---- */

static bool is_pressed(const struct client *c)
{
	return clients.pressure.on || pool_is_pressed(c->place.service);
}

/* How long it may do nothing now. */
static int64_t time_for(const struct client *c, int64_t pressed_ms, int64_t otherwise_ms)
{
	return is_pressed(c) && pressed_ms < otherwise_ms ? pressed_ms : otherwise_ms;
}

void client_set_first_line_deadline(struct client *c)
{
	client_set_deadline(c, time_for(c, PRESSURE_FIRST_LINE_MS,
	                                clients.with.settings->porter_idle_timeout_ms));
}

void client_set_handshake_deadline(struct client *c)
{
	client_set_deadline(c, time_for(c, PRESSURE_HANDSHAKE_MS, CONNECTION_HANDSHAKE_MS));
}

/* Those that were let in when there was more time. */
static void shorten(struct client *c, int64_t pressed_ms)
{
	int64_t at_ms = loop_now_ms(clients.with.loop) + pressed_ms;

	if (loop_timer_is_set(&c->timer) && c->timer.entry.at_ms > at_ms)
		loop_timer_set(clients.with.loop, &c->timer, at_ms);
}

static void press(void)
{
	LIST_EACH(c, &clients.all, struct client, all)
		if (is_pressed(c) && (c->state == CLIENT_SILENT || c->state == CLIENT_UNSECURED))
			shorten(c, PRESSURE_FIRST_LINE_MS);
		else if (is_pressed(c) && c->state == CLIENT_HANDSHAKE)
			shorten(c, PRESSURE_HANDSHAKE_MS);
}

void client_adds_pressure(const struct client *c)
{
	size_t most = (size_t)clients.with.settings->porter_clients_max;
	bool of_all = pressure_begins(&clients.pressure, clients.all.count, most);
	bool of_service = c->state == CLIENT_SESSION && pool_pressure_begins(c->place.service);

	if (of_all || of_service)
		press();
}

bool client_had_less_time(const struct client *c)
{
	enum cause of_service =
		c->place.service == CONNECTION_SMTP || c->place.service == CONNECTION_SUBMISSION
			? BY_SMTPD
			: BY_LOGIN;

	if (!is_pressed(c))
		return false;
	tally_add(&ended[clients.pressure.on ? BY_CLIENTS : of_service].tally);
	return true;
}

/* ---- the start ---- */

static void tell_ended(struct tally *t, unsigned count)
{
	const struct ended *e = loop_owner(t, struct ended, tally);

	log_warn("event=crowded clients=%zu relays=%u ended=%u setting=%s", clients.all.count,
	         clients.relays, count, e->setting);
}

void client_crowds_start(void)
{
	clients.waiting = shares_new(NET_OWNERS);
	clients.securing = shares_new(NET_OWNERS);
	clients.logged_in = recent_new(KNOWN_ENTRIES, KNOWN_MS, NULL);
	for (unsigned i = 0; i < CAUSES; i++)
		ended[i].tally = (struct tally){ .loop = clients.with.loop, .tell = tell_ended };
}
