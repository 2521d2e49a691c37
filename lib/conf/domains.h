/* SPDX-License-Identifier: ISC */
/*
 * domains.map: which domains are ours.
 *
 *	example.test       mailboxes [home=%d/%u] [uid=N] [gid=N] [quota=SIZE] [rights=LIST] ...
 *	dept.example.test  relay language=de
 *	old.test           alias-of example.test
 *
 * The words after mailboxes are defaults for the users of the domain (userwords.h).
 */
#ifndef LIB_CONF_DOMAINS_H
#define LIB_CONF_DOMAINS_H

#include "lib/base/arena.h"
#include "lib/conf/map.h"
#include "lib/conf/userwords.h"

struct mapbuild;

enum domain_class {
	DOMAIN_MAILBOXES, /* its users are in users.map */
	DOMAIN_RELAY,     /* accepted and sent on by routes.map or MX */
	DOMAIN_ALIAS      /* every address is the same address at `target` */
};

struct domain {
	enum domain_class class;
	struct view target;   /* of an alias */
	struct view language; /* of reports; may be empty */
	struct user defaults; /* home is the template; uid, gid 0: mailbox.uid, mailbox.gid */
};

/* From a line of the text; strings live in the arena. */
int domain_parse(struct view text, struct arena *arena, struct domain *out, struct reason *why);
void domain_encode(const struct domain *d, struct text *out);
bool domain_decode(struct view value, struct domain *out);
/* For maps whose keys belong to a domain: it, or false with a reason that says what to do. */
bool domain_of_build(const struct mapbuild *b, struct view name, struct domain *out,
                     struct reason *why);

#endif
