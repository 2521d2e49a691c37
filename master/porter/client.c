/* SPDX-License-Identifier: ISC */
/* A client's life, from accept until its session has ended. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "master/porter/porter.h"
#include "master/porter/proxy.h"

enum { CLIENT_BYTES_MAX = 1024, DISCARD_TURNS = 4, REFUSALS_LOGGED_PER_SECOND = 10 };
_Static_assert(sizeof(struct client) <= CLIENT_BYTES_MAX, "an idle client is small");

static const char *client_text(const struct client *c)
{
	static char text[NET_ADDRESS_TEXT_MAX];

	return net_address_text(&c->client, text);
}

static const struct service_room *room_of(const struct client *c)
{
	return &porter.rooms[c->listener->service];
}

static bool is_outside(enum client_state state)
{
	return state <= CLIENT_WAITING;
}

static void enter(struct client *c, enum client_state state)
{
	if (is_outside(c->state) && !is_outside(state))
		porter.outside--;
	c->state = state;
}

static void set_deadline(struct client *c, int64_t delay_ms)
{
	loop_timer_set(porter.loop, &c->timer, loop_now_ms(porter.loop) + delay_ms);
}

/* A flood must not become a flood of log lines. */
static void log_refusal(const struct client *c, const char *reason)
{
	static int64_t second;
	static unsigned logged, silent;
	int64_t now = loop_now_ms(porter.loop) / 1000;

	if (now != second) {
		if (silent)
			log_info("event=refused more=%u", silent);
		second = now;
		logged = silent = 0;
	}
	if (logged++ < REFUSALS_LOGGED_PER_SECOND)
		log_info("event=refused service=%s client=%s reason=%s",
		         connection_service_name(c->listener->service), client_text(c), reason);
	else
		silent++;
}

/* ---- the end ---- */

static void close_socket(struct client *c)
{
	if (c->watch.fd < 0)
		return;
	loop_unwatch(porter.loop, &c->watch);
	close(c->watch.fd);
	c->watch.fd = -1;
}

static void client_free(struct client *c)
{
	close_socket(c);
	pool_leave(c);
	loop_timer_clear(porter.loop, &c->timer);
	if (c->relay)
		relay_free(&c->relay);
	if (c->proxy_header) {
		text_free(c->proxy_header);
		free(c->proxy_header);
	}
	if (c->token >= 0)
		close(c->token);
	if (c->counted)
		limits_leave(porter.limits, &c->client);
	if (is_outside(c->state))
		porter.outside--;
	if (c->previous)
		c->previous->next = c->next;
	else
		porter.clients = c->next;
	if (c->next)
		c->next->previous = c->previous;
	porter.client_count--;
	free(c);
	porter_check_end();
}

/* Closing a socket with unread bytes resets the connection, and the reset overtakes what we said
 * last. */
static void discard_input(int fd)
{
	for (unsigned turn = 0; turn < DISCARD_TURNS; turn++)
		if (recv(fd, porter.scratch, sizeof porter.scratch, MSG_DONTWAIT) <= 0)
			return;
}

/* Last words to a client outside; nothing is said in clear to one that speaks TLS. */
static void dismiss(struct client *c, struct view words)
{
	pool_leave(c);
	if (c->relay != NULL && c->state != CLIENT_HANDSHAKE) {
		enter(c, CLIENT_ENDING);
		loop_timer_clear(porter.loop, &c->timer);
		relay_write(c->relay, words);
		relay_finish(c->relay);
		return;
	}
	if (c->relay == NULL && !c->listener->tls && c->state != CLIENT_PROXY) {
		if (send(c->watch.fd, words.data, words.len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			shutdown(c->watch.fd, SHUT_WR);
		discard_input(c->watch.fd);
	}
	client_free(c);
}

void client_refuse(struct client *c)
{
	log_refusal(c, "busy");
	dismiss(c, view_of(room_of(c)->text.busy));
}

void clients_dismiss(void)
{
	struct client *next;

	for (struct client *c = porter.clients; c != NULL; c = next) {
		next = c->next;
		if (is_outside(c->state))
			dismiss(c, view_of(room_of(c)->text.busy));
	}
}

/* ---- greeting, and the first word ---- */

/* Greets: a client in clear without an early word, or one whose handshake is done. */
static void greet(struct client *c)
{
	const struct connection_announce *text = &room_of(c)->text;
	struct view greeting = view_of(c->relay ? text->secured : text->clear);

	enter(c, CLIENT_SILENT);
	set_deadline(c, porter.settings.porter_idle_timeout_ms);
	if (c->relay) {
		relay_write(c->relay, greeting);
	} else if (send(c->watch.fd, greeting.data, greeting.len, MSG_DONTWAIT | MSG_NOSIGNAL) !=
	           (ssize_t)greeting.len) {
		client_free(c);
	} else if (c->watch.slot == 0) {
		loop_watch(porter.loop, &c->watch, LOOP_READ);
	}
}

static void timed_out(struct timer *t)
{
	struct client *c = loop_owner(t, struct client, timer);

	switch (c->state) {
	case CLIENT_DELAY: greet(c); break;
	case CLIENT_WAITING:
		log_refusal(c, "no-worker");
		dismiss(c, view_of(room_of(c)->text.busy));
		break;
	case CLIENT_SILENT:
		log_debug("event=idle-timeout client=%s", client_text(c));
		dismiss(c, view_of(room_of(c)->text.busy));
		break;
	case CLIENT_STARTTLS:
	case CLIENT_HANDSHAKE: client_handshake_failed(c); break;
	default: client_free(c); break;
	}
}

static void early_talker(struct client *c)
{
	log_refusal(c, "early-talker");
	dismiss(c, VIEW("554 5.5.1 Protocol error: you spoke before the greeting\r\n"));
}

void client_spoke(struct client *c)
{
	enter(c, CLIENT_WAITING);
	set_deadline(c, PORTER_WORKER_WAIT_MS);
	pool_wait(c);
}

static void proxy_ready(struct client *c);

static void socket_ready(struct watch *w, unsigned events)
{
	struct client *c = loop_owner(w, struct client, watch);
	char byte;

	if (c->state == CLIENT_HANDED) {
		close_socket(c); /* the token's other ends are gone, and so is the session */
		client_session_over(c);
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
	else if (c->state == CLIENT_DELAY)
		early_talker(c);
	else
		client_spoke(c);
}

/* TLS from the first byte. */
static void begin_handshake(struct client *c)
{
	int fd = c->watch.fd;

	if (!porter.tls) {
		log_refusal(c, "no-certificate");
		client_free(c);
		return;
	}
	loop_unwatch(porter.loop, &c->watch);
	c->watch.fd = -1;
	enter(c, CLIENT_HANDSHAKE);
	set_deadline(c, PORTER_HANDSHAKE_MS);
	c->relay = relay_new(c, fd);
	if (c->relay == NULL)
		client_free(c);
}

/* Its address is known: is there room, and what comes first? */
static void begin(struct client *c)
{
	enum limit over = limits_enter(porter.limits, &c->client, loop_now_ms(porter.loop));

	if (over != LIMIT_NONE) {
		log_refusal(c, limit_name(over));
		dismiss(c, view_of(room_of(c)->text.busy));
		return;
	}
	c->counted = true;
	if (c->listener->tls) {
		begin_handshake(c);
	} else if (c->listener->service == CONNECTION_SMTP &&
	           porter.settings.porter_greeting_delay_ms > 0) {
		enter(c, CLIENT_DELAY);
		set_deadline(c, porter.settings.porter_greeting_delay_ms);
		if (c->watch.slot == 0)
			loop_watch(porter.loop, &c->watch, LOOP_READ);
	} else {
		greet(c);
	}
}

/* ---- PROXY ---- */

static bool is_balancer(const struct net_address *a)
{
	for (unsigned i = 0; i < porter.balancer_count; i++)
		if (net_network_holds(&porter.balancers[i], a))
			return true;
	return false;
}

static void proxy_done(struct client *c, const struct proxy *header)
{
	text_free(c->proxy_header);
	free(c->proxy_header);
	c->proxy_header = NULL;
	if (header->proxied) {
		c->client = header->client;
		c->local = header->local;
	}
	enter(c, CLIENT_DELAY);
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
		log_refusal(c, "proxy-header");
		client_free(c);
	} else if (result == PROXY_DONE) {
		proxy_done(c, &header);
	}
}

static void expect_proxy(struct client *c)
{
	c->proxy_header = memory_get(sizeof *c->proxy_header);
	text_init(c->proxy_header, PROXY_MAX);
	set_deadline(c, PORTER_PROXY_MS);
	loop_watch(porter.loop, &c->watch, LOOP_READ);
}

void client_accepted(const struct listener *listener, int fd, const struct net_address *address)
{
	struct client *c = memory_get(sizeof *c);

	c->listener = listener;
	c->client = *address;
	c->local = listener->local;
	c->id = porter.next_id++;
	c->token = -1;
	c->watch.fd = fd;
	c->watch.ready = socket_ready;
	c->timer.due = timed_out;
	c->next = porter.clients;
	if (porter.clients)
		porter.clients->previous = c;
	porter.clients = c;
	porter.client_count++;
	porter.outside++;
	if (c->local.port == 0) {
		struct sockaddr_storage bound;
		socklen_t len = sizeof bound;

		if (getsockname(fd, (struct sockaddr *)&bound, &len) == 0)
			net_address_from_sockaddr((const struct sockaddr *)&bound, &c->local);
	}
	/* A balancer's connections are bounded too: each client behind it counts when it is
	 * known. */
	if (is_balancer(address) &&
	    porter.client_count <= (unsigned)porter.settings.porter_clients_max) {
		expect_proxy(c);
	} else {
		c->state = CLIENT_DELAY;
		begin(c);
	}
}

/* ---- the session ---- */

/* Mailbox sessions move from login to mailbox program: the token's end tells porter that nobody
 * serves it. */
static int make_token(struct client *c)
{
	int ends[2];

	if (c->listener->service != CONNECTION_POP3 && c->listener->service != CONNECTION_IMAP)
		return -1;
	if (pipe2(ends, O_CLOEXEC) < 0) {
		log_warn("event=token-failed reason=\"%m\"");
		return -1;
	}
	c->token = ends[0];
	return ends[1];
}

static enum wire_result send_client(struct client *c, struct worker *w, int fd, int token)
{
	struct connection message = {
		.id = c->id,
		.service = c->listener->service,
		.client = c->client,
		.local = c->local,
		.tls_offered = porter.tls && c->relay == NULL,
		.fd = fd,
		.token = token,
	};
	static struct wire_out out;

	if (c->relay)
		relay_facts(c->relay, &message.tls);
	connection_put(&out, &message);
	return hub_line_send(&w->line, &out);
}

bool client_serve(struct client *c, struct worker *w)
{
	int fd = c->relay ? relay_open_session(c->relay) : c->watch.fd;
	int token = make_token(c);

	if (fd < 0) {
		log_warn("event=relay-failed reason=\"%m\"");
		hub_set_idle(&w->line);
		client_refuse(c);
		return true;
	}
	enum wire_result r = send_client(c, w, fd, token);

	if (token >= 0)
		close(token);
	if (c->relay)
		close(fd);
	if (r != WIRE_OK) {
		if (c->token >= 0)
			close(c->token);
		c->token = -1;
		return false;
	}
	pool_leave(c);
	loop_timer_clear(porter.loop, &c->timer);
	enter(c, CLIENT_SESSION);
	c->worker = w;
	w->client = c;
	if (c->relay == NULL)
		close_socket(c); /* the session has it */
	return true;
}

void client_session_over(struct client *c)
{
	c->worker = NULL;
	if (c->relay == NULL || c->state == CLIENT_STARTTLS) {
		client_free(c);
		return;
	}
	enter(c, CLIENT_ENDING);
	set_deadline(c, PORTER_FLUSH_MS);
}

void client_handed_over(struct client *c)
{
	c->worker = NULL;
	enter(c, CLIENT_HANDED);
	c->watch.fd = c->token;
	c->token = -1;
	loop_watch(porter.loop, &c->watch, 0);
}

void client_relay_over(struct client *c)
{
	relay_free(&c->relay);
	/* A session that is still there sees its end of the pair closed and tells us in its own
	 * time. */
	if (c->state != CLIENT_SESSION && c->state != CLIENT_HANDED)
		client_free(c);
}

/* ---- TLS ---- */

static bool is_stream_socket(int fd)
{
	int type = 0;
	socklen_t len = sizeof type;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

static void send_not_secured(struct client *c)
{
	static struct wire_out out;

	wire_begin(&out, CONNECTION_NOT_SECURED);
	hub_line_send(&c->worker->line, &out);
}

void client_starttls(struct client *c, int fd)
{
	if (c->relay != NULL || !porter.tls || !is_stream_socket(fd)) {
		close(fd);
		send_not_secured(c);
		return;
	}
	enter(c, CLIENT_STARTTLS);
	set_deadline(c, PORTER_HANDSHAKE_MS);
	c->relay = relay_new(c, fd);
	if (c->relay == NULL)
		client_handshake_failed(c);
}

static void secured_for_worker(struct client *c)
{
	static struct wire_out out;
	struct connection_tls tls;
	int fd = relay_open_session(c->relay);

	if (fd < 0) {
		log_warn("event=relay-failed reason=\"%m\"");
		client_handshake_failed(c);
		return;
	}
	relay_facts(c->relay, &tls);
	wire_begin(&out, CONNECTION_SECURED);
	connection_tls_put(&out, &tls);
	wire_put_fd(&out, fd);
	enter(c, CLIENT_SESSION);
	loop_timer_clear(porter.loop, &c->timer);
	hub_line_send(&c->worker->line, &out);
	close(fd);
}

void client_secured(struct client *c)
{
	if (c->state == CLIENT_STARTTLS)
		secured_for_worker(c);
	else
		greet(c);
}

void client_handshake_failed(struct client *c)
{
	if (c->state != CLIENT_STARTTLS) {
		client_free(c);
		return;
	}
	relay_free(&c->relay);
	enter(c, CLIENT_SESSION);
	loop_timer_clear(porter.loop, &c->timer);
	send_not_secured(c);
}
