/* SPDX-License-Identifier: ISC */
#include "master/porter/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/conf/services.h"

enum {
	ACCEPTORS_MAX = LISTENERS_MAX,
	ACCEPTS_PER_TURN = 32,
	ACCEPT_PAUSE_MS = 1000,
	LEFT_MS = 1000
};

static struct {
	struct loop *loop;
	acceptor_accepted *accepted;
	struct acceptor all[ACCEPTORS_MAX];
	unsigned count;
	bool open[CONNECTION_SERVICES];
	bool shared, tls_full;
	struct timer pause; /* set: nothing is accepted until then */
	struct timer left;  /* while full: whom does nobody take? */
} acceptors;

static const enum connection_service protocols[SERVICES] = {
#define SERVICE(name, protocol, tls, port) CONNECTION_##protocol,
#include "lib/conf/services.def"
#undef SERVICE
};

static bool set_kind(struct acceptor *a, struct view name)
{
	struct view word = view_take(name, view_find(name, '.'));

	for (unsigned i = 0; i < SERVICES; i++)
		if (view_equal(word, view_of(services[i].name))) {
			a->service = protocols[i];
			a->tls = services[i].tls;
			return true;
		}
	return false;
}

/* ---- when ---- */

static bool may_accept(const struct acceptor *a)
{
	return !loop_timer_is_set(&acceptors.pause) && acceptors.open[a->service] &&
	       !(a->tls && acceptors.tls_full);
}

static void watch_those_that_may(void)
{
	for (unsigned i = 0; i < acceptors.count; i++) {
		struct acceptor *a = &acceptors.all[i];

		if (!may_accept(a))
			loop_unwatch(acceptors.loop, &a->watch);
		else if (!loop_is_watched(&a->watch))
			loop_watch(acceptors.loop, &a->watch, LOOP_READ);
	}
}

static void pause_over(struct timer *t)
{
	(void)t;
	watch_those_that_may();
}

/* Out of descriptors: a client's end gives some back. */
static void pause_all(void)
{
	loop_timer_set(acceptors.loop, &acceptors.pause,
	               loop_now_ms(acceptors.loop) + ACCEPT_PAUSE_MS);
	watch_those_that_may();
}

void acceptors_open(enum connection_service service)
{
	acceptors.open[service] = true;
	watch_those_that_may();
}

void acceptors_set_tls_full(bool full)
{
	full = full && acceptors.shared;
	if (acceptors.tls_full == full)
		return;
	acceptors.tls_full = full;
	watch_those_that_may();
	if (full)
		loop_timer_set(acceptors.loop, &acceptors.left,
		               loop_now_ms(acceptors.loop) + LEFT_MS);
	else
		loop_timer_clear(acceptors.loop, &acceptors.left);
}

void acceptors_close(void)
{
	for (unsigned i = 0; i < acceptors.count; i++) {
		loop_unwatch(acceptors.loop, &acceptors.all[i].watch);
		close(acceptors.all[i].watch.fd);
	}
	acceptors.count = 0;
	loop_timer_clear(acceptors.loop, &acceptors.left);
}

/* ---- who ---- */

static void accept_clients(struct watch *w, unsigned events)
{
	struct acceptor *a = loop_owner(w, struct acceptor, watch);

	(void)events;
	for (unsigned turn = 0; turn < ACCEPTS_PER_TURN; turn++) {
		struct sockaddr_storage from;
		socklen_t len = sizeof from;
		struct net_address address;
		/* Not non-blocking: the session that is given the socket reads it with blocking
		 * calls. */
		int fd = accept4(w->fd, (struct sockaddr *)&from, &len, SOCK_CLOEXEC);

		if (fd >= 0) {
			if (net_address_from_sockaddr((const struct sockaddr *)&from, &address))
				acceptors.accepted(a, fd, &address);
			else
				close(fd);
			continue;
		}
		if (out_of_resources(errno)) {
			log_warn("event=accept-failed reason=\"%m\"");
			pause_all();
			return;
		}
		/* master has shut it, for a stop: it would be ready for ever. */
		if (errno == EINVAL)
			loop_unwatch(acceptors.loop, w);
		if (errno != EINTR && errno != ECONNABORTED)
			return;
	}
}

/* Whoever has room has taken its clients by now. */
static void left_due(struct timer *t)
{
	for (unsigned i = 0; i < acceptors.count && !loop_timer_is_set(&acceptors.pause); i++)
		if (acceptors.all[i].tls && acceptors.open[acceptors.all[i].service])
			accept_clients(&acceptors.all[i].watch, LOOP_READ);
	if (acceptors.tls_full)
		loop_timer_set(acceptors.loop, t, loop_now_ms(acceptors.loop) + LEFT_MS);
}

/* ---- the start ---- */

static void find_local_address(struct acceptor *a)
{
	static const uint8_t any[16];
	struct sockaddr_storage bound;
	socklen_t len = sizeof bound;

	if (getsockname(a->watch.fd, (struct sockaddr *)&bound, &len) < 0 ||
	    !net_address_from_sockaddr((const struct sockaddr *)&bound, &a->local) ||
	    memcmp(a->local.bytes, any, sizeof any) == 0)
		a->local = (struct net_address){ 0 };
}

static void take(int fd, struct view name)
{
	int on = 1;

	if (acceptors.count == ACCEPTORS_MAX)
		log_fatal("more than %d listeners", ACCEPTORS_MAX);
	struct acceptor *a = &acceptors.all[acceptors.count];

	if (!set_kind(a, name))
		return; /* another program's, such as listen.submit */
	a->watch.fd = fd;
	a->watch.ready = accept_clients;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	/* Accepted sockets inherit these. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	find_local_address(a);
	acceptors.count++;
}

void acceptors_take(void)
{
	const char *name;
	int fd;

	for (unsigned i = 0; (fd = program_fd_at("listen.", i, &name)) >= 0; i++)
		take(fd, view_skip(view_of(name), strlen("listen.")));
}

void acceptors_start(struct loop *loop, acceptor_accepted *accepted, bool shared)
{
	acceptors.shared = shared;
	acceptors.left.due = left_due;
	acceptors.loop = loop;
	acceptors.accepted = accepted;
	acceptors.pause.due = pause_over;
}

unsigned acceptors_services(void)
{
	unsigned mask = 0;

	for (unsigned i = 0; i < acceptors.count; i++)
		mask |= 1u << acceptors.all[i].service;
	return mask;
}
