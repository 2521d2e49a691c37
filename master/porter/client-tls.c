/* SPDX-License-Identifier: ISC */
/* A client's TLS: from the first byte, or when its session asks for it. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "master/porter/client-parts.h"
#include "master/porter/relay.h"
#include "master/porter/tls.h"

/* Takes fd; false: no memory for TLS, fd is closed. */
static bool begin_relay(struct client *c, int fd)
{
	c->relay = relay_new(c, tls_session(), fd);
	if (c->relay != NULL) {
		client_count_relay(c);
	} else {
		errno = ENOMEM;
		client_log_relay_failed();
	}
	return c->relay != NULL;
}

/* A silent client costs no TLS; but the place is kept for its relay, since other processes may have
 * one for it only now. */
void client_tls_expect(struct client *c)
{
	if (!tls_is_offered()) {
		client_log_refusal(c, "no-certificate");
		client_free(c);
		return;
	}
	if (client_tls_is_full() && !client_has_way_to_tls(c)) {
		client_log_refusal(c, "porter.sessions");
		client_refuse_tls(c);
		return;
	}
	client_count_relay(c);
	client_enter(c, CLIENT_UNSECURED);
	client_set_first_line_deadline(c);
	if (!loop_is_watched(&c->watch))
		loop_watch(clients.with.loop, &c->watch, LOOP_READ);
}

void client_tls_begin(struct client *c)
{
	int fd = c->watch.fd;

	loop_unwatch(clients.with.loop, &c->watch);
	c->watch.fd = -1;
	client_enter(c, CLIENT_HANDSHAKE);
	client_set_handshake_deadline(c);
	if (!begin_relay(c, fd))
		client_free(c);
}

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
	pool_send(c->place.worker, &out);
}

void client_tls_failed(struct client *c)
{
	if (c->state != CLIENT_STARTTLS) {
		client_free(c);
		return;
	}
	client_end_relay(c);
	client_enter(c, CLIENT_SESSION);
	loop_timer_clear(clients.with.loop, &c->timer);
	send_not_secured(c);
}

bool client_tls_start(struct pool_client *place, int fd)
{
	struct client *c = client_of(place);

	if (c->state != CLIENT_SESSION) {
		close(fd);
		return false;
	}
	if (c->relay != NULL || !tls_is_offered() || !is_stream_socket(fd)) {
		close(fd);
		send_not_secured(c);
		return true;
	}
	client_close_socket(c); /* which it is, too */
	client_enter(c, CLIENT_STARTTLS);
	client_set_deadline(c, CONNECTION_HANDSHAKE_MS);
	if (!begin_relay(c, fd))
		client_tls_failed(c);
	return true;
}

static void secured_for_worker(struct client *c)
{
	static struct wire_out out;
	struct connection_tls tls;
	int fd = relay_open_session(c->relay);

	if (fd < 0) {
		client_log_relay_failed();
		client_tls_failed(c);
		return;
	}
	relay_facts(c->relay, &tls);
	connection_secured_put(&out, &tls, fd);
	client_enter(c, CLIENT_SESSION);
	loop_timer_clear(clients.with.loop, &c->timer);
	pool_send(c->place.worker, &out); /* where that fails the session's end is told */
	close(fd);
	relay_begin_session(c->relay);
}

void client_tls_secured(void *client)
{
	struct client *c = client;

	if (c->state == CLIENT_STARTTLS)
		secured_for_worker(c);
	else
		client_greet(c);
}

void client_tls_log_failed(void *client, const char *reason)
{
	log_info("event=tls-failed client=%s reason=\"%s\"", client_text(client),
	         log_text(view_of(reason)));
	client_tls_failed(client);
}
