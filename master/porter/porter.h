/* SPDX-License-Identifier: ISC */
/* What porter's files share. porter.c: start, listeners, stop; porter-client.c: a client's life
 * until its session ends; porter-pool.c: workers and who waits for them; porter-relay.c: handshakes
 * and the relay; porter-tls.c: certificates; porter-key.c: signatures from keyd. */
#ifndef MASTER_PORTER_PORTER_H
#define MASTER_PORTER_PORTER_H

#include "lib/base/loop.h"
#include "lib/base/program.h"
#include "lib/conf/settings.h"
#include "lib/wire/connection.h"
#include "lib/wire/hub.h"
#include "master/porter/limits.h"

enum {
	PORTER_LISTENERS_MAX = 32,
	PORTER_POOLS_MAX = 8,
	PORTER_NETWORKS_MAX = 32,      /* porter.proxy-from */
	PORTER_HANDSHAKE_MS = 30000,   /* a TLS handshake, from its first byte to its last */
	PORTER_PROXY_MS = 10000,       /* a balancer's PROXY header */
	PORTER_WORKER_WAIT_MS = 30000, /* a client that has spoken waits so long for a worker, then
	                                  it is told busy */
	PORTER_WAITING_MAX = 10000,    /* clients that wait for the workers of one program */
	PORTER_LINGER_MS = 3000,       /* after our close_notify, for the client's end */
	PORTER_FLUSH_MS = 60000, /* after the session's end, for a slow client to take the rest */
	PORTER_STOP_MS = 5000,   /* after SIGTERM, for relays to end */
	PORTER_SCRATCH_BYTES = 16384 /* one TLS record */
};

struct client;
struct relay;

/* A program whose workers take clients (smtpd, pop3-login, imap-login). */
struct pool {
	struct hub server;
	char name[PROGRAM_NAME_MAX];
	struct client *first, *last; /* clients that wait for a worker, the longest first */
	unsigned waiting;
	struct timer again; /* asks for workers once more while clients wait */
};

struct worker {
	struct hub_line line;  /* first */
	struct client *client; /* whose session it serves; NULL: none, or handed over */
};

/* What a service's parent has announced. */
struct service_room {
	struct pool *pool; /* NULL until then */
	struct connection_announce text;
};

struct listener {
	struct watch watch;
	enum connection_service service;
	bool tls;                 /* TLS from the first byte */
	struct net_address local; /* port 0: bound to every address */
};

struct porter {
	struct loop *loop;
	struct settings settings;
	struct limits *limits;
	struct listener listeners[PORTER_LISTENERS_MAX];
	unsigned listener_count;
	struct pool pools[PORTER_POOLS_MAX];
	unsigned pool_count;
	struct service_room rooms[CONNECTION_SERVICES];
	struct net_network balancers[PORTER_NETWORKS_MAX];
	unsigned balancer_count;
	struct client *clients; /* all */
	unsigned client_count;
	unsigned outside;     /* of them not yet with a worker */
	unsigned relay_count; /* TLS: handshakes and relays */
	uint64_t next_id;
	bool tls; /* there is a certificate */
	bool retiring, stopping;
	struct timer stop, accept_again, ask_greetings;
	char scratch[PORTER_SCRATCH_BYTES]; /* what passes through and is never kept */
};

extern struct porter porter;

/* ---- porter.c ---- */
void porter_listen(
	void); /* watches the listeners whose service is known and that may take clients */
void porter_pause_accept(void); /* out of descriptors: for a second */
void porter_check_end(void);    /* after each client's end: is there anything left to do? */

/* ---- porter-client.c ---- */
enum client_state {
	CLIENT_PROXY,     /* its balancer owes a PROXY header */
	CLIENT_HANDSHAKE, /* TLS from the start */
	CLIENT_DELAY,     /* has not been greeted; must not speak */
	CLIENT_SILENT,    /* greeted; has said nothing */
	CLIENT_WAITING,   /* has spoken; waits for a worker */
	CLIENT_SESSION,   /* a worker has it */
	CLIENT_STARTTLS,  /* a worker has it and waits for the handshake */
	CLIENT_HANDED,    /* authd has passed it on; its token tells when it ends */
	CLIENT_ENDING     /* no session; the relay sends what is left */
};

/* At most 1 KB (tested by an assertion): what an idle client costs. */
struct client {
	struct watch watch; /* the socket; in CLIENT_HANDED the token */
	struct timer timer;
	struct client *next, *previous;
	struct client *queue_next, *queue_previous;
	const struct listener *listener;
	struct worker *worker;
	struct relay *relay;
	struct text *proxy_header; /* CLIENT_PROXY only */
	struct net_address client, local;
	uint64_t id;
	enum client_state state;
	int token; /* our end, -1 */
	bool counted, queued;
};

void client_accepted(const struct listener *listener, int fd, const struct net_address *address);
/* By the pool. */
/* false: the worker's line is broken, the client still waits. */
bool client_serve(struct client *c, struct worker *w);
void client_refuse(struct client *c); /* says busy and lets it go */
void client_session_over(struct client *c);
void client_handed_over(struct client *c);
void client_starttls(struct client *c, int fd);
/* By the relay, as the last thing it does in a turn. */
void client_secured(struct client *c);
void client_handshake_failed(struct client *c);
void client_spoke(struct client *c);
void client_relay_over(struct client *c);
/* Says busy to all that are outside. */
void clients_dismiss(void);

/* ---- porter-pool.c ---- */
void pools_start(void);
void pool_wait(struct client *c);  /* a client that has spoken: a worker now, or the queue */
void pool_leave(struct client *c); /* out of the queue, if it is in it */
void pools_retire(void);
void pools_drop_idle(unsigned keep); /* idle lines beyond `keep`, while retiring */

/* ---- porter-relay.c ---- */
/* Takes fd; begins the handshake. NULL: no memory for TLS; fd is closed. */
struct relay *relay_new(struct client *c, int fd);
void relay_free(struct relay **relay);                    /* at once, nothing is flushed */
void relay_write(struct relay *relay, struct view bytes); /* a greeting or a refusal */
int relay_open_session(struct relay *relay); /* the session's end of a fresh pair; -1 (errno) */
void relay_finish(
	struct relay *relay); /* no (more) session: sends what is left, then close_notify */
void relay_facts(const struct relay *relay, struct connection_tls *tls);

/* ---- porter-tls.c ---- */
typedef struct ssl_st SSL;
void porter_tls_start(void); /* before the jail: opens tls.cdb; sets porter.tls */
SSL *porter_tls_session(void);
void porter_tls_stop(void); /* at the end: what OpenSSL holds */

/* ---- porter-key.c ---- */
typedef struct evp_pkey_st EVP_PKEY;
void porter_key_start(void); /* loads the built-in provider */
void porter_key_stop(void);
/* A private key whose signatures keyd makes, for this public key; NULL when its kind is unknown. */
EVP_PKEY *porter_key_for(EVP_PKEY *public_key);

#endif
