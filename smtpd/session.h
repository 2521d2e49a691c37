/* SPDX-License-Identifier: ISC */
/*
 * One SMTP session, and what its handlers share. The dispatcher (session.c) reads commands and
 * enforces the columns of the command table; handlers do not check again.
 */
#ifndef SMTPD_SESSION_H
#define SMTPD_SESSION_H

#include "lib/base/arena.h"
#include "lib/conf/settings.h"
#include "lib/mail/mailaddress.h"
#include "lib/net/stream.h"
#include "lib/queue/spooling.h"
#include "lib/wire/auth.h"
#include "lib/wire/connection.h"
#include "lib/wire/resolve.h"
#include "smtpd/credit.h"

enum {
	COMMAND_LINE_MAX = 2048, /* RFC 5321 section 4.5.3.1.4 and what extensions add: 512 + 26 +
	                            17 + 500 ... */
	NAME_TIMEOUT_MS = 10000, /* for the client's name: then it has none */
	AUTH_LINE_MAX = 12288,   /* RFC 4954 section 4 */
	HELO_MAX = 255,
	ERRORS_FREE = 5, /* refusals before each further one is answered late */
	ERRORS_MAX = 20, /* then 421 */
	ERROR_DELAY_MS =
		100, /* the first delay; each next is longer by as much, up to ERROR_DELAY_MAX_MS */
	ERROR_DELAY_MAX_MS = 1000,
	IDLE_COMMANDS_MAX = 100, /* NOOP, RSET, VRFY, EHLO ... without a message between them */
	TRANSACTION_BYTES_MAX = 64 << 20, /* of recipients and their parameters */
	MESSAGE_TIME_MAX_MS = 3600000,    /* for one DATA, whatever drips in */
	QUIET_PART = 30 /* whoever gets nowhere for this part of smtpd.timeout makes no progress */
};

/* What the worker keeps from session to session. */
struct worker {
	const struct settings *settings;
	struct spool_writer writer;
	int resolved; /* line, -1 */
	struct auth_line authd;
	int dnsd; /* line, -1; asked only where the access map has names of hosts */
};

/* States in which a command may come; the table holds sets of them. */
enum session_state {
	STATE_NEW = 1,   /* before HELO or EHLO */
	STATE_READY = 2, /* no transaction */
	STATE_MAIL = 4,  /* MAIL was accepted, no recipient yet */
	STATE_RECIPIENTS = 8,
	STATE_ANY = 15
};

/* As envelope_recipient_put writes it: most of what a struct envelope_recipient has room for is
 * empty. */
struct recipient {
	struct view packed;
	struct view
		mailbox; /* whose address its Delivered-To has; empty: no mailbox, or not known */
	bool loops;      /* the message has been there */
	struct recipient *next;
};

/* From an accepted MAIL until it is ended by transaction_end, whoever ends it. */
struct transaction {
	struct arena arena;
	struct envelope envelope;
	uint64_t announced_bytes;
	struct recipient *first, **tail;
	unsigned recipients, refused, loops;
	/* No recipient takes a larger message; 0 without recipients or a limit. */
	uint64_t size_max_bytes;
};

struct session {
	struct worker *worker;
	const struct settings *settings;
	struct stream client;
	struct connection connection;
	int hub;                         /* the worker's line to porter */
	char name[NET_ADDRESS_TEXT_MAX]; /* the client's address, for the log */
	bool over;
	bool progress, busy; /* as porter was told last */
	int64_t progress_ms; /* when any was made last */
	int64_t spoke_ms;    /* without it: as porter was told last */
	struct credit credit;

	/* What STARTTLS makes us forget. */
	char helo[HELO_MAX + 1]; /* "": not yet */
	bool extended;
	char account[AUTH_ADDRESS_MAX];
	struct transaction *transaction;
	char client_name[RESOLVE_HOST_MAX]; /* "": not asked for, or none */
	bool client_known;                  /* RESOLVE_CLIENT was asked */
	struct resolve_answer client_verdict;

	unsigned errors, idle_commands, messages;
	/* The present command's, for the log of a refusal. The argument is valid until the next
	 * line is read. */
	const char *command;
	struct view argument;
};

void session_run(struct worker *worker, struct connection *connection, int hub);

/* ---- for handlers ---- */
/* The client's descriptor, at first and behind STARTTLS. */
void session_open(struct session *s, int fd);
/* Does the client get on with a message or its login, or has it logged in? When all sessions are
 * taken porter ends others first. Told when it changes only: at the first MAIL of several, and
 * when the client has been quiet for a while, or has said nothing that gets it on (NOOP, RSET,
 * VRFY, EHLO, what is refused, one MAIL after the other). */
void session_progress(struct session *s, bool progress);
int64_t session_quiet_ms(const struct session *s);
/* Without progress: the client waits for what it has asked for, until session_progress. */
void session_busy(struct session *s);
enum session_state session_state(const struct session *s);
bool session_submits(const struct session *s); /* by 587 or 465, or authenticated */
/* "250 2.1.0 text"; status may be NULL. */
void reply(struct session *s, int code, const char *status, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* The same for a refusal: logs it and counts it. */
void refuse(struct session *s, int code, const char *status, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* The next line of the client: false when the session is over (answered and logged). */
bool session_read_failed(struct session *s, enum stream_result result);
void session_question(const struct session *s, struct resolve_question *q);
void transaction_end(struct session *s); /* harmless when there is none */

void recipient_unpack(const struct recipient *r, struct envelope_recipient *out);
const char *or_dash(const char *word); /* for the log: quoted, "-" when empty */

/* Handlers: argument is what follows the command's name, without blanks around it. */
void command_helo(struct session *s, struct view argument);
void command_ehlo(struct session *s, struct view argument);
void command_starttls(struct session *s, struct view argument);
void command_auth(struct session *s, struct view argument);
void command_mail(struct session *s, struct view argument);
void command_rcpt(struct session *s, struct view argument);
void command_data(struct session *s, struct view argument);

#endif
