/* SPDX-License-Identifier: ISC */
/*
 * What pop3-login and imap-login have in common: one client before it has logged in.
 *
 * The client is given by porter ("connection"), asks for TLS over porter, and speaks SASL with
 * authd ("auth"); once authd has passed it on to pop3d or imapd, it is gone from here.
 */
#ifndef LIB_LOGIN_LOGIN_H
#define LIB_LOGIN_LOGIN_H

#include "lib/conf/settings.h"
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
	struct stream stream;
	struct connection connection; /* its fd is the stream's */
	int hub;
	int64_t deadline_ms;
	bool over; /* no further command: the client is gone, or was told to go */
	unsigned errors, failures;
	struct text answer; /* the client's last SASL message, decoded */
};

/* The words of a protocol for what ends a session; whole lines. */
struct login_words {
	const char *timeout, *stopping, *errors;
};

/* One session, from porter's message to its end; command() reads and serves one command. */
void login_serve(struct wire_in *in, int hub, const struct settings *settings,
                 const struct login_words *words, void (*command)(struct login *login));

/* A command line of at most max bytes, within what is left of login.timeout. */
enum stream_result login_line(struct login *login, size_t max, struct view *line);
/* Bytes of a literal, within the same time. */
enum stream_result login_some(struct login *login, size_t max, struct view *bytes);
/* May a mechanism be used that shows the password? */
bool login_clear_text_allowed(const struct login *login, const struct settings *settings);
/* Can the client ask for TLS now? */
bool login_can_start_tls(const struct login *login);
/* The client has been told to go ahead.  False: the session is over. */
bool login_start_tls(struct login *login, const struct settings *settings);

/* Runs an exchange: challenges are lines "+ base64", "*" gives up. tag: what imapd shall answer
 * with, "" for POP3. 0: *verdict; on AUTH_OK the client now belongs to the mailbox program and the
 * session here is over. -1: the client gave up, or sent what is no base64. */
int login_exchange(struct login *login, enum auth_mechanism mechanism, bool has_initial,
                   struct view initial, const char *tag, enum auth_verdict *verdict);
/* The same with a name and a password as PLAIN. */
int login_password(struct login *login, struct view user, struct view password, const char *tag,
                   enum auth_verdict *verdict);
/* Decodes an initial response: "=" is an empty one (RFC 4959 section 3, RFC 5034 section 4). False:
 * not base64. */
bool login_initial(struct login *login, struct view word, struct view *decoded);

#endif
