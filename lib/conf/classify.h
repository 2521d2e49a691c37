/* SPDX-License-Identifier: ISC */
/*
 * Where mail for an address goes, a single step: what one address is, without following aliases.
 * resolved asks it of compiled maps, the build of those that it is about to compile: what it warns
 * of is what resolved would do.
 *
 * Of user+detail@domain, the first that is found:
 *	the domain is an alias         the same address at its target, from here on
 *	aliases.map, the address       its targets (one that names itself means the mailbox)
 *	routes.map, the address        that transport
 *	users.map, the address         its mailbox
 *	the same three for user@domain, without the detail
 *	postmaster                     the setting postmaster
 *	aliases.map, @domain           the catch-all
 * A domain of class relay, and one that is not ours, goes by routes.map (address, domain, .parent,
 * "*"), else by MX.
 */
#ifndef LIB_CONF_CLASSIFY_H
#define LIB_CONF_CLASSIFY_H

#include "lib/base/limits.h"
#include "lib/conf/aliases.h"
#include "lib/conf/domains.h"
#include "lib/conf/maptable.h"
#include "lib/conf/routes.h"
#include "lib/conf/users.h"

enum { CLASSIFY_DOMAIN_ALIASES_MAX = 8 /* one after another */ };

/* The maps. find: the compiled value of a key, whose ASCII case does not matter; it lives as long
 * as what was found is used. */
struct classifier {
	const char *mail_domain; /* of an address without a domain */
	char delimiter;          /* of a detail: '+'; 0: none */
	enum map_result (*find)(void *context, enum map_id map, struct view key,
	                        struct view *value);
	void *context;
};

enum address_kind {
	ADDRESS_IS_NOBODY,     /* of a domain of ours, and nobody */
	ADDRESS_IS_MAILBOX,    /* user */
	ADDRESS_IS_ALIAS,      /* alias */
	ADDRESS_IS_POSTMASTER, /* goes on to the setting postmaster */
	ADDRESS_IS_ELSEWHERE,  /* relay, or not ours; route when has_route */
	ADDRESS_IS_DAMAGED     /* a map cannot be read */
};

struct classified {
	enum address_kind kind;
	enum { DOMAIN_NOT_OURS, DOMAIN_HAS_MAILBOXES, DOMAIN_IS_RELAYED } domain;
	char address[ADDRESS_MAX]; /* as the house writes it */
	struct user user;
	struct alias alias;
	struct route route;
	bool has_route;
	bool catch_all;
};

/* past_aliases: the address is a target of itself, its mailbox is meant. */
void classify(const struct classifier *c, struct view address, bool past_aliases,
              struct classified *out);
/* Splits "5.1.6 moved" off a map's text: status (text without one keeps the default). */
void classify_split_status(struct view text, const char *status, char out[STATUS_MAX],
                           struct view *rest);

#endif
