/* SPDX-License-Identifier: ISC */
#include "lib/wire/owner.h"

#include <unistd.h>

#include "lib/wire/address.h"

void owner_work_put(struct wire_out *out, const struct owner_work *w)
{
	wire_begin(out, OWNER_WORK);
	wire_put_byte(out, (uint8_t)w->program);
	wire_put_u32(out, w->uid);
	wire_put_u32(out, w->gid);
	wire_put_view(out, w->rest);
	for (unsigned i = 0; i < w->fd_count; i++)
		wire_put_fd(out, w->fds[i]);
}

bool owner_work_get(struct wire_in *in, struct owner_work *w)
{
	*w = (struct owner_work){ 0 };
	uint8_t program = wire_get_byte(in);

	if (program >= OWNER_PROGRAMS)
		in->bad = true;
	else
		w->program = (enum owner_program)program;
	w->uid = wire_get_u32(in);
	w->gid = wire_get_u32(in);
	w->rest = wire_get_view(in, WIRE_MESSAGE_MAX);
	/* Any number of them is passed on; what they are is the program's to check. */
	if (!wire_get_last_fds(in, w->fds, in->fd_count))
		return false;
	w->fd_count = in->fd_count;
	return true;
}

void owner_session_put(struct wire_out *out, const struct owner_session *s)
{
	wire_begin(out, OWNER_WORK);
	wire_put_string(out, s->address);
	wire_put_string(out, s->home);
	wire_put_string(out, s->tag);
	wire_put_view(out, s->pending);
	wire_put_u64(out, s->id);
	wire_put_address(out, &s->client);
	connection_tls_put(out, &s->tls);
	wire_put_u64(out, s->quota_bytes);
	wire_put_u64(out, s->stamp);
	wire_put_byte(out, s->token >= 0);
	wire_put_fd(out, s->fd);
	if (s->token >= 0)
		wire_put_fd(out, s->token);
}

static void session_fields(struct wire_in *in, struct owner_session *s)
{
	wire_get_string(in, s->address, sizeof s->address);
	wire_get_string(in, s->home, sizeof s->home);
	wire_get_string(in, s->tag, sizeof s->tag);
	s->pending = wire_get_view(in, AUTH_PENDING_MAX);
	s->id = wire_get_u64(in);
	wire_get_address(in, &s->client);
	if (!connection_tls_get(in, &s->tls))
		in->bad = true;
	s->quota_bytes = wire_get_u64(in);
	s->stamp = wire_get_u64(in);
}

bool owner_session_get(struct wire_in *in, struct owner_session *s)
{
	*s = (struct owner_session){ .fd = -1, .token = -1 };
	session_fields(in, s);
	bool has_token = wire_get_bool(in);

	int fds[2] = { -1, -1 };
	bool good = wire_get_last_fds(in, fds, has_token ? 2 : 1);

	s->fd = fds[0];
	s->token = fds[1];
	return good;
}
