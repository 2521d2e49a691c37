/* SPDX-License-Identifier: ISC */
/*
 * smtpd, pickup, queued <-> resolved: protocol "resolve".
 *
 * smtpd asks for verdicts (may this client, sender, recipient pass), queued asks where an accepted
 * recipient goes. queued never takes a route from smtpd: what the network side says about addresses
 * is only a question.
 */
#ifndef LIB_WIRE_RESOLVE_H
#define LIB_WIRE_RESOLVE_H

#include "lib/base/limits.h"
#include "lib/conf/agenttable.h"
#include "lib/net/address.h"
#include "lib/wire/wire.h"

enum resolve_type {
	RESOLVE_CLIENT = 16, /* struct resolve_question: client only -> RESOLVE_VERDICT */
	RESOLVE_SENDER,      /* + sender (and account) -> RESOLVE_VERDICT */
	RESOLVE_RECIPIENT,   /* + recipient -> RESOLVE_VERDICT */
	RESOLVE_VERDICT,
	RESOLVE_EXPAND, /* u32 question, string address -> RESOLVE_TARGET ..., the last with `last`
	                 */
	RESOLVE_TARGET,
	RESOLVE_REFUSALS /* queued: any number of struct resolve_refusal; no answer */
};

enum {
	RESOLVE_ADDRESS_MAX = ADDRESS_MAX,
	RESOLVE_TEXT_MAX = 256,
	RESOLVE_HOPS_MAX = 16,
	RESOLVE_HOST_MAX = 256,
	RESOLVE_TARGETS_MAX = 10000
};

struct resolve_question {
	uint32_t question; /* comes back in the answer */
	struct net_address client;
	char client_name[RESOLVE_HOST_MAX]; /* checked both ways; "" when not asked for or not known
	                                     */
	bool submission;                    /* came by 587/465 or the local socket */
	char account[RESOLVE_ADDRESS_MAX];  /* authenticated as; "" when not */
	char sender[RESOLVE_ADDRESS_MAX],
		recipient[RESOLVE_ADDRESS_MAX]; /* normalised; "" where not asked, and for <> */
	uint64_t size_bytes; /* RESOLVE_RECIPIENT: what the client announced of the message, 0:
	                        nothing */
};

enum resolve_verdict {
	RESOLVE_ACCEPT,
	RESOLVE_RELAY,  /* client: may relay without authentication (access map: relay) */
	RESOLVE_REJECT, /* for good: code and text say why (unknown user 5.1.1, relaying
	                   denied 5.7.1, ...) */
	RESOLVE_LATER   /* cannot tell now (4.x.x) */
};

struct resolve_answer {
	uint32_t question;
	enum resolve_verdict verdict;
	char status[STATUS_MAX];     /* enhanced status code (RFC 3463) */
	char text[RESOLVE_TEXT_MAX]; /* one line without CR LF, for the client */
	bool wants_name; /* RESOLVE_CLIENT: names are in the access map; ask again with client_name
	                  */
	bool any_sender; /* RESOLVE_CLIENT: no sender is refused, a client without account need not
	                    ask about its own */
	char normal[RESOLVE_ADDRESS_MAX]; /* the address as the house writes it (domain alias
	                                     resolved) */
	/* RESOLVE_RECIPIENT, accepted: */
	bool mailbox; /* `normal` is a mailbox's, no alias or route: its Delivered-To will say so */
	uint64_t size_max_bytes; /* no larger message fits in there, ever; 0: no such limit */
};

/* Whose mailbox, and where. */
struct resolve_mailbox {
	uint32_t uid, gid;
	char home[HOME_MAX];
	uint64_t quota_bytes;
};

/* The way to another host: by the mail exchangers of a domain, or to one of these, in order. */
struct resolve_route {
	bool lmtp;
	char domain[RESOLVE_HOST_MAX]; /* "": the hops */
	bool ours; /* the domain is an operator's word, in domains.map or as mx=: that it cannot be
	              found is for the operator to mend, and no reason to lose mail */
	struct resolve_hop {
		char host[RESOLVE_HOST_MAX]; /* a name, or an address as net_address_parse takes it
		                              */
		uint16_t port;
	} hops[RESOLVE_HOPS_MAX];
	unsigned hop_count;
};

/* Where one final recipient goes. */
struct resolve_target {
	uint32_t question;
	bool last;
	bool expanded; /* the address came out of an alias: it is a new recipient, not the asked one
	                */
	enum agent agent; /* whose work it is; AGENT_NONE: it fails, status and text say why */
	char address[RESOLVE_ADDRESS_MAX];
	struct resolve_mailbox mailbox; /* of an agent that carries a MAILBOX (agents.def) */
	struct resolve_route route;     /* HOPS */
	/* AGENT_NONE; 4.x.x means "not now" */
	char status[STATUS_MAX];
	char text[RESOLVE_TEXT_MAX];
};

/* What queued has learnt from deliveries (lib/queue/refusals.h). */
enum resolve_refusal_kind {
	RESOLVE_MAILBOX_FULL,    /* key: its home */
	RESOLVE_ADDRESS_UNKNOWN, /* key: the address; another host says so */
	RESOLVE_REFUSAL_KINDS
};

struct resolve_refusal {
	enum resolve_refusal_kind kind;
	char key[HOME_MAX];
	uint64_t size_bytes; /* FULL: the smallest message that did not fit */
	uint64_t left_ms;    /* how long it is to be remembered; 0: no longer */
};

/* Sets a text for an answer: cut to its room, control characters made blanks, since it must not be
 * able to end the line of a reply. */
void resolve_text(char out[RESOLVE_TEXT_MAX], struct view text);

void resolve_question_put(struct wire_out *out, enum resolve_type type,
                          const struct resolve_question *q);
bool resolve_question_get(struct wire_in *in, struct resolve_question *q);
void resolve_answer_put(struct wire_out *out, const struct resolve_answer *a);
bool resolve_answer_get(struct wire_in *in, struct resolve_answer *a);
void resolve_expand_put(struct wire_out *out, uint32_t question, struct view address);
bool resolve_expand_get(struct wire_in *in, uint32_t *question, char address[RESOLVE_ADDRESS_MAX]);
/* Fields of a message, here and in job.h; what is wrong with them is in in->bad. */
void resolve_mailbox_put(struct wire_out *out, const struct resolve_mailbox *m);
void resolve_mailbox_get(struct wire_in *in, struct resolve_mailbox *m);
void resolve_route_put(struct wire_out *out, const struct resolve_route *r);
void resolve_route_get(struct wire_in *in, struct resolve_route *r);
void resolve_target_put(struct wire_out *out, const struct resolve_target *t);
bool resolve_target_get(struct wire_in *in, struct resolve_target *t);
/* Into a packet that wire_begin(RESOLVE_REFUSALS) has begun; the getter leaves what follows. */
void resolve_refusal_put(struct wire_out *out, const struct resolve_refusal *r);
bool resolve_refusal_get(struct wire_in *in, struct resolve_refusal *r);

enum { RESOLVE_ANSWER_TIMEOUT_MS = 30000 };

/* The blocking asker's side (smtpd, pickup): RESOLVE_CLIENT, _SENDER or _RECIPIENT. *line is -1 or
 * the line of the last question; it is dialled over "resolved.resolve" at need, and once more when
 * it was lost.
 * There is always an answer: without one from resolved it is RESOLVE_LATER, 4.3.0. */
void resolve_ask(int *line, enum resolve_type type, struct resolve_question *q,
                 struct resolve_answer *answer);

#endif
