/* SPDX-License-Identifier: ISC */
/*
 * porter: the house's doors.
 *
 * Holds every listening socket, counts and limits clients, greets them with the lines that the
 * services announced, keeps them outside until they have said something, and then passes the socket
 * itself to a worker of smtpd, pop3-login or imap-login. Where TLS is spoken it does the handshake
 * and stays between client and session as a relay.
 *
 * Runs as _phporter in an empty root with no file but the certificates, opened before the jail.
 * Reads: TLS, and in clear only the PROXY header of trusted balancers. Trusts: nobody outside;
 * master for its descriptors; the session programs for greetings and for the end of a session. Asks
 * keyd for signatures and has no key.
 *
 * Who owns it sees and changes the traffic of the clients of this process, can have TLS handshakes
 * (nothing else) signed while he holds it, and can open sessions that claim any client address. He
 * gets no key, no file, no password that is not typed while he listens, and no other process's
 * sessions.
 */
#include "master/porter/porter.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/program.h"

enum {
	ACCEPTS_PER_TURN = 32,
	ACCEPT_PAUSE_MS = 1000,
	DESCRIPTORS_PER_RELAY = 2, /* beside a client's one (its socket, or its token once a session
	                              has that): TLS */
	DESCRIPTORS_OWN = 512      /* listeners, wires, workers' lines */
};

struct porter porter;

static void load_balancers(void)
{
	struct view rest = view_of(porter.settings.porter_proxy_from), entry;

	while (view_cut(&rest, ',', &entry)) {
		entry = view_trim(entry);
		if (entry.len == 0)
			continue;
		if (porter.balancer_count == PORTER_NETWORKS_MAX)
			log_fatal("porter.proxy-from holds more than %d networks",
			          PORTER_NETWORKS_MAX);
		if (!net_network_parse(entry, &porter.balancers[porter.balancer_count++]))
			log_fatal(
				"porter.proxy-from: \"%.*s\" is not a network such as 192.0.2.0/24",
				VIEW_ARG(entry));
	}
}

/* ---- listeners ---- */

static const struct {
	const char *word;
	enum connection_service service;
	bool tls;
} listener_kinds[] = {
	{ "smtp", CONNECTION_SMTP, false },
	{ "submission", CONNECTION_SUBMISSION, false },
	{ "submissions", CONNECTION_SUBMISSION, true },
	{ "pop3", CONNECTION_POP3, false },
	{ "pop3s", CONNECTION_POP3, true },
	{ "imap", CONNECTION_IMAP, false },
	{ "imaps", CONNECTION_IMAP, true },
};

static bool listener_kind(struct view name, struct listener *l)
{
	struct view word = view_take(name, view_find(name, '.'));

	for (size_t i = 0; i < sizeof listener_kinds / sizeof listener_kinds[0]; i++)
		if (view_equal(word, view_of(listener_kinds[i].word))) {
			l->service = listener_kinds[i].service;
			l->tls = listener_kinds[i].tls;
			return true;
		}
	return false;
}

static void accept_one_by_one(struct watch *w, unsigned events)
{
	struct listener *l = loop_owner(w, struct listener, watch);

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
				client_accepted(l, fd, &address);
			else
				close(fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			log_warn("event=accept-failed reason=\"%m\"");
			porter_pause_accept();
		}
		if (errno != EINTR && errno != ECONNABORTED)
			return;
	}
}

static void take_listener(int fd, const char *name)
{
	struct listener *l = &porter.listeners[porter.listener_count];
	struct sockaddr_storage bound;
	socklen_t len = sizeof bound;
	int on = 1;

	if (porter.listener_count == PORTER_LISTENERS_MAX)
		log_fatal("more than %d listeners", PORTER_LISTENERS_MAX);
	if (!listener_kind(view_skip(view_of(name), strlen("listen.")), l))
		return; /* another program's, such as listen.submit */
	l->watch.fd = fd;
	l->watch.ready = accept_one_by_one;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	/* Accepted sockets inherit these. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	static const uint8_t any[16];

	if (getsockname(fd, (struct sockaddr *)&bound, &len) < 0 ||
	    !net_address_from_sockaddr((const struct sockaddr *)&bound, &l->local) ||
	    memcmp(l->local.bytes, any, sizeof any) == 0)
		l->local = (struct net_address){ 0 };
	porter.listener_count++;
}

static void take_listeners(void)
{
	const char *name;
	int fd;

	for (unsigned i = 0; (fd = program_fd_at("listen.", i, &name)) >= 0; i++)
		take_listener(fd, name);
}

static bool may_listen(const struct listener *l)
{
	if (porter.retiring || porter.stopping || porter.accept_again.place ||
	    porter.rooms[l->service].pool == NULL)
		return false;
	/* A full process leaves TLS clients in the listener's queue for another porter. */
	return !l->tls || porter.relay_count < (unsigned)porter.settings.porter_sessions;
}

void porter_listen(void)
{
	for (unsigned i = 0; i < porter.listener_count; i++) {
		struct listener *l = &porter.listeners[i];

		if (!may_listen(l))
			loop_unwatch(porter.loop, &l->watch);
		else if (l->watch.slot == 0)
			loop_watch(porter.loop, &l->watch, LOOP_READ);
	}
}

static void accept_again(struct timer *t)
{
	(void)t;
	porter_listen();
}

void porter_pause_accept(void)
{
	loop_timer_set(porter.loop, &porter.accept_again,
	               loop_now_ms(porter.loop) + ACCEPT_PAUSE_MS);
	porter_listen();
}

/* ---- limits ---- */

/* Fewer clients are let in where the system gives too few descriptors. */
static void take_descriptor_limit(void)
{
	rlim_t own =
		DESCRIPTORS_OWN + (rlim_t)porter.settings.porter_sessions * DESCRIPTORS_PER_RELAY;
	rlim_t wanted = own + (rlim_t)porter.settings.porter_clients_max;
	struct rlimit have;

	getrlimit(RLIMIT_NOFILE, &have);
	struct rlimit raised = { wanted, have.rlim_max > wanted ? have.rlim_max : wanted };

	if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
		return;
	raised.rlim_cur = raised.rlim_max = have.rlim_max;
	setrlimit(RLIMIT_NOFILE, &raised);
	/* At least half of them for clients, however many TLS sessions the settings wish for. */
	rlim_t left = have.rlim_max > 2 * own ? have.rlim_max - own : have.rlim_max / 2;

	if ((rlim_t)porter.settings.porter_clients_max > left)
		porter.settings.porter_clients_max = (int)left;
	log_warn("event=limit porter.clients-max=%d reason=\"the system allows %ld descriptors\"",
	         porter.settings.porter_clients_max, (long)have.rlim_max);
}

static void start_limits(void)
{
	const struct limits_most most = {
		.clients = (unsigned)porter.settings.porter_clients_max,
		.per_address = (unsigned)porter.settings.porter_clients_per_address,
		.per_network = (unsigned)porter.settings.porter_clients_per_network,
		.per_second = (unsigned)porter.settings.porter_rate_per_second,
	};

	porter.limits = limits_new(&most);
}

/* ---- the end ---- */

void porter_check_end(void)
{
	if (!porter.retiring && !porter.stopping)
		return;
	if (porter.client_count == 0 || (porter.stopping && porter.relay_count == 0))
		loop_stop(porter.loop);
	else if (porter.retiring)
		pools_drop_idle(porter.outside);
}

static void close_listeners(void)
{
	porter_listen();
	for (unsigned i = 0; i < porter.listener_count; i++)
		close(porter.listeners[i].watch.fd);
	porter.listener_count = 0;
}

/* A successor listens. Those who wait outside are still served as long as there are idle workers
 * that know us. */
static void retire(int number, void *context)
{
	(void)number, (void)context;
	if (porter.retiring || porter.stopping)
		return;
	porter.retiring = true;
	close_listeners();
	pools_retire();
	log_info("event=retiring clients=%u outside=%u relays=%u", porter.client_count,
	         porter.outside, porter.relay_count);
	porter_check_end();
}

static void stop_due(struct timer *t)
{
	(void)t;
	loop_stop(porter.loop);
}

/* Sessions are told by their own programs; relays carry their last words. */
static void stop(int number, void *context)
{
	(void)number, (void)context;
	if (porter.stopping)
		return;
	porter.stopping = true;
	close_listeners();
	clients_dismiss();
	loop_timer_set(porter.loop, &porter.stop, loop_now_ms(porter.loop) + PORTER_STOP_MS);
	porter_check_end();
}

int main(void)
{
	static const struct sandbox_profile profile = { .promises = SANDBOX_ACCEPT };

	program_start("porter");
	settings_inherit(&porter.settings);
	load_balancers();
	take_listeners();
	take_descriptor_limit();
	porter_tls_start();
	start_limits();
	program_confine(&profile);
	porter.loop = loop_new();
	porter.next_id = (uint64_t)clock_wall_us();
	porter.stop.due = stop_due;
	porter.accept_again.due = accept_again;
	loop_signal(porter.loop, SIGTERM, stop, NULL);
	loop_signal(porter.loop, SIGHUP, retire, NULL);
	pools_start();
	program_ready();
	loop_run(porter.loop);
	porter_tls_stop();
	return EXIT_DONE;
}
