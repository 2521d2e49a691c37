/* SPDX-License-Identifier: ISC */
#include "lib/wire/spool.h"

#include <string.h>

#include "lib/wire/address.h"

void spool_recipient_put(struct wire_out *out, const struct spool_recipient *r)
{
	wire_put_string(out, r->address);
	wire_put_byte(out, r->notify);
	wire_put_string(out, r->orcpt);
}

bool spool_recipient_get(struct wire_in *in, struct spool_recipient *r)
{
	wire_get_string(in, r->address, sizeof r->address);
	r->notify = wire_get_byte(in);
	wire_get_string(in, r->orcpt, sizeof r->orcpt);
	return !in->bad && r->notify < 16;
}

void spool_envelope_put(struct wire_out *out, const struct spool_envelope *e)
{
	wire_begin(out, SPOOL_COMMIT);
	wire_put_byte(out, (uint8_t)e->origin);
	wire_put_string(out, e->sender);
	wire_put_string(out, e->account);
	wire_put_address(out, &e->client);
	wire_put_string(out, e->helo);
	wire_put_byte(out, e->eight_bit);
	wire_put_byte(out, (uint8_t)e->ret);
	wire_put_string(out, e->envid);
	wire_put_u64(out, e->message_bytes);
	wire_put_u16(out, e->hops);
	wire_put_view(out, (struct view){ (const char *)e->checksum, sizeof e->checksum });
}

bool spool_envelope_get(struct wire_in *in, struct spool_envelope *e)
{
	uint8_t origin = wire_get_byte(in);

	e->origin = (enum spool_origin)origin;
	wire_get_string(in, e->sender, sizeof e->sender);
	wire_get_string(in, e->account, sizeof e->account);
	wire_get_address(in, &e->client);
	wire_get_string(in, e->helo, sizeof e->helo);
	e->eight_bit = wire_get_bool(in);
	e->ret = (char)wire_get_byte(in);
	wire_get_string(in, e->envid, sizeof e->envid);
	e->message_bytes = wire_get_u64(in);
	e->hops = wire_get_u16(in);
	struct view checksum = wire_get_view(in, sizeof e->checksum);

	if (in->bad || origin > SPOOL_BOUNCE || checksum.len != sizeof e->checksum)
		return false;
	memcpy(e->checksum, checksum.data, sizeof e->checksum);
	return e->ret == 0 || e->ret == 'F' || e->ret == 'H';
}

void spool_refusal_put(struct wire_out *out, const struct spool_refusal *r)
{
	wire_begin(out, SPOOL_REFUSED);
	wire_put_byte(out, r->permanent);
	wire_put_string(out, r->status);
	wire_put_string(out, r->text);
}

bool spool_refusal_get(struct wire_in *in, struct spool_refusal *r)
{
	r->permanent = wire_get_bool(in);
	wire_get_string(in, r->status, sizeof r->status);
	wire_get_string(in, r->text, sizeof r->text);
	return wire_end(in);
}
