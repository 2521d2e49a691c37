/* SPDX-License-Identifier: ISC */
/*
 * What pop3-login and imap-login have in common: one client before it has logged in.
 *
 * The client is given by porter ("connection"), asks for TLS over porter, and speaks SASL with
 * authd ("auth"); once authd has passed it on to pop3d or imapd, it is gone from here. What a
 * client says and hears in between is each protocol's own: struct login_protocol.
 */
#ifndef LIB_LOGIN_LOGIN_H
#define LIB_LOGIN_LOGIN_H

#include "lib/conf/settings.h"
#include "lib/login/capability.h"
#include "lib/net/stream.h"
#include "lib/wire/auth.h"
#include "lib/wire/worker.h"

enum {
	LOGIN_ERRORS_MAX = 10,  /* commands that are none: a client that goes on like this does not
	                           speak the protocol */
	LOGIN_FAILURES_MAX = 5, /* attempts to log in */
	LOGIN_SASL_LINE_MAX = 16380 /* a line of base64: near AUTH_MESSAGE_MAX of decoded bytes */
};

struct login {
	const struct settings *settings;
	struct stream stream;
	struct connection connection; /* its fd is the stream's */
	int hub;
	int64_t deadline_ms;
	int64_t spoke_ms; /* as porter was told last */
	bool over;        /* no further command: the client is gone, or was told to go */
	unsigned errors, failures;
	struct text answer;          /* the client's last SASL message, decoded */
	bool malformed;              /* that message was no base64 */
	char user[AUTH_ADDRESS_MAX]; /* POP3: what USER said, for PASS */
};

struct login_protocol {
	const char *program; /* "imap-login" */
	enum connection_service service;
	/* What ends a session (the first two are also porter's, before the first command), and what
	 * porter tells a client that is not served (lib/wire/connection.h); whole lines. */
	const char *timeout, *stopping, *errors, *busy, *unavailable, *early;
	/* The line porter greets with; tls: from the start. */
	void (*greeting)(const struct settings *settings, bool tls, struct text *out);
	void (*command)(struct login *login); /* reads and serves one */
};

/* The whole program: does not return. */
void login_main(const struct login_protocol *protocol) __attribute__((noreturn));
/* One session, from porter's message to its end. */
void login_serve(const struct login_protocol *protocol, const struct settings *settings,
                 struct wire_in *in, int hub);

/* A command line of at most max bytes, within what is left of login.timeout. */
enum stream_result login_line(struct login *login, size_t max, struct view *line);
/* Bytes of a literal, within the same time. */
enum stream_result login_some(struct login *login, size_t max, struct view *bytes);
/* May a mechanism be used that shows the password? */
bool login_clear_text_allowed(const struct login *login);
/* Can the client ask for TLS now? */
bool login_can_start_tls(const struct login *login);
/* The client has been told to go ahead.  False: the session is over. */
bool login_start_tls(struct login *login);
/* For a greeting, which has no client yet, and for a client: what may be told to it. */
struct capability_writer login_greeting_capabilities(const struct settings *settings, bool tls);
struct capability_writer login_capabilities(const struct login *login);

/* What came of an attempt to log in; each protocol has words for each but the first. */
enum login_outcome {
	LOGIN_NOTHING_TO_SAY, /* the mailbox program answers, or the client is gone */
	LOGIN_DENIED,
	LOGIN_FORBIDDEN,
	LOGIN_INVALID,      /* not an exchange of this mechanism */
	LOGIN_TEMPORARY,    /* cannot tell now */
	LOGIN_NO_MECHANISM, /* these four count as errors */
	LOGIN_NEEDS_TLS,
	LOGIN_MALFORMED, /* base64 */
	LOGIN_CANCELLED,
	LOGIN_OUTCOMES
};

/* "PLAIN", or "PLAIN" and an initial response, of which "=" is an empty one (RFC 4959 section 3,
 * RFC 5034 section 4): runs the exchange. Challenges are lines "+ base64", "*" gives up. tag: what
 * imapd shall answer with, "" for POP3. */
enum login_outcome login_sasl(struct login *login, struct view arguments, const char *tag);
/* The same with a name and a password as PLAIN. */
enum login_outcome login_password(struct login *login, struct view user, struct view password,
                                  const char *tag);

#endif
