/* SPDX-License-Identifier: ISC */
/*
 * smtpd: receives mail (port 25) and takes submission (587, 465), one SMTP session per process at a
 * time.
 *
 * Runs as _phsmtpd in an empty root. porter hands it clients that have been greeted and have said
 * something; TLS ends in porter. resolved says who may send and which recipients there are, authd
 * who has authenticated, and queued gives it one open file to write a message to.
 *
 * Trusts: resolved, authd, queued and porter for what is theirs to say; the client for nothing.
 * Reads:  the client's socket, the settings (before the jail).
 * Writes: the client's socket, the one spool file it was given, the log.
 *
 * Who owns a session process sees the mail of its present and (up to smtpd.reuse) next clients,
 * including passwords they type in this session's AUTH, and can put messages into the queue, with
 * an account name it was not given; it reaches no file, no key, no other message, no network. What
 * it claims about addresses queued asks resolved again.
 */
#include <sodium.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/conf/bounds.h"
#include "lib/wire/jail.h"
#include "lib/wire/worker.h"
#include "smtpd/session.h"

enum { WORKERS_MIN = 2, WORKER_IDLE_MS = 60000 };

static struct settings settings;
static struct worker worker = { .settings = &settings,
	                        .writer = { .queued = -1, .fd = -1 },
	                        .resolved = -1,
	                        .authd = { -1 },
	                        .dnsd = -1 };

/* RFC 5321 section 4.2: the greetings that porter writes, for both kinds of listener. */
static void announce(int shared_fd)
{
	static const enum connection_service services[] = { CONNECTION_SMTP,
		                                            CONNECTION_SUBMISSION };

	for (unsigned i = 0; i < 2; i++) {
		struct connection_announce a = { .service = services[i],
			                         .reuse = (uint32_t)settings.smtpd_reuse };

		string_print(a.clear, sizeof a.clear, "220 %s ESMTP\r\n", settings.host_name);
		string_print(a.secured, sizeof a.secured, "220 %s ESMTP\r\n", settings.host_name);
		string_print(a.busy, sizeof a.busy,
		             "421 4.3.2 %s too many connections, try again later\r\n",
		             settings.host_name);
		string_print(a.timeout, sizeof a.timeout,
		             "421 4.4.2 %s timeout, closing connection\r\n", settings.host_name);
		string_print(a.unavailable, sizeof a.unavailable,
		             "421 4.3.2 %s service not available, try again later\r\n",
		             settings.host_name);
		string_print(a.stopping, sizeof a.stopping, "421 4.3.2 %s is shutting down\r\n",
		             settings.host_name);
		string_print(a.early, sizeof a.early,
		             "554 5.5.1 %s protocol error: command before the greeting\r\n",
		             settings.host_name);
		connection_announce_send(shared_fd, &a);
	}
}

static void work(struct wire_in *in, int hub)
{
	struct connection connection;

	if (in->type != CONNECTION_CLIENT || !connection_get(in, &connection)) {
		log_warn("event=bad-message peer=porter type=%d", in->type);
		return;
	}
	session_run(&worker, &connection, hub);
}

int main(void)
{
	struct sandbox_profile profile = { .promises = SANDBOX_FORK };

	program_start("smtpd");
	settings_inherit(&settings);
	tzset();
	if (sodium_init() < 0)
		log_fatal("libsodium does not start");
	bounds_confine("smtpd", &settings, &profile);

	struct worker_service service = {
		.wire = "porter.connection",
		.sessions = true,
		.protocol = "connection",
		.workers_min = WORKERS_MIN,
		.workers_max = (unsigned)settings.smtpd_sessions_max,
		.in_flight = connection_in_flight_max(&settings),
		.reuse = (unsigned)settings.smtpd_reuse,
		.idle_ms = WORKER_IDLE_MS,
		.stays_for_hub = true,
		.announce = announce,
		.profile = { .descriptors_max = JAIL_DESCRIPTORS_OF_SENDER,
		             .file_bytes_max = (unsigned long)settings.message_size_max_bytes +
		                               ((unsigned long)BOUNDS_FILE_MIB_BESIDE << 20) },
		.dials = { { "resolved.resolve", "resolve" },
		           { "queued.spool", "spool" },
		           { "authd.auth", "auth" },
		           { "dnsd.dns", "dns" } },
		.work = work,
	};

	worker_run(&service);
}
