/* SPDX-License-Identifier: ISC */
#include "lib/wire/connection.h"

#include <assert.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/conf/settings.h"
#include "lib/wire/address.h"

static const char *const service_names[] = { "smtp", "submission", "pop3", "imap" };
static_assert(sizeof service_names / sizeof *service_names == CONNECTION_SERVICES,
              "a name for each service");

const char *connection_service_name(enum connection_service service)
{
	return service < CONNECTION_SERVICES ? service_names[service] : "?";
}

const char *connection_service_program(enum connection_service service)
{
	static const char *const programs[CONNECTION_SERVICES] = {
		[CONNECTION_SMTP] = "smtpd",
		[CONNECTION_SUBMISSION] = "smtpd",
		[CONNECTION_POP3] = "pop3-login",
		[CONNECTION_IMAP] = "imap-login",
	};

	return programs[service];
}

enum connection_service connection_service_get(struct wire_in *in)
{
	uint8_t service = wire_get_byte(in);

	if (service >= CONNECTION_SERVICES) {
		in->bad = true;
		return CONNECTION_SMTP;
	}
	return (enum connection_service)service;
}

void connection_announce_put(struct wire_out *out, const struct connection_announce *a, int made)
{
	wire_begin(out, CONNECTION_ANNOUNCE);
	wire_put_byte(out, (uint8_t)a->service);
	wire_put_u32(out, a->reuse);
	wire_put_string(out, a->clear);
	wire_put_string(out, a->secured);
	wire_put_string(out, a->busy);
	wire_put_string(out, a->timeout);
	wire_put_string(out, a->unavailable);
	wire_put_string(out, a->stopping);
	wire_put_string(out, a->early);
	wire_put_fd(out, made);
}

void connection_announce_send(int shared_fd, const struct connection_announce *a)
{
	struct wire_out out = { 0 };
	int made[2];

	if (wire_pair(made) < 0)
		log_fatal("making a pair of sockets: %m");
	connection_announce_put(&out, a, made[0]);
	if (wire_send(shared_fd, &out) != WIRE_OK)
		log_fatal("announcing the greeting to porter: %m");
	wire_out_free(&out);
	close(made[0]);
	close(made[1]);
}

bool connection_announce_get(struct wire_in *in, struct connection_announce *a)
{
	a->service = connection_service_get(in);
	a->reuse = wire_get_u32(in);
	wire_get_string(in, a->clear, sizeof a->clear);
	wire_get_string(in, a->secured, sizeof a->secured);
	wire_get_string(in, a->busy, sizeof a->busy);
	wire_get_string(in, a->timeout, sizeof a->timeout);
	wire_get_string(in, a->unavailable, sizeof a->unavailable);
	wire_get_string(in, a->stopping, sizeof a->stopping);
	wire_get_string(in, a->early, sizeof a->early);
	int made = wire_get_last_fd(in);

	a->parent = made >= 0 ? wire_maker(made) : 0;
	if (made >= 0)
		close(made);
	return in->type == CONNECTION_ANNOUNCE && wire_end(in);
}

void connection_tls_put(struct wire_out *out, const struct connection_tls *tls)
{
	wire_put_byte(out, tls->on);
	wire_put_string(out, tls->version);
	wire_put_string(out, tls->cipher);
	wire_put_u16(out, tls->bits);
	wire_put_string(out, tls->server_name);
}

bool connection_tls_get(struct wire_in *in, struct connection_tls *tls)
{
	tls->on = wire_get_bool(in);
	wire_get_string(in, tls->version, sizeof tls->version);
	wire_get_string(in, tls->cipher, sizeof tls->cipher);
	tls->bits = wire_get_u16(in);
	wire_get_string(in, tls->server_name, sizeof tls->server_name);
	return !in->bad;
}

void connection_put(struct wire_out *out, const struct connection *c)
{
	wire_begin(out, CONNECTION_CLIENT);
	wire_put_u64(out, c->id);
	wire_put_byte(out, (uint8_t)c->service);
	wire_put_address(out, &c->client);
	wire_put_address(out, &c->local);
	connection_tls_put(out, &c->tls);
	wire_put_byte(out, c->tls_offered);
	wire_put_byte(out, c->token >= 0);
	wire_put_fd(out, c->fd);
	if (c->token >= 0)
		wire_put_fd(out, c->token);
}

bool connection_get(struct wire_in *in, struct connection *c)
{
	c->id = wire_get_u64(in);
	c->service = connection_service_get(in);
	wire_get_address(in, &c->client);
	wire_get_address(in, &c->local);
	connection_tls_get(in, &c->tls);
	c->tls_offered = wire_get_bool(in);
	bool has_token = wire_get_bool(in);

	int fds[2] = { -1, -1 };

	if (in->type != CONNECTION_CLIENT)
		in->bad = true;
	bool good = wire_get_last_fds(in, fds, has_token ? 2 : 1);

	c->fd = fds[0];
	c->token = fds[1];
	return good;
}

void connection_secured_put(struct wire_out *out, const struct connection_tls *tls, int fd)
{
	wire_begin(out, CONNECTION_SECURED);
	connection_tls_put(out, tls);
	wire_put_fd(out, fd);
}

bool connection_secured_get(struct wire_in *in, struct connection_tls *tls, int *fd)
{
	bool good = in->type == CONNECTION_SECURED && connection_tls_get(in, tls) && tls->on;

	*fd = good ? wire_get_last_fd(in) : -1;
	return *fd >= 0;
}

unsigned connection_in_flight_max(const struct settings *settings)
{
	enum { PER_SESSION = 2 }; /* its client and its token */

	/* smtpd, pop3-login and imap-login. */
	return PER_SESSION * ((unsigned)settings->smtpd_sessions_max +
	                      2 * (unsigned)settings->login_sessions_max);
}

void connection_progress(int hub, enum connection_progress progress)
{
	static struct wire_out out; /* its memory is kept */

	wire_begin(&out, CONNECTION_PROGRESS);
	wire_put_byte(&out, (uint8_t)progress);
	if (wire_send(hub, &out) != WIRE_OK)
		log_debug("event=untold peer=porter reason=\"%m\"");
}

void connection_spoken(int hub, int64_t *told_ms)
{
	int64_t now_ms = clock_ms();

	if (now_ms - *told_ms < CONNECTION_SPOKEN_MS)
		return;
	*told_ms = now_ms;
	connection_progress(hub, CONNECTION_STANDS);
}

bool connection_starttls(int hub, int *fd, struct connection_tls *tls)
{
	struct wire_out out = { 0 };
	struct wire_in in;

	wire_begin(&out, CONNECTION_STARTTLS);
	wire_put_fd(&out, *fd);
	enum wire_result r = wire_call(hub, &out, &in, CONNECTION_SECURED_WAIT_MS);

	int given_back = *fd;
	/* Why it failed porter has told the log. */
	bool failed = r == WIRE_OK && in.type == CONNECTION_NOT_SECURED;

	*tls = (struct connection_tls){ 0 };
	*fd = -1;
	bool secured = r == WIRE_OK && connection_secured_get(&in, tls, fd);

	if (!secured && !failed)
		log_warn("event=starttls-lost reason=\"%s\"", log_text(view_of(wire_reason(r))));
	wire_out_free(&out);
	wire_in_close(&in);
	close(given_back);
	return secured;
}
