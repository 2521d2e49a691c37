/* SPDX-License-Identifier: ISC */
/*
 * porter <-> session programs (smtpd, pop3-login, imap-login): protocol "connection".
 *
 * Their parents announce themselves once with the greetings that porter writes for them;
 * their workers greet and are given one client at a time.  When a worker's line ends, or it
 * says WIRE_DONE, porter knows that the session is over.
 */
#ifndef LIB_WIRE_CONNECTION_H
#define LIB_WIRE_CONNECTION_H

#include "lib/net/address.h"
#include "lib/wire/wire.h"

struct settings;

enum connection_type {
	CONNECTION_ANNOUNCE =
		16,          /* parent -> porter, on the shared wire: struct connection_announce */
	CONNECTION_CLIENT,   /* porter -> worker: struct connection */
	CONNECTION_STARTTLS, /* worker -> porter: the client's descriptor, given back */
	CONNECTION_SECURED,  /* porter -> worker: struct connection_tls + the relay's descriptor */
	CONNECTION_NOT_SECURED, /* porter -> worker: the handshake failed, the client is gone: end
	                           the session */
	CONNECTION_HANDED_OVER, /* login worker -> porter: authd has the session now; porter watches
	                           `token` instead */
	CONNECTION_PROGRESS     /* worker -> porter: a byte, enum connection_progress */
};

/* What a client does, so that porter knows whose session ends when all workers are taken and others
 * wait. */
enum connection_progress {
	CONNECTION_STANDS,  /* not what it came for; at first, and again whenever it has spoken */
	CONNECTION_GETS_ON, /* it gets on: its session is not the one to end */
	CONNECTION_BUSY,    /* it waits for what it has asked for, and so is not silent */
	CONNECTION_PROGRESSES
};

enum { CONNECTION_SPOKEN_MS = 1000 }; /* that a client has spoken is told so often at most */

/* The kind of listener a client came in by. */
enum connection_service {
	CONNECTION_SMTP,       /* 25: receiving */
	CONNECTION_SUBMISSION, /* 587; 465 is the same with TLS from the start */
	CONNECTION_POP3,
	CONNECTION_IMAP,
	CONNECTION_SERVICES /* their number */
};
const char *connection_service_name(
	enum connection_service service); /* "smtp", "submission", "pop3", "imap" */
/* Whose it is, and nobody else's to announce: "smtpd", "pop3-login", "imap-login". */
const char *connection_service_program(enum connection_service service);

enum {
	CONNECTION_GREETING_MAX = 512,
	CONNECTION_NAME_MAX = 256,
	CONNECTION_CIPHER_MAX = 64,
	CONNECTION_HANDSHAKE_MS = 30000, /* porter ends a handshake that takes longer */
	CONNECTION_SECURED_WAIT_MS =
		CONNECTION_HANDSHAKE_MS + 10000 /* a worker waits for the news */
};

/* Whole lines with CRLF; `clear` for a client that may still ask for TLS, `secured` for implicit
 * TLS. An announcement names one service; smtpd sends two. The last words to a client that is not
 * served ("421 ..."): `busy` where there is no place for it, `unavailable` where nobody comes to
 * serve it, `stopping` when the house stops, `timeout` where it has said nothing for too long,
 * `early` where it has spoken before the greeting. */
struct connection_announce {
	enum connection_service service;
	/* Who announces, as the kernel says (wire_maker of a socket that goes with it); 0: not
	 * known. Not put. */
	int parent;
	uint32_t reuse; /* its workers serve so many clients at most; 0: no end */
	char clear[CONNECTION_GREETING_MAX], secured[CONNECTION_GREETING_MAX];
	char busy[CONNECTION_GREETING_MAX], timeout[CONNECTION_GREETING_MAX];
	char unavailable[CONNECTION_GREETING_MAX], stopping[CONNECTION_GREETING_MAX];
	char early[CONNECTION_GREETING_MAX];
};

struct connection_tls {
	bool on;
	char version[16];                   /* "TLSv1.3" */
	char cipher[CONNECTION_CIPHER_MAX]; /* "TLS_AES_256_GCM_SHA384" */
	uint16_t bits;
	char server_name[CONNECTION_NAME_MAX]; /* SNI, "" when none */
};

/* A client that has been greeted and has said something (unread in the descriptor). */
struct connection {
	uint64_t id; /* porter's, for the log */
	enum connection_service service;
	struct net_address client, local;
	struct connection_tls tls;
	bool tls_offered; /* STARTTLS/STLS can be asked for */
	int fd; /* the socket itself, which porter keeps too, or the clear end of its TLS relay */
	/* pop3 and imap only, -1 else: open as long as the session lives, whoever serves it. It
	 * goes with the connection to the mailbox program; porter holds the other end and so sees
	 * the session end. */
	int token;
};

/* A parent's announcement over its wire to porter; fatal when porter cannot be told. */
void connection_announce_send(int shared_fd, const struct connection_announce *a);
/* made: an end of a pair that the announcing process has made. */
void connection_announce_put(struct wire_out *out, const struct connection_announce *a, int made);
bool connection_announce_get(struct wire_in *in, struct connection_announce *a);
/* A byte that names one, a part of others; else bad, and CONNECTION_SMTP. */
enum connection_service connection_service_get(struct wire_in *in);
void connection_tls_put(struct wire_out *out, const struct connection_tls *tls);
bool connection_tls_get(struct wire_in *in,
                        struct connection_tls *tls); /* a part of others: does not ask wire_end */
void connection_put(struct wire_out *out, const struct connection *c);
bool connection_get(struct wire_in *in, struct connection *c);
/* CONNECTION_SECURED; fd: the relay's end. Of what is refused get takes no descriptor. */
void connection_secured_put(struct wire_out *out, const struct connection_tls *tls, int fd);
bool connection_secured_get(struct wire_in *in, struct connection_tls *tls, int *fd);

/* Descriptors of clients in flight at most, of all session programs together (they are one uid in a
 * house of an ordinary user): worker_service.in_flight. */
unsigned connection_in_flight_max(const struct settings *settings);
/* For the session programs: CONNECTION_PROGRESS over the worker's own line. Where
 * it fails porter is gone, and nobody is to give way. */
void connection_progress(int hub, enum connection_progress progress);
/* A client that stands still has spoken. told_ms: when that was told last, at first when the
 * session began. */
void connection_spoken(int hub, int64_t *told_ms);
/* For the session programs: STARTTLS as one call. Gives the client's socket back to porter over the
 * worker's own line `hub` and waits for the handshake; on true *fd is the relay's end (the old *fd
 * is closed either way) and *tls is filled. The caller has already refused a client that sent
 * anything behind STARTTLS (RFC 3207 section 4.2, CVE-2011-0411), sent its go-ahead line, and
 * forgets all it knew of the client; it has taken the old descriptor out of worker_session (a stop
 * must not find a closed one there) and registers the new one. On false *fd is -1 and the session
 * ends. */
bool connection_starttls(int hub, int *fd, struct connection_tls *tls);

#endif
