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
 *   5.1.2 5.4.4                      the same as 5.1.1 where a host says it of one recipient:
 *                                    relays of a domain
 *   5.4.1                            the same with "recipient address": Exchange Online ("550 5.4.1
 *                                    Recipient address rejected: Access denied" is a recipient
 *                                    that it does not have)
 *   5.2.1                            with words that say so the mailbox is closed, for good
 *   550 551 553 554 bare, and 5.0.0, by their words alone ("User unknown", "Unrouteable address",
 *   5.1.0, 5.3.0, 5.4.0, 5.5.0       "(#5.1.1)"): the same code refuses a sender that cannot be
 *                                    verified, or us
 *
 * What is not said here is not known, and no status is believed against words that speak of a
 * sender, a list, a policy, a rate, a quota, another host's answer or of later: hosts put
 * "552 5.1.1 mailbox full" and "550 5.2.1 receiving mail at a rate that prevents" before us. To
 * believe too much is worse than too little: a stranger who brings a host to refuse others' address
 * by a sender, a text or a flood of theirs would have their mail refused here.
 * So 5.7.n, 5.1.7, 5.1.8 (the sender), codes that are no refusal of an address (552), and what was
 * said to anything but RCPT never count. What is believed too little costs a message to an address
 * that does not exist: it is taken and dropped as the first one was.
 */
#ifndef DELIVER_REMOTE_REFUSAL_H
#define DELIVER_REMOTE_REFUSAL_H

#include "deliver/remote/reply.h"

/* Of an answer to RCPT. */
bool refusal_means_unknown(const struct reply *r);
/* One that does gets a status that says so to those who read no words: 5.1.1, when it has none of
 * the address or of the mailbox. The host's words stay. */
void refusal_be_precise(struct reply *r);
/* May what is said when this one sends be believed? Hosts quote the sender, also without its
 * quotes, and the words that count could be its own: each has a blank, or is "#5.1.1". So not with
 * a blank, with what may stand for one, or with that sign. */
bool refusal_is_hosts_own(const char *sender);

#endif
