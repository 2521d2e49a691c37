/* SPDX-License-Identifier: ISC */
#include "lib/wire/address.h"

static unsigned family_bytes(uint8_t family)
{
	return family == 4 ? 4 : family == 6 ? 16 : 0;
}

void wire_put_address(struct wire_out *out, const struct net_address *a)
{
	wire_put_byte(out, a->family);
	for (unsigned i = 0; i < family_bytes(a->family); i++)
		wire_put_byte(out, a->bytes[i]);
	wire_put_u16(out, a->port);
}

void wire_get_address(struct wire_in *in, struct net_address *a)
{
	*a = (struct net_address){ .family = wire_get_byte(in) };
	if (a->family != 0 && a->family != 4 && a->family != 6)
		in->bad = true;
	for (unsigned i = 0; i < family_bytes(a->family); i++)
		a->bytes[i] = wire_get_byte(in);
	a->port = wire_get_u16(in);
}
