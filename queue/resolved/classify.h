/* SPDX-License-Identifier: ISC */
/* The single step of the address book: what one address is, without following aliases. */
#ifndef QUEUE_RESOLVED_CLASSIFY_H
#define QUEUE_RESOLVED_CLASSIFY_H

#include "queue/resolved/addressbook.h"

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
	char address[RESOLVE_ADDRESS_MAX]; /* as the house writes it */
	struct user user;
	struct alias alias;
	struct route route;
	bool has_route;
	bool catch_all;
};

/* past_aliases: the address is a target of itself, its mailbox is meant. */
void classify(struct addressbook *b, struct view address, bool past_aliases,
              struct classified *out);
/* Splits "5.1.6 moved" off a map's text: status (text without one keeps the default). */
void classify_split_status(struct view text, const char *status, char out[STATUS_MAX],
                           struct view *rest);

#endif
