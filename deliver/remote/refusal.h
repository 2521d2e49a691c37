/* SPDX-License-Identifier: ISC */
/*
 * What a host's refusal of RCPT says of the address: the one place where that is judged. What it
 * says decides whether the address is refused here from then on (lib/queue/refusals.h: for two
 * hours), whether a forged sender gets a report, and what report the others get.
 *
 * Half of all hosts say that nobody is there by "550 5.1.1", the others in ways of their own:
 *
 *   5.1.1 5.1.3 5.1.4 5.1.6 5.1.10   of the address, whoever sends and whatever (RFC 3463 section
 *                                    3.2, RFC 7505)
 *   5.2.1                            the mailbox is disabled
 *   5.1.2 5.4.1 5.4.4                the same as 5.1.1 where a host says it of one recipient:
 *                                    relays of a domain, and Exchange Online ("550 5.4.1 Recipient
 *                                    address rejected: Access denied" is a recipient that it does
 *                                    not have)
 *   551                              not here, without a status of its own
 *   550 553 554 bare, and 5.0.0,     by their words alone ("User unknown", "Unrouteable address",
 *   5.1.0, 5.3.0, 5.4.0, 5.5.0       "(#5.1.1)"): the same code refuses a sender that cannot be
 *                                    verified, or us
 *
 * What is not said here is not known. To believe too much is worse than too little: a stranger who
 * brings a host to refuse others' address by a sender or a text of theirs would have their mail
 * refused here. So 5.7.n (policy, relaying, our address in a list), 5.1.7, 5.1.8 (the sender), a
 * full mailbox, sizes, and words that speak of a sender, a list or a check besides never count, nor
 * what was said to anything but RCPT.
 */
#ifndef DELIVER_REMOTE_REFUSAL_H
#define DELIVER_REMOTE_REFUSAL_H

#include "deliver/remote/reply.h"

/* Of an answer to RCPT. */
bool refusal_means_unknown(const struct reply *r);
/* One that does gets a status that says so to those who read no words: 5.1.1, when it has none of
 * the address or of the mailbox. The host's words stay. */
void refusal_be_precise(struct reply *r);
/* May what is said when this one sends be believed? In a sender with a blank the words that count
 * could be the sender's own, which hosts quote. */
bool refusal_is_hosts_own(const char *sender);

#endif
