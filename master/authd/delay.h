/* SPDX-License-Identifier: ISC */
/*
 * How long the answer to a failed attempt waits: a base that doubles with every failure from the
 * same network or for the same account, up to a bound, and is halved again as time goes by.
 * Successes are never delayed.
 *
 * Whoever guesses need not wait for the answer: they may leave and come again. So from a network
 * with more than a few failures only one unknown password is looked at in a while; the others are
 * told to try later. Passwords that authd remembers as right are not asked about here, so that
 * those who share the network go on working.
 */
#ifndef MASTER_AUTHD_DELAY_H
#define MASTER_AUTHD_DELAY_H

#include "lib/net/address.h"

enum {
	DELAY_MAX_MS = 30000,           /* mail clients give up soon after */
	DELAY_HALF_LIFE_MS = 5 * 60000, /* after this long, half of the failures are forgotten */
	DELAY_FREE_FAILURES = 8,        /* of a network, before its guesses are spaced */
	DELAY_FREE_FAMILIAR = 32,       /* of an address at different accounts that are known there,
	                                   before they are spaced as all others */
	DELAY_GUESSES = 8,              /* that are looked at in the time that one answer waits */
	DELAY_ENTRIES = 16384 /* networks and accounts; the one longest quiet of four neighbours
	                         makes room */
};

struct delay;

size_t delay_bytes(unsigned entries);
/* kept: as cache_new's (cache.h). */
struct delay *delay_new(unsigned entries, int64_t base_ms, void *kept);
/* Counts a failure and tells how long its answer has to wait. Networks: IPv4 /32, IPv6 /64. */
int64_t delay_failed(struct delay *d, const struct net_address *client, struct view account,
                     int64_t now_ms);
/* One of these was at an account that is known in the client's network: counts it where it is
 * another account than last time. */
void delay_failed_familiar(struct delay *d, const struct net_address *client, struct view account,
                           int64_t now_ms);
/* What is counted now: of the client's network (IPv4 /24, IPv6 /48), and of the account. */
struct delay_failures {
	unsigned network, account;
};
struct delay_failures delay_failures(struct delay *d, const struct net_address *client,
                                     struct view account, int64_t now_ms);
/* May a password that is not remembered be looked at now? By the failures of its address; where
 * those are too many, by the account's own, if it is known there, as long as not too many such
 * accounts fail there by turns. */
bool delay_lets_guess(struct delay *d, const struct net_address *client, int64_t now_ms);
bool delay_lets_familiar(struct delay *d, const struct net_address *client, struct view account,
                         int64_t now_ms);
void delay_free(struct delay **d);

#endif
