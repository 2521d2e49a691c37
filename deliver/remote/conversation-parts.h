/* SPDX-License-Identifier: ISC */
/* What conversation.c (the line, opening) and transaction.c (a message) have in common: answers,
 * and to what they belong. `what` names the command in the words of a reply. */
#ifndef DELIVER_REMOTE_CONVERSATION_PARTS_H
#define DELIVER_REMOTE_CONVERSATION_PARTS_H

#include "deliver/remote/conversation.h"

/* Code 0, and the host has nothing to do with it. */
void own_fault(struct reply *r, const char *what, const char *why);
/* A host that answered what nobody had asked, or not what was asked: from here on no answer can be
 * attributed, the earlier ones neither. Always false. */
bool out_of_step(struct conversation *c, const char *what, struct reply *r);
/* Has nothing come that was not asked for, neither read yet nor still with the kernel? */
bool nothing_unasked(struct conversation *c);
/* Before a command: what is there already is no answer to it. Only 421 may come unasked (RFC 5321
 * section 3.8), and the end. false: *r says what came, the conversation is broken. */
bool in_step(struct conversation *c, const char *what, struct reply *r);
/* The answer to a command, of a class that this command can have (RFC 5321 section 4.3.2): 2yz, or
 * 354 when `go_on`; 4yz; 5yz. false: the conversation is broken, *r says how. */
bool read_answer(struct conversation *c, const char *what, bool go_on, struct reply *r);
/* A refusal that has no status of its own gets one of what it is about ("3.2"): its class stays. */
void be_precise(struct reply *r, const char *subject);

#endif
