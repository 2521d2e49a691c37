/* SPDX-License-Identifier: ISC */
/*
 * The PROXY protocol, versions 1 and 2, as a balancer sends it before the client's first byte
 * (haproxy's proxy-protocol.txt).  A pure parser: it takes what has arrived and says whether the
 * header is complete.
 */
#ifndef MASTER_PORTER_PROXY_H
#define MASTER_PORTER_PROXY_H

#include "lib/base/reason.h"
#include "lib/net/address.h"

enum {
	PROXY_V1_MAX = 107,      /* section 2.1, with CRLF */
	PROXY_V2_MAX = 16 + 520, /* addresses and the TLVs that balancers send; longer is refused */
	PROXY_MAX = PROXY_V2_MAX
};

enum proxy_result { PROXY_DONE, PROXY_MORE, PROXY_BAD };

struct proxy {
	size_t used;  /* bytes of the header */
	bool proxied; /* false: a health check or an unknown family; the connection's own addresses
	                 count */
	struct net_address client, local;
};

/* PROXY_MORE: every byte of `arrived` belongs to the header, and more of it is to come. */
enum proxy_result proxy_parse(struct view arrived, struct proxy *out);

#endif
