/* SPDX-License-Identifier: ISC */
/*
 * smtpd, pop3-login, imap-login <-> authd: protocol "auth".
 *
 * The session program carries SASL messages (RFC 4422) and knows no user; authd runs the mechanism.
 * For a mailbox session it also passes the client on: the login program adds the client's
 * descriptors to AUTH_BEGIN, and on success authd itself sends them to master for pop3d or imapd
 * (owner.h), so that no login program can name a user. A client is given to authd once: only where
 * it is certain that authd has not heard of it may its successor be asked.
 */
#ifndef LIB_WIRE_AUTH_H
#define LIB_WIRE_AUTH_H

#include "lib/base/limits.h"
#include "lib/wire/connection.h"
#include "lib/wire/wire.h"

enum auth_type {
	AUTH_BEGIN = 16, /* struct auth_begin */
	AUTH_ANSWER,     /* struct auth_answer */
	AUTH_CANCEL,     /* the client gave up ("*"), or left */
	AUTH_CHALLENGE,  /* authd: decoded bytes for the client */
	AUTH_RESULT,     /* authd: struct auth_result; ends the exchange */
	AUTH_GONE        /* authd, which is replaced or has too many lines: what was asked since its
	                    last answer was not heard; its last word on this line */
};

enum {
	AUTH_MESSAGE_MAX = 12288,
	AUTH_MECHANISM_MAX = 32,
	AUTH_ADDRESS_MAX = ADDRESS_MAX,
	AUTH_PASSWORD_MAX = 1024,
	AUTH_PENDING_MAX = 16384,
	AUTH_TAG_MAX = 128
};

/* Every mechanism of the house: word, name, does it show the password to the server's side of the
 * channel? In the order offered; authd's registry of steps is made from the same list. */
#define AUTH_MECHANISMS(X)                     \
	X(PLAIN, "PLAIN", true) /* RFC 4616 */ \
	X(LOGIN, "LOGIN", true) /* draft-murchison-sasl-login; what Outlook speaks */

enum auth_mechanism {
#define AUTH_MECHANISM_WORD(word, name, clear_text) AUTH_##word,
	AUTH_MECHANISMS(AUTH_MECHANISM_WORD)
#undef AUTH_MECHANISM_WORD
		AUTH_MECHANISM_COUNT
};

enum auth_verdict {
	AUTH_OK,
	AUTH_DENIED,    /* wrong user or password; already delayed by authd */
	AUTH_FORBIDDEN, /* right password, but the account is locked or has no right to this service
	                 */
	AUTH_MALFORMED, /* not an exchange of this mechanism, or an unknown mechanism */
	AUTH_TEMPORARY  /* cannot tell now */
};

/* mechanism: "PLAIN", "LOGIN"; POP3 USER/PASS and IMAP LOGIN are sent as PLAIN. */
struct auth_begin {
	enum connection_service service;
	char mechanism[AUTH_MECHANISM_MAX]; /* upper case */
	bool has_initial;
	struct view initial; /* decoded */
	struct net_address client;
	bool tls;
	/* pop3 and imap only: what the mailbox program needs to go on. */
	struct {
		int fd, token;          /* -1 for smtp; token may be -1 */
		char tag[AUTH_TAG_MAX]; /* the IMAP tag to answer with; "" for pop3 */
		struct view pending;    /* what the client sent behind the command: at most
		                           AUTH_PENDING_MAX */
		struct connection_tls tls;
		uint64_t id; /* connection.id */
	} session;
};

/* A client's answer to a challenge. */
struct auth_answer {
	struct view bytes;   /* decoded */
	struct view pending; /* pop3 and imap: takes the place of session.pending */
};

struct auth_result {
	enum auth_verdict verdict;
	char address[AUTH_ADDRESS_MAX]; /* smtp on AUTH_OK: the authenticated account */
	bool handed_over;               /* pop3, imap: the mailbox program now answers the client */
	uint64_t stamp; /* smtp on AUTH_OK: of what the account is now, for authd to tell whether it
	                   still is (session.h) */
};

void auth_begin_put(struct wire_out *out, const struct auth_begin *b);
bool auth_begin_get(struct wire_in *in, struct auth_begin *b);
/* AUTH_CHALLENGE. */
void auth_message_put(struct wire_out *out, enum auth_type type, struct view message);
bool auth_message_get(struct wire_in *in, struct view *message);
void auth_answer_put(struct wire_out *out, const struct auth_answer *a);
bool auth_answer_get(struct wire_in *in, struct auth_answer *a);
void auth_result_put(struct wire_out *out, const struct auth_result *r);
bool auth_result_get(struct wire_in *in, struct auth_result *r);

/* "ok", "denied", ...: for log lines. */
const char *auth_verdict_name(enum auth_verdict verdict);

/* The mechanisms in the order they are offered, clear text ones only with TLS (RFC 4954 section 4,
 * RFC 3501 section 6.2.3) unless auth.without-tls allows it: "PLAIN LOGIN", or "". Used for EHLO,
 * CAPA, CAPABILITY. */
const char *auth_mechanisms(bool tls, bool allow_without_tls);
/* ASCII case does not matter; AUTH_MECHANISM_COUNT when there is none of this name. */
enum auth_mechanism auth_mechanism_find(struct view name);
const char *auth_mechanism_name(enum auth_mechanism m);
bool auth_mechanism_clear_text(enum auth_mechanism m);

/* Sends the challenge to the client in its protocol and puts the client's answer into *answer,
 * which is empty: 0, or -1 when the client cancelled or left. The challenge is valid until the next
 * wire_receive of the process. */
typedef int auth_challenge(void *context, struct view challenge, struct auth_answer *answer);

/* A session program's way to authd, dialled when it is needed and again when authd was replaced. */
struct auth_line {
	int fd; /* -1 at first */
};
/* Drives one exchange: 0 and *result, or -1 when challenge() said so. An authd that is not reached
 * or out of step is AUTH_TEMPORARY; but with b->session.fd, when it has heard of the client and was
 * lost before it said what became of it, AUTH_OK and handed_over: it may have passed the client on,
 * to whom answering is left. When it has not, the client sees its connection closed. */
int auth_line_exchange(struct auth_line *line, const struct auth_begin *b,
                       struct auth_result *result, auth_challenge *challenge, void *context);

#endif
