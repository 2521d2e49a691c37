/* SPDX-License-Identifier: ISC */
/* For the targets pop3_login and imap_login: a whole session of the program's own code over a
 * socket, with porter played here, and an authd that is never there. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/program.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 60000 };

static struct settings settings;

/* Descriptors as from master; authd's wire has nobody at its other end, and neither has the log. */
static void login_prepare(void)
{
	int wire[2], log_ends[2];
	char list[64];

	if (wire_pair(wire) < 0 || socketpair(AF_UNIX, SOCK_DGRAM, 0, log_ends) < 0)
		abort();
	close(wire[1]);
	close(log_ends[1]);
	snprintf(list, sizeof list, "authd.auth=%d,log=%d", wire[0], log_ends[0]);
	setenv("POSTHOUSE_FDS", list, 1);
	program_start("fuzz");
	prctl(PR_SET_PDEATHSIG, 0);
	settings_default(&settings);
	settings.login_timeout_ms = 10000;
}

static void login_fuzz(enum connection_service service, const uint8_t *data, size_t size)
{
	static bool prepared;
	int client[2], hub[2], room = 4 * INPUT_BYTES_MAX;
	struct wire_out out = { 0 };

	if (!prepared)
		login_prepare();
	prepared = true;
	/* The first byte: with TLS, offered, or neither. */
	if (size < 1 || size > INPUT_BYTES_MAX || socketpair(AF_UNIX, SOCK_STREAM, 0, client) < 0 ||
	    wire_pair(hub) < 0)
		return;
	struct connection c = { .service = service,
		                .tls.on = data[0] & 1,
		                .tls_offered = data[0] & 2,
		                .fd = client[1],
		                .token = -1 };

	setsockopt(client[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	setsockopt(client[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	if (send(client[0], data + 1, size - 1, MSG_DONTWAIT) < 0 && size > 1)
		abort();
	shutdown(client[0], SHUT_WR);
	connection_put(&out, &c);
	struct wire_in in = { .type = CONNECTION_CLIENT,
		              .rest = view_skip(text_view(&out.bytes), 1),
		              .fds = { client[1] },
		              .fd_count = 1 };

	/* A handshake is asked of nobody and so fails at once. */
	close(hub[1]);
	login_serve(&protocol, &settings, &in, hub[0]);
	wire_out_free(&out);
	close(client[0]);
	close(hub[0]);
}
