/* SPDX-License-Identifier: ISC */
/* A client's session: what its worker is given, and how it ends. */
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "master/porter/client-parts.h"
#include "master/porter/relay.h"
#include "master/porter/tls.h"

enum { FLUSH_MS = 60000 /* after the session's end, for a slow client to take the rest */ };

/* Mailbox sessions move from login to mailbox program: the token's end tells porter that nobody
 * serves it. Their end, -1: no token. */
static bool make_token(struct client *c, int *theirs)
{
	int ends[2];

	*theirs = -1;
	if (c->place.service != CONNECTION_POP3 && c->place.service != CONNECTION_IMAP)
		return true;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	c->token = ends[0];
	*theirs = ends[1];
	return true;
}

static void drop_token(struct client *c)
{
	if (c->token >= 0)
		close(c->token);
	c->token = -1;
}

/* What the session is given; false: out of descriptors. */
static bool open_for_session(struct client *c, int *fd, int *token)
{
	if (!make_token(c, token))
		return false;
	*fd = c->relay ? relay_open_session(c->relay) : c->watch.fd;
	if (*fd >= 0)
		return true;
	if (*token >= 0)
		close(*token);
	drop_token(c);
	return false;
}

static enum wire_result send_client(struct client *c, struct worker *w, int fd, int token)
{
	struct connection message = {
		.id = c->id,
		.service = c->place.service,
		.client = c->client,
		.local = c->local,
		.tls_offered = tls_is_offered() && c->relay == NULL,
		.fd = fd,
		.token = token,
	};
	static struct wire_out out;

	if (c->relay)
		relay_facts(c->relay, &message.tls);
	connection_put(&out, &message);
	return pool_send(w, &out);
}

/* Gives it the worker; false: the worker's line is broken, the client still waits. */
bool client_session_serve(struct pool_client *place, struct worker *w)
{
	struct client *c = client_of(place);
	int fd, token;

	if (!open_for_session(c, &fd, &token)) {
		client_log_relay_failed();
		client_refuse(place);
		pool_give_back(w);
		return true;
	}
	enum wire_result r = send_client(c, w, fd, token);

	if (token >= 0)
		close(token);
	if (c->relay)
		close(fd);
	if (r != WIRE_OK) {
		drop_token(c);
		if (c->relay)
			relay_close_session(c->relay);
		return false;
	}
	if (c->relay)
		relay_begin_session(c->relay);
	pool_bind(place, w);
	loop_timer_clear(clients.with.loop, &c->timer);
	client_enter(c, CLIENT_SESSION);
	client_adds_pressure(c);
	/* The session has it, and here it stays to end that: not read, not watched. */
	if (c->relay == NULL)
		loop_unwatch(clients.with.loop, &c->watch);
	return true;
}

/* The session sees its client leave, whatever it is doing with it; the client is told why. */
void client_session_give_way(struct pool_client *place)
{
	struct client *c = client_of(place);
	struct view words = view_of(client_lines(c)->busy);

	if (c->state == CLIENT_STARTTLS) {
		client_tls_failed(c);
	} else if (c->relay != NULL) {
		relay_end_session(c->relay);
		relay_write(c->relay, words);
		relay_finish(c->relay);
	} else if (c->watch.fd >= 0) {
		if (send(c->watch.fd, words.data, words.len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			log_debug("event=untold client=%s", client_text(c));
		shutdown(c->watch.fd, SHUT_RDWR);
	}
}

void client_session_over(struct pool_client *place)
{
	struct client *c = client_of(place);

	if (c->relay == NULL || c->state == CLIENT_STARTTLS) {
		client_free(c);
		return;
	}
	client_enter(c, CLIENT_ENDING);
	client_set_deadline(c, FLUSH_MS);
}

bool client_session_handed_over(struct pool_client *place)
{
	struct client *c = client_of(place);

	if (c->state != CLIENT_SESSION || c->token < 0)
		return false;
	client_remember(c);
	client_enter(c, CLIENT_HANDED);
	client_close_socket(c);
	c->watch.fd = c->token;
	c->token = -1;
	loop_watch(clients.with.loop, &c->watch, 0);
	return true;
}

void client_session_relay_over(void *client)
{
	struct client *c = client;

	client_end_relay(c);
	/* A session that is still there sees its end of the pair closed and tells us in its own
	 * time. */
	if (c->state != CLIENT_SESSION && c->state != CLIENT_HANDED)
		client_free(c);
}
