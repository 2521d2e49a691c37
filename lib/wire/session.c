/* SPDX-License-Identifier: ISC */
#include "lib/wire/session.h"

#include "lib/wire/address.h"
#include "lib/wire/owner.h"

void session_facts_put(struct wire_out *out, const struct session_facts *f)
{
	wire_put_u64(out, f->id);
	wire_put_byte(out, (uint8_t)f->service);
	wire_put_string(out, f->account);
	wire_put_address(out, &f->client);
	wire_put_byte(out, f->tls);
	wire_put_u64(out, f->stamp);
}

bool session_facts_get(struct wire_in *in, struct session_facts *f)
{
	*f = (struct session_facts){ .id = wire_get_u64(in) };
	f->service = connection_service_get(in);
	wire_get_string(in, f->account, sizeof f->account);
	wire_get_address(in, &f->client);
	f->tls = wire_get_bool(in);
	f->stamp = wire_get_u64(in);
	return !in->bad;
}

void session_facts_of(const struct owner_session *s, enum connection_service service,
                      struct session_facts *f)
{
	*f = (struct session_facts){ .id = s->id,
		                     .service = service,
		                     .client = s->client,
		                     .tls = s->tls.on,
		                     .stamp = s->stamp };
	string_put(f->account, sizeof f->account, view_of(s->address));
}
