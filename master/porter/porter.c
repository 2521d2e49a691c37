/* SPDX-License-Identifier: ISC */
/*
 * porter: takes the connections from the network.
 *
 * Holds every listening socket, counts and limits clients, greets them with the lines that the
 * session programs announced, keeps them until they have said something, and then passes the socket
 * itself to a worker of smtpd, pop3-login or imap-login. Where TLS is spoken it does the handshake
 * and stays between client and session as a relay; of a session in clear it keeps the socket, to
 * end that when all workers are taken and the client makes no progress. client.c decides what a
 * client needs next; the other files have each a part of that and do not know each other.
 *
 * Runs as _phporter in an empty root with no file but the certificates, opened before the jail.
 * Reads: TLS, and in clear only the PROXY header of trusted balancers. Trusts: nobody outside;
 * master for its descriptors; the session programs for greetings and for the end of a session. Asks
 * keyd for signatures and has no key.
 *
 * Who owns it sees and changes the traffic of the clients of this process, can have TLS handshakes
 * (nothing else) signed while they hold it, and can open sessions that claim any client address.
 * They get no key, no file, no password that is not typed while they listen, and no other process's
 * sessions.
 */
#include <signal.h>
#include <sys/resource.h>

#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/conf/bounds.h"
#include "lib/conf/settings.h"
#include "lib/wire/master.h"
#include "master/porter/acceptor.h"
#include "master/porter/client.h"
#include "master/porter/tls.h"

enum {
	DESCRIPTORS_PER_RELAY = 2, /* beside a client's one (its socket, or its token once it has
	                              logged in): TLS */
	DESCRIPTORS_OWN = 512      /* listeners, wires */
};

/* Of pop3-login and imap-login. */
static rlim_t logins(const struct settings *settings)
{
	return 2 * (rlim_t)settings->login_sessions_max;
}

/* A line to each worker; and of a client that logs in both its socket and its token. */
static rlim_t for_workers(const struct settings *settings)
{
	return (rlim_t)settings->smtpd_sessions_max + 2 * logins(settings);
}

/* Fewer clients are let in where the system gives too few descriptors. */
static void take_descriptor_limit(struct settings *settings)
{
	rlim_t own = DESCRIPTORS_OWN + for_workers(settings) +
	             (rlim_t)settings->porter_sessions * DESCRIPTORS_PER_RELAY;
	rlim_t wanted = own + (rlim_t)settings->porter_clients_max;
	rlim_t have = program_raise_descriptors(wanted);

	if (have >= wanted)
		return;
	/* At least half of them for clients, however many TLS sessions the settings wish for. */
	rlim_t left = have > 2 * own ? have - own : have / 2;
	/* Where there are very few, all clients may be in sessions: a socket, a line to the worker
	 * and a token each. */
	rlim_t in_sessions = (have - have / 4) / 3;

	if (in_sessions < for_workers(settings) && in_sessions < left)
		left = in_sessions;
	if ((rlim_t)settings->porter_clients_max > left)
		settings->porter_clients_max = (int)left;
	log_warn("event=limit porter.clients-max=%d reason=\"the system allows %ld descriptors\"",
	         settings->porter_clients_max, (long)have);
}

static struct limits *start_limits(const struct settings *settings)
{
	const struct limits_most most = {
		.clients = (unsigned)settings->porter_clients_max,
		.per_address = (unsigned)settings->porter_clients_per_address,
		.per_network = (unsigned)settings->porter_clients_per_network,
		.per_second = (unsigned)settings->porter_rate_per_second,
	};

	return limits_new(&most);
}

static void find_balancers(const struct settings *settings, struct networks *balancers)
{
	struct reason why;

	if (networks_parse(view_of(settings->porter_proxy_from), balancers, &why) < 0)
		log_fatal("porter.proxy-from: %s", why.text);
}

/* ---- order of service ---- */

static void retire(int number, void *context)
{
	(void)number, (void)context;
	clients_retire();
}

static void stop(int number, void *context)
{
	(void)number, (void)context;
	clients_stop();
}

int main(void)
{
	static const struct sandbox_profile profile = { .promises = SANDBOX_ACCEPT };
	static struct settings settings;
	static struct networks balancers;

	program_start("porter");
	settings_inherit(&settings);
	find_balancers(&settings, &balancers);
	acceptors_take();
	take_descriptor_limit(&settings);
	tls_start(settings.tls_minimum);
	struct limits *limits = start_limits(&settings);

	bounds_confine("porter", &settings, &profile);
	struct loop *loop = loop_new();

	loop_signal(loop, SIGTERM, stop, NULL);
	loop_signal(loop, SIGHUP, retire, NULL);
	clients_start(&(struct clients_setup){ loop, &settings, limits, &balancers });
	master_tell_ready(loop);
	loop_run(loop);
	tls_stop();
	return EXIT_DONE;
}
