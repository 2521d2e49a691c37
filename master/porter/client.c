/* SPDX-License-Identifier: ISC */
#include "master/porter/client.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "master/porter/acceptor.h"
#include "master/porter/client-parts.h"
#include "master/porter/pool.h"
#include "master/porter/relay.h"

enum {
	PROXY_MS = 10000,       /* a balancer's PROXY header */
	WORKER_WAIT_MS = 30000, /* a client that has spoken waits so long for a worker, then it is
	                           told that the service is not available */
	STOP_MS = 5000,         /* for relays to end */
};

/* ---- the first word ---- */

static void timed_out(struct timer *t)
{
	struct client *c = loop_owner(t, struct client, timer);

	switch (c->state) {
	case CLIENT_DELAY: client_greet(c); break;
	case CLIENT_WAITING:
		client_log_refusal(c, "worker-timeout");
		client_dismiss(c, view_of(client_lines(c)->unavailable));
		break;
	case CLIENT_UNSECURED:
	case CLIENT_SILENT:
		if (!client_had_less_time(c))
			log_debug("event=idle-timeout client=%s", client_text(c));
		client_dismiss(c, view_of(client_lines(c)->timeout));
		break;
	case CLIENT_HANDSHAKE:
		if (client_had_less_time(c))
			client_tls_failed(c);
		else
			client_tls_log_failed(c, "timeout");
		break;
	case CLIENT_STARTTLS: client_tls_log_failed(c, "timeout"); break;
	default: client_free(c); break;
	}
}

static void early_talker(struct client *c)
{
	client_log_refusal(c, "early-talker");
	client_dismiss(c, view_of(client_lines(c)->early));
}

/* It has spoken. */
static void find_worker(void *client)
{
	struct client *c = client;
	struct worker *w;

	client_enter(c, CLIENT_WAITING);
	client_set_deadline(c, WORKER_WAIT_MS);
	while ((w = pool_take(&c->place)) != NULL)
		if (client_session_serve(&c->place, w))
			return;
	if (!pool_wait(&c->place)) {
		client_turned_away(&c->place);
	} else if (c->relay == NULL) {
		/* Not read while it waits, but its reset is noticed. */
		loop_change(clients.with.loop, &c->watch, 0);
	}
}

static void proxy_ready(struct client *c);

static void socket_ready(struct watch *w, unsigned events)
{
	struct client *c = loop_owner(w, struct client, watch);
	char byte;

	if (c->state == CLIENT_HANDED) {
		client_close_socket(c); /* the token's other ends are gone, and so is the session */
		client_session_over(&c->place);
		return;
	}
	if (c->state == CLIENT_WAITING || (events & LOOP_READ) == 0) {
		client_free(c);
		return;
	}
	if (c->state == CLIENT_PROXY) {
		proxy_ready(c);
		return;
	}
	ssize_t n = recv(w->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		client_free(c);
	else if (c->state == CLIENT_UNSECURED)
		client_tls_begin(c);
	else if (c->state == CLIENT_DELAY)
		early_talker(c);
	else
		find_worker(c);
}

static enum limit enter(const struct client *c)
{
	enum limit over =
		limits_enter(clients.with.limits, &c->client, loop_now_ms(clients.with.loop));

	if (over == LIMIT_CLIENTS && client_has_way(c))
		over = limits_enter_place(clients.with.limits, &c->client);
	return over;
}

/* Its address is known: is there room, and what comes first? */
static void begin(struct client *c)
{
	net_address_owners(&c->client, &c->place.turn.owners);
	client_recall(c);
	enum limit over = enter(c);

	if (over != LIMIT_NONE) {
		client_log_refusal(c, limit_name(over));
		client_dismiss(c, view_of(client_lines(c)->busy));
		return;
	}
	c->counted = true;
	client_weigh(c);
	client_adds_pressure(c);
	if (c->acceptor->tls) {
		client_tls_expect(c);
	} else if (c->place.service == CONNECTION_SMTP &&
	           clients.with.settings->porter_greeting_delay_ms > 0) {
		client_enter(c, CLIENT_DELAY);
		client_set_deadline(c, clients.with.settings->porter_greeting_delay_ms);
		if (!loop_is_watched(&c->watch))
			loop_watch(clients.with.loop, &c->watch, LOOP_READ);
	} else {
		client_greet(c);
	}
}

/* ---- PROXY ---- */

static void proxy_done(struct client *c, const struct proxy *header)
{
	client_forget_proxy_header(c);
	if (header->proxied) {
		c->client = header->client;
		c->local = header->local;
	}
	client_enter(c, CLIENT_DELAY);
	begin(c);
}

/* Takes the header and not one byte of what follows: that is the client's, maybe a TLS
 * handshake. */
static void proxy_ready(struct client *c)
{
	char bytes[PROXY_MAX];
	size_t before = c->proxy_header->len;
	ssize_t n = recv(c->watch.fd, bytes, sizeof bytes - before, MSG_PEEK | MSG_DONTWAIT);
	struct proxy header;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || !text_add(c->proxy_header, (struct view){ bytes, (size_t)n })) {
		client_free(c);
		return;
	}
	enum proxy_result result = proxy_parse(text_view(c->proxy_header), &header);
	size_t mine = result == PROXY_DONE ? header.used - before : (size_t)n;

	if (result == PROXY_BAD || recv(c->watch.fd, bytes, mine, MSG_DONTWAIT) != (ssize_t)mine) {
		client_log_refusal(c, "proxy-header");
		client_free(c);
	} else if (result == PROXY_DONE) {
		proxy_done(c, &header);
	}
}

static void expect_proxy(struct client *c)
{
	c->proxy_header = memory_get(sizeof *c->proxy_header);
	text_init(c->proxy_header, PROXY_MAX);
	client_set_deadline(c, PROXY_MS);
	loop_watch(clients.with.loop, &c->watch, LOOP_READ);
}

static struct client *client_new(const struct acceptor *from, int fd,
                                 const struct net_address *address)
{
	struct client *c = memory_get(sizeof *c);

	c->acceptor = from;
	c->place.service = from->service;
	c->client = *address;
	c->local = from->local;
	c->id = clients.next_id++;
	c->token = -1;
	c->watch.fd = fd;
	c->watch.ready = socket_ready;
	c->timer.due = timed_out;
	list_add_first(&clients.all, &c->all);
	clients.outside++;
	return c;
}

static void accepted(const struct acceptor *from, int fd, const struct net_address *address)
{
	struct client *c = client_new(from, fd, address);

	if (c->local.port == 0) {
		struct sockaddr_storage bound;
		socklen_t len = sizeof bound;

		if (getsockname(fd, (struct sockaddr *)&bound, &len) == 0)
			net_address_from_sockaddr((const struct sockaddr *)&bound, &c->local);
	}
	/* A balancer's connections are bounded too: each client behind it counts when it is
	 * known. */
	if (networks_hold(clients.with.balancers, address)) {
		if (clients.all.count <= (size_t)clients.with.settings->porter_clients_max) {
			expect_proxy(c);
			return;
		}
		/* Whose client this is nobody knows, nor what they speak: no word, and no place in
		 * the balancer's own name. */
		client_log_refusal(c, limit_name(LIMIT_CLIENTS));
		client_free(c);
	} else {
		c->state = CLIENT_DELAY;
		begin(c);
	}
}

/* ---- all of them ---- */

static void announced(const struct connection_announce *lines)
{
	clients.lines[lines->service] = *lines;
	acceptors_open(lines->service);
}

static void stop_due(struct timer *t)
{
	(void)t;
	loop_stop(clients.with.loop);
}

void clients_start(const struct clients_setup *setup)
{
	static const struct pool_callbacks of_pools = {
		.announced = announced,
		.serve = client_session_serve,
		.starttls = client_tls_start,
		.handed_over = client_session_handed_over,
		.give_way = client_session_give_way,
		.turned_away = client_turned_away,
		.session_over = client_session_over,
		.worker_idle = clients_check_end,
	};
	static const struct relay_callbacks of_relays = {
		.secured = client_tls_secured,
		.handshake_failed = client_tls_log_failed,
		.spoke = find_worker,
		.over = client_session_relay_over,
	};

	clients.with = *setup;
	clients.next_id = (uint64_t)clock_wall_us();
	clients.stop.due = stop_due;
	client_crowds_start();
	acceptors_start(setup->loop, accepted, setup->settings->porter_processes > 1);
	relays_start(setup->loop, &of_relays);
	pools_start(setup->loop, &of_pools, acceptors_services(), setup->settings);
}

void clients_retire(void)
{
	if (clients.retiring || clients.stopping)
		return;
	clients.retiring = true;
	acceptors_close();
	pools_retire();
	log_info("event=retiring clients=%zu outside=%u relays=%u", clients.all.count,
	         clients.outside, clients.relays);
	clients_check_end();
}

void clients_stop(void)
{
	if (clients.stopping)
		return;
	clients.stopping = true;
	acceptors_close();
	pools_stop();
	LIST_EACH(c, &clients.all, struct client, all)
		if (client_is_outside(c->state))
			client_dismiss(c, view_of(client_lines(c)->stopping));
	loop_timer_set(clients.with.loop, &clients.stop, loop_now_ms(clients.with.loop) + STOP_MS);
	clients_check_end();
}
