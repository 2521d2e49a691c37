/* SPDX-License-Identifier: ISC */
/* An Internet address as a field of a message: one byte of family, then 0, 4 or 16 bytes, then the
 * port. */
#ifndef LIB_WIRE_ADDRESS_H
#define LIB_WIRE_ADDRESS_H

#include "lib/net/address.h"
#include "lib/wire/wire.h"

void wire_put_address(struct wire_out *out, const struct net_address *a);
/* A family other than 0, 4 or 6 is bad. */
void wire_get_address(struct wire_in *in, struct net_address *a);

#endif
