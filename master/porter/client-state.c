/* SPDX-License-Identifier: ISC */
/* A client's states, what is said to it first and last, and its end: below the files that serve
 * it. */
#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/pace.h"
#include "master/porter/acceptor.h"
#include "master/porter/client-parts.h"
#include "master/porter/limits.h"
#include "master/porter/relay.h"

enum {
	DISCARD_TURNS = 4,
	DISCARD_BYTES = 16384,
	REFUSALS_LOGGED_PER_SECOND = 10,
	FAILURES_LOGGED_PER_SECOND = 1,
	CLIENT_BYTES_MAX = 1024
};

static_assert(sizeof(struct client) <= CLIENT_BYTES_MAX, "an idle client is small");

struct clients clients;

struct client *client_of(struct pool_client *place)
{
	return loop_owner(place, struct client, place);
}

const char *client_text(const struct client *c)
{
	static char text[NET_ADDRESS_TEXT_MAX];

	return net_address_text(&c->client, text);
}

const struct connection_announce *client_lines(const struct client *c)
{
	return &clients.lines[c->place.service];
}

bool client_is_outside(enum client_state state)
{
	return state <= CLIENT_WAITING;
}

void client_enter(struct client *c, enum client_state state)
{
	if (client_is_outside(c->state) && !client_is_outside(state))
		clients.outside--;
	c->state = state;
	client_weigh(c);
}

void client_set_deadline(struct client *c, int64_t delay_ms)
{
	loop_timer_set(clients.with.loop, &c->timer, loop_now_ms(clients.with.loop) + delay_ms);
}

/* A flood must not become a flood of log lines. */
void client_log_refusal(const struct client *c, const char *reason)
{
	static struct pace pace;
	unsigned more;

	if (!pace_says(&pace, loop_now_ms(clients.with.loop), REFUSALS_LOGGED_PER_SECOND, &more))
		return;
	if (more)
		log_info("event=refused more=%u", more);
	log_info("event=refused service=%s client=%s reason=%s",
	         connection_service_name(c->place.service), client_text(c), reason);
}

/* ---- its TLS relay ---- */

void client_log_relay_failed(void)
{
	static struct pace pace;
	unsigned more;

	if (pace_says(&pace, loop_now_ms(clients.with.loop), FAILURES_LOGGED_PER_SECOND, &more))
		log_warn("event=relay-failed more=%u reason=\"%m\"", more);
}

bool client_tls_is_full(void)
{
	return clients.relays >= (unsigned)clients.with.settings->porter_sessions;
}

static void count_relay(struct client *c, bool counted)
{
	if (c->relay_counted == counted)
		return;
	c->relay_counted = counted;
	if (counted)
		clients.relays++;
	else
		clients.relays--;
	client_weigh(c);
	acceptors_set_tls_full(client_tls_is_full());
}

void client_count_relay(struct client *c)
{
	count_relay(c, true);
}

void client_end_relay(struct client *c)
{
	relay_free(&c->relay);
	count_relay(c, false);
}

/* ---- its end ---- */

void client_close_socket(struct client *c)
{
	if (c->watch.fd < 0)
		return;
	loop_unwatch(clients.with.loop, &c->watch);
	close(c->watch.fd);
	c->watch.fd = -1;
}

/* After each client's end, and when a worker is idle: is there anything left to do? */
void clients_check_end(void)
{
	if (!clients.retiring && !clients.stopping)
		return;
	if (clients.all.count == 0 || (clients.stopping && clients.relays == 0))
		loop_stop(clients.with.loop);
	else if (clients.retiring)
		pools_drop_idle(clients.outside);
}

void client_forget_proxy_header(struct client *c)
{
	if (c->proxy_header == NULL)
		return;
	text_free(c->proxy_header);
	free(c->proxy_header);
	c->proxy_header = NULL;
}

void client_free(struct client *c)
{
	client_close_socket(c);
	pool_leave(&c->place);
	loop_timer_clear(clients.with.loop, &c->timer);
	client_end_relay(c);
	client_weigh_no_more(c);
	client_forget_proxy_header(c);
	if (c->token >= 0)
		close(c->token);
	if (c->counted)
		limits_leave(clients.with.limits, &c->client);
	if (client_is_outside(c->state))
		clients.outside--;
	list_remove(&c->all);
	free(c);
	clients_check_end();
}

/* Closing a socket with unread bytes resets the connection, and the reset overtakes what we said
 * last. */
static void discard_input(int fd)
{
	char bytes[DISCARD_BYTES];

	for (unsigned turn = 0; turn < DISCARD_TURNS; turn++)
		if (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) <= 0)
			return;
}

/* TLS has no words for it before the handshake, but this alert: internal_error (RFC 8446 section
 * 6.2), which is one that a client may try again after. */
void client_refuse_tls(struct client *c)
{
	static const char alert[] = { 21, 3, 1, 0, 2, 2, 80 };

	if (send(c->watch.fd, alert, sizeof alert, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		shutdown(c->watch.fd, SHUT_WR);
	discard_input(c->watch.fd);
	client_free(c);
}

/* Last words to a client outside; nothing is said in clear to one that speaks TLS. */
void client_dismiss(struct client *c, struct view words)
{
	pool_leave(&c->place);
	if (c->relay != NULL && c->state != CLIENT_HANDSHAKE) {
		client_enter(c, CLIENT_ENDING);
		loop_timer_clear(clients.with.loop, &c->timer);
		relay_write(c->relay, words);
		relay_finish(c->relay);
		return;
	}
	if (c->relay == NULL && !c->acceptor->tls && c->state != CLIENT_PROXY) {
		if (send(c->watch.fd, words.data, words.len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			shutdown(c->watch.fd, SHUT_WR);
		discard_input(c->watch.fd);
	}
	client_free(c);
}

/* No worker will come, or none can be given the client. */
void client_refuse(struct pool_client *place)
{
	struct client *c = client_of(place);

	client_log_refusal(c, "no-worker");
	client_dismiss(c, view_of(client_lines(c)->unavailable));
}

/* Too many wait for a worker. */
void client_turned_away(struct pool_client *place)
{
	struct client *c = client_of(place);

	client_log_refusal(c, "busy");
	client_dismiss(c, view_of(client_lines(c)->busy));
}

/* ---- its greeting ---- */

/* Greets: a client in clear without an early word, or one whose handshake is done. */
void client_greet(struct client *c)
{
	const struct connection_announce *lines = client_lines(c);
	struct view greeting = view_of(c->relay ? lines->secured : lines->clear);

	client_enter(c, CLIENT_SILENT);
	client_set_first_line_deadline(c);
	if (c->relay) {
		relay_write(c->relay, greeting);
	} else if (send(c->watch.fd, greeting.data, greeting.len, MSG_DONTWAIT | MSG_NOSIGNAL) !=
	           (ssize_t)greeting.len) {
		client_free(c);
	} else if (!loop_is_watched(&c->watch)) {
		loop_watch(clients.with.loop, &c->watch, LOOP_READ);
	}
}
