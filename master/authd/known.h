/* SPDX-License-Identifier: ISC */
/*
 * Which accounts have logged in from which networks, so that a crowd of guesses does not keep their
 * passwords waiting: they are the ones that are likely to be right.
 *
 * Networks are those of a line or a small house (IPv4 /24, IPv6 /48): a phone that has another
 * address each day is known all the same. Entries are keyed digests.
 */
#ifndef MASTER_AUTHD_KNOWN_H
#define MASTER_AUTHD_KNOWN_H

#include "lib/base/recent.h"
#include "lib/wire/auth.h"
#include "master/authd/delay.h"
#include "master/authd/waiting.h"

enum {
	KNOWN_ENTRIES = 65536, /* of four neighbours the one longest unused makes room */
	KNOWN_DAYS = 30,
	KNOWN_FREE_FAILURES = 8 /* of a network in which somebody is known */
};

/* kept: as recent_new's. */
struct recent *known_new(unsigned entries, void *kept);
/* This account has logged in from there. */
void known_add(struct recent *known, const struct net_address *client, struct view account,
               int64_t now_ms);
/*
 * How likely is it that a password of this account from there is right?
 *
 *	FAMILIAR   it has logged in from this network, whatever failed there since
 *	CLEAN      neither network nor account have failures; or few came from a network where
 *	           somebody has logged in
 *	DOUBTFUL   the others
 */
enum trust known_trust(const struct recent *known, const struct net_address *client,
                       struct view account, const struct delay_failures *failures, int64_t now_ms);

#endif
