/* SPDX-License-Identifier: ISC */
/*
 * How long the answer to a failed attempt waits: a base that doubles with every failure from the same network or
 * for the same account, up to a bound, and is halved again as time goes by.  Successes are never delayed, so
 * that nobody is locked out by another's guessing.
 */
#ifndef MASTER_AUTHD_DELAY_H
#define MASTER_AUTHD_DELAY_H

#include "lib/net/address.h"

enum {
	DELAY_MAX_MS = 30000,          /* mail clients give up soon after */
	DELAY_HALF_LIFE_MS = 5 * 60000, /* after this long, half of the failures are forgotten */
	DELAY_ENTRIES = 16384          /* networks and accounts; the one longest quiet of four neighbours makes room */
};

struct delay;

struct delay *delay_new(unsigned entries, int64_t base_ms);
/* Counts a failure and tells how long its answer has to wait. Networks: IPv4 /32, IPv6 /64. */
int64_t delay_failed(struct delay *d, const struct net_address *client, struct view account, int64_t now_ms);
void delay_free(struct delay **d);

#endif
