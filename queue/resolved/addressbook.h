/* SPDX-License-Identifier: ISC */
/*
 * What the maps say of an address: may it send, is it a recipient, where does its mail go.
 * resolved's core: reads the maps of one generation, and for RCPT from strangers what deliveries
 * have taught; decides the same for the same question, sends nothing.
 * Where mail for one address goes is lib/conf/classify.h's.
 */
#ifndef QUEUE_RESOLVED_ADDRESSBOOK_H
#define QUEUE_RESOLVED_ADDRESSBOOK_H

#include "lib/conf/access.h"
#include "lib/conf/expansion.h"
#include "lib/conf/settings.h"
#include "lib/queue/refusals.h"

enum {
	/* Looked at for a verdict; an alias where so many lead nowhere is taken to lead somewhere.
	 */
	ADDRESSBOOK_ENDS_MAX = 100,
	ADDRESSBOOK_JUDGED_MAX = 256
};

/* Of aliases that take mail, what expansion_collect says of the whole, as far as RCPT has asked:
 * neither they nor the maps change, and a list is long. alias: the entry, by the place of its
 * targets. */
struct judged {
	const void *alias; /* NULL: none */
	enum expansion_verdict verdict;
};

struct addressbook {
	struct map maps[MAPS];        /* those that maps.def gives to resolved */
	struct classifier classifier; /* of maps */
	const char *postmaster;
	bool host_names;   /* the access map has names of hosts */
	bool sender_names; /* ... and senders */
	bool own_senders;  /* accounts send as themselves only */
	uint16_t smtp_port;
	struct judged judged[ADDRESSBOOK_JUDGED_MAX];
	struct refusals refusals; /* what queued has learnt; refusals_begin is the caller's */
};

void addressbook_settings(struct addressbook *b, const struct settings *s);
/* `maps` has just been opened by the caller, or replaced: what was learnt of others is forgotten.
 */
void addressbook_maps(struct addressbook *b);

/* answer->question is the caller's. */
void addressbook_client(struct addressbook *b, const struct resolve_question *q,
                        struct resolve_answer *answer);
void addressbook_sender(struct addressbook *b, const struct resolve_question *q,
                        struct resolve_answer *answer);
void addressbook_recipient(struct addressbook *b, const struct resolve_question *q,
                           struct resolve_answer *answer);

/* Does mail for it arrive anywhere, and can queued expand it (ends.c)?  verdict, status and text of
 * the answer, and nothing else. */
void addressbook_ends(struct addressbook *b, const struct resolve_question *q,
                      const struct classified *place, struct resolve_answer *answer);

/* Where mail for this one goes that is no alias any more: AGENT_NONE and why, or an agent and what
 * it needs. */
void addressbook_target(struct addressbook *b, const struct classified *place,
                        struct resolve_target *t);

/* Calls emit for every final recipient, `last` set on the last; at least once. question in the
 * targets is 0. */
void addressbook_expand(struct addressbook *b, struct view address,
                        void (*emit)(void *context, const struct resolve_target *t), void *context);

#endif
