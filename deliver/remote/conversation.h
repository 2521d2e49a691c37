/* SPDX-License-Identifier: ISC */
/*
 * One conversation with a mail host, as a client of SMTP (RFC 5321) or LMTP (RFC 2033): opened
 * once, used for any number of messages.
 */
#ifndef DELIVER_REMOTE_CONVERSATION_H
#define DELIVER_REMOTE_CONVERSATION_H

#include "deliver/remote/clienttls.h"
#include "deliver/remote/refusal.h"
#include "lib/net/address.h"
#include "lib/wire/job.h"

struct conversation_limits {
	int connect_ms, command_ms, data_ms;
};

struct conversation {
	struct stream stream; /* fd -1: none */
	struct clienttls *tls;
	bool lmtp;
	char host[RESOLVE_HOST_MAX]; /* its name, for SNI, log and reports */
	char address[NET_ADDRESS_TEXT_MAX];
	struct net_address to; /* the same, with its port */
	struct extensions extensions;
	unsigned messages; /* sent so far */
	int connect_error; /* errno of a host that was not reached, 0 of one that was */
	bool unprotected;  /* it offers TLS, which failed: we speak in clear */
	bool kept;         /* it has been idle: what it says now may be a goodbye, not an answer */
	bool broken;       /* closed, or out of step: of no further use */
	bool heard;        /* it has answered, in TLS when there is TLS */
	bool ended;        /* it closed without that */
	bool garbled;      /* broken, since an answer was no SMTP reply */
	bool text_said;    /* a message has been handed over, and is to be answered */
	bool damaged;      /* what was read of the message has another checksum */
	bool ourselves;    /* it calls itself by our name */
	bool out_of_step;  /* it answered what it was not asked: no answer of it counts */
	int wanted_by;     /* the caller's: the wire of who wants the message delivered; once it is
	                      closed no text is begun, since it will be given to another agent */
	/* The caller's: what its refusals are worth. */
	bool took;  /* a moment ago it took what it is offered now, the message or these recipients:
	               only for the moment can it refuse them, but who is not there is not there */
	bool waits; /* another host has put off these recipients, or the message, or may know
	               better: nothing is refused here for good, an address neither */
	bool worse; /* it is not the first choice: of an address it teaches nothing, and over a kept
	               connection, when the better ones have not been asked, nothing that it refuses
	               counts */
	struct refusal_parties parties; /* recipient: of the RCPT that is being answered, else NULL
	                                 */
	/* Of the last message's recipients: */
	unsigned bore; /* it broke behind so many, which it had not all refused */
	bool no_room[JOB_RECIPIENTS_MAX]; /* it takes these in another transaction */
};

enum conversation_result {
	CONVERSATION_OPEN,
	CONVERSATION_NO_TLS, /* TLS failed, with the handshake or right behind it: may be tried
	                        again without */
	CONVERSATION_REFUSED /* `reply` says what it said; code 0: not reached, text says why */
};

/* What becomes of a recipient of whom this was said, when it was no yes. */
enum job_outcome reply_outcome(const struct reply *reply);

/* Connects, greets, starts TLS when offered (unless without_tls). helo: our name. */
enum conversation_result conversation_open(struct conversation *c, const struct net_address *to,
                                           const char *host, bool lmtp, const char *helo,
                                           bool without_tls,
                                           const struct conversation_limits *limits,
                                           struct reply *reply);
/* QUIT, without waiting for the answer, and close. Harmless when there is none. */
void conversation_close(struct conversation *c);

/* Sends the message to the recipients; results[i] is filled for recipients[i]. Done is only whom
 * the answer to the text makes so; after an answer that does not belong where it comes, everybody
 * waits. Returns false when nothing was settled (MAIL was not taken for now, or the line broke
 * before that; of a kept one, which may have ended while it was idle, before the text, or when that
 * was refused): *reply says why, another host, or the same over a new one, may be tried. Where
 * c->bore is not 0 those behind it wait, and the others may be offered alone.
 *
 * An answer that is no SMTP reply breaks the conversation. Of a host that has greeted us and taken
 * MAIL it is settled: the host is there, its trouble is with this message or recipient, which
 * waits; other mail for the host does not. */
bool conversation_send(struct conversation *c, const struct job *job,
                       const struct job_recipient *recipients, unsigned count,
                       const struct conversation_limits *limits, struct job_result *results,
                       struct reply *reply);

#endif
