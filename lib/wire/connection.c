/* SPDX-License-Identifier: ISC */
#include "lib/wire/connection.h"

#include <unistd.h>

#include "lib/wire/address.h"

static const char *const service_names[] = { "smtp", "submission", "pop3", "imap" };

_Static_assert(sizeof service_names / sizeof service_names[0] == CONNECTION_SERVICES, "a name for each service");

const char *connection_service_name(enum connection_service service)
{
	return service_names[service];
}

static enum connection_service service_get(struct wire_in *in)
{
	uint8_t service = wire_get_byte(in);

	if (service >= CONNECTION_SERVICES) {
		in->bad = true;
		service = 0;
	}
	return (enum connection_service)service;
}

void connection_announce_put(struct wire_out *out, const struct connection_announce *a)
{
	wire_begin(out, CONNECTION_ANNOUNCE);
	wire_put_byte(out, (uint8_t)a->service);
	wire_put_string(out, a->clear);
	wire_put_string(out, a->secured);
	wire_put_string(out, a->busy);
}

bool connection_announce_get(struct wire_in *in, struct connection_announce *a)
{
	*a = (struct connection_announce){ .service = service_get(in) };
	wire_get_string(in, a->clear, sizeof a->clear);
	wire_get_string(in, a->secured, sizeof a->secured);
	wire_get_string(in, a->busy, sizeof a->busy);
	return wire_end(in);
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
	*tls = (struct connection_tls){ .on = wire_get_bool(in) };
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
	*c = (struct connection){ .id = wire_get_u64(in), .fd = -1, .token = -1 };
	c->service = service_get(in);
	wire_get_address(in, &c->client);
	wire_get_address(in, &c->local);
	connection_tls_get(in, &c->tls);
	c->tls_offered = wire_get_bool(in);
	bool has_token = wire_get_bool(in);

	c->fd = wire_get_fd(in);
	if (has_token)
		c->token = wire_get_fd(in);
	if (wire_end(in))
		return true;
	if (c->fd >= 0)
		close(c->fd);
	if (c->token >= 0)
		close(c->token);
	c->fd = c->token = -1;
	return false;
}

bool connection_starttls(int hub, int *fd, struct connection_tls *tls)
{
	/* porter gives a handshake its own, shorter deadline; this one is against a porter that hangs. */
	enum { STARTTLS_PATIENCE_MS = 120000 };
	struct wire_out out = { 0 };
	struct wire_in in;

	wire_begin(&out, CONNECTION_STARTTLS);
	wire_put_fd(&out, *fd);
	enum wire_result r = wire_call(hub, &out, &in, STARTTLS_PATIENCE_MS);

	wire_out_free(&out);
	close(*fd);
	*fd = -1;
	if (r != WIRE_OK)
		return false;
	bool secured = in.type == CONNECTION_SECURED && connection_tls_get(&in, tls);

	if (secured)
		*fd = wire_get_fd(&in);
	secured = secured && wire_end(&in);
	wire_in_close(&in);
	if (!secured && *fd >= 0) {
		close(*fd);
		*fd = -1;
	}
	return secured;
}
