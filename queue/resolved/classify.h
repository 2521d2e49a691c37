/* SPDX-License-Identifier: ISC */
/* The single step of the address book: what one address is, without following aliases. */
#ifndef QUEUE_PLACE_H
#define QUEUE_PLACE_H

#include "queue/resolved/addressbook.h"

enum place_kind {
	PLACE_NOBODY,     /* of a domain of ours, and nobody */
	PLACE_MAILBOX,    /* user */
	PLACE_ALIAS,      /* alias */
	PLACE_POSTMASTER, /* goes on to the setting postmaster */
	PLACE_ELSEWHERE,  /* relay, or not ours; route when has_route */
	PLACE_DAMAGED     /* a map cannot be read */
};

struct place {
	enum place_kind kind;
	enum { DOMAIN_NOT_OURS, DOMAIN_HAS_MAILBOXES, DOMAIN_IS_RELAYED } domain;
	char address[RESOLVE_ADDRESS_MAX]; /* as the house writes it */
	struct user user;
	struct alias alias;
	struct route route;
	bool has_route;
	bool catch_all;
};

/* past_aliases: the address is a target of itself, its mailbox is meant. */
void place_find(struct addressbook *b, struct view address, bool past_aliases, struct place *out);
/* Splits "5.1.6 moved" off a map's text: status (text without one keeps the default). */
void place_split_status(struct view text, const char *status, char out[16], struct view *rest);

#endif
