/* SPDX-License-Identifier: ISC */
/*
 * What a host's refusal of RCPT says of the address: the one place where that is judged. What it
 * says decides whether the address is refused here from then on (lib/queue/refusals.h: for two
 * hours), whether a forged sender gets a report, and what report the others get.
 *
 * Half of all hosts say that nobody is there by "550 5.1.1", the others in ways of their own, and
 * each of these codes and statuses is used by some host for something else: a rate ("550 5.2.1 ...
 * receiving mail at a rate that prevents additional messages"), a full mailbox ("552 5.1.1 ...
 * overquota"), the sender's domain ("550 ... mailbox unavailable"), what a third host has said.
 *
 *   5.1.1, 5.1.10              sure by themselves
 *   5.4.1                      sure by clear words, or Exchange Online's "Recipient address
 *                              rejected: Access denied"; unknown by itself
 *   5.1.2, 5.4.4               sure by clear words; else it may be a gateway in trouble, which
 *                              cannot find its inner host: that is told
 *   5.2.1                      sure by clear words, or that it is disabled, closed and the like
 *   5.1.3, 5.1.4, 5.1.6        sure by clear words
 *   none, 5.0.0, 5.1.0, 5.3.0, sure by clear words; unknown by "mailbox unavailable", which RFC
 *   5.4.0, 5.5.0               5321 section 4.2.2 has for every 550
 *   all others                 never
 *
 * Clear words are "User unknown", "Unrouteable address", "account is disabled", "(#5.1.1)" and the
 * like. Whatever the status, nothing counts that speaks besides of a sender, a rate, a quota, a
 * list, a policy, a check, of relaying or of later, nor a text that is cut, nor a code that refuses
 * a size (552) or a command (50n).
 *
 * What is not said here is not known. To believe too much is worse than too little: a stranger who
 * brings a host to refuse others' address by a sender or a text of theirs would have their mail
 * refused here. So what the sender and we have said ourselves, which hosts quote, is no word of the
 * host's.
 */
#ifndef DELIVER_REMOTE_REFUSAL_H
#define DELIVER_REMOTE_REFUSAL_H

#include "deliver/remote/reply.h"

enum refusal {
	REFUSAL_OTHER,   /* of something else, or nobody knows of what */
	REFUSAL_UNKNOWN, /* there is no such mailbox, by this answer */
	REFUSAL_SURE     /* and whoever sends whatever to it hears the same: others may be told */
};

/* What an answer may quote. */
struct refusal_parties {
	const char *sender,
		*recipient;    /* of MAIL and RCPT; no recipient: it is no answer to RCPT */
	const char *us, *host; /* our name, the host's */
};

enum refusal refusal_judge(const struct reply *r, const struct refusal_parties *p);
/* One that is not REFUSAL_OTHER gets a status that says so to those who read no words: 5.1.1, when
 * it has none of the address or of the mailbox. The host's words stay. */
void refusal_be_precise(struct reply *r);

#endif
