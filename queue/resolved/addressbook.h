/* SPDX-License-Identifier: ISC */
/*
 * What the maps say of an address: may it send, is it a recipient, where does its mail go.
 * resolved's core: reads the maps of one generation and nothing else, decides the same for the same
 * question, sends nothing.
 *
 * Where mail for user+detail@domain goes, the first that is found:
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
#ifndef QUEUE_RESOLVED_ADDRESSBOOK_H
#define QUEUE_RESOLVED_ADDRESSBOOK_H

#include "lib/conf/access.h"
#include "lib/conf/aliases.h"
#include "lib/conf/domains.h"
#include "lib/conf/maptable.h"
#include "lib/conf/routes.h"
#include "lib/conf/settings.h"
#include "lib/conf/users.h"
#include "lib/wire/resolve.h"

enum {
	ADDRESSBOOK_DOMAIN_ALIASES_MAX = 8, /* one after another */
	ADDRESSBOOK_DEPTH_MAX = 32,         /* aliases in aliases */
	ADDRESSBOOK_LOOKUPS_MAX = 50000     /* addresses that one expansion looks at */
};

struct addressbook {
	struct map maps[MAPS]; /* those that maps.def gives to resolved */
	const char *mail_domain, *postmaster;
	char delimiter;    /* of a detail: '+'; 0: none */
	bool host_names;   /* the access map has names of hosts: the caller asks access_has_names */
	bool sender_names; /* ... and senders */
	bool own_senders;  /* accounts send as themselves only */
	uint16_t smtp_port;
};

/* The settings' part; the maps are opened by the caller. */
void addressbook_settings(struct addressbook *b, const struct settings *s);

/* answer->question is the caller's. */
void addressbook_client(struct addressbook *b, const struct resolve_question *q,
                        struct resolve_answer *answer);
void addressbook_sender(struct addressbook *b, const struct resolve_question *q,
                        struct resolve_answer *answer);
void addressbook_recipient(struct addressbook *b, const struct resolve_question *q,
                           struct resolve_answer *answer);

/* Calls emit for every final recipient, `last` set on the last; at least once. question in the
 * targets is 0. */
void addressbook_expand(struct addressbook *b, struct view address,
                        void (*emit)(void *context, const struct resolve_target *t), void *context);

#endif
