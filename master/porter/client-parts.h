/* SPDX-License-Identifier: ISC */
/* A client, for the files that serve it: client.c from its first byte to its first word,
 * client-tls.c and client-session.c below it, client-state.c below all. */
#ifndef MASTER_PORTER_CLIENT_PARTS_H
#define MASTER_PORTER_CLIENT_PARTS_H

#include "lib/base/list.h"
#include "lib/base/loop.h"
#include "master/porter/client.h"
#include "master/porter/pool.h"
#include "master/porter/pressure.h"

enum client_state {
	CLIENT_PROXY,     /* its balancer owes a PROXY header */
	CLIENT_UNSECURED, /* on a port with TLS from the start; has said nothing */
	CLIENT_HANDSHAKE, /* TLS from the start */
	CLIENT_DELAY,     /* has not been greeted; must not speak */
	CLIENT_SILENT,    /* greeted; has said nothing */
	CLIENT_WAITING,   /* has spoken; waits for a worker */
	CLIENT_SESSION,   /* a worker has it */
	CLIENT_STARTTLS,  /* a worker has it and waits for the handshake */
	CLIENT_HANDED,    /* authd has passed it on; its token tells when it ends */
	CLIENT_ENDING     /* no session; the relay sends what is left */
};

struct client {
	struct watch watch; /* the socket, until it is a relay's; in CLIENT_HANDED the token */
	struct timer timer;
	struct link all;
	struct share waits;       /* in clients.waiting */
	struct share secures;     /* in clients.securing */
	struct pool_client place; /* its worker, or its place among those that wait for one */
	const struct acceptor *acceptor;
	struct relay *relay;
	struct text *proxy_header; /* CLIENT_PROXY only */
	struct net_address client, local;
	uint64_t id;
	enum client_state state;
	int token;          /* our end, -1 */
	bool counted;       /* in the limits */
	bool relay_counted; /* it has a relay, or is to have one */
};

struct clients {
	struct clients_setup with;
	struct connection_announce lines[CONNECTION_SERVICES]; /* what each service says */
	struct list all;
	unsigned outside; /* of them not yet with a worker */
	unsigned relays;  /* TLS: relays, and clients that have their place for one */
	uint64_t next_id;
	bool retiring, stopping;
	struct timer stop;
	/* By the owners of their addresses: those without a session, and those of them, or behind
	 * it, that have TLS or their place for it. */
	struct shares *waiting, *securing;
	struct pressure pressure; /* of all */
	struct recent *logged_in; /* networks from which somebody has */
};

extern struct clients clients;

/* ---- client-state.c, below the others ---- */
struct client *client_of(struct pool_client *place);
const char *client_text(const struct client *c); /* its address; static */
const struct connection_announce *client_lines(const struct client *c);
bool client_is_outside(enum client_state state); /* not yet with a worker */
void client_enter(struct client *c, enum client_state state);
void client_set_deadline(struct client *c, int64_t delay_ms);
void client_log_refusal(const struct client *c, const char *reason);
/* No descriptors or memory for a relay (errno); paced. */
void client_log_relay_failed(void);
bool client_tls_is_full(void);
void client_count_relay(struct client *c); /* until client_end_relay */
void client_end_relay(struct client *c);   /* harmless without TLS */
void client_close_socket(struct client *c);
/* Last words to a client outside; nothing is said in clear to one that speaks TLS. */
void client_dismiss(struct client *c, struct view words);
void client_refuse_tls(struct client *c); /* before its handshake */
/* No worker will come, or none can be given the client. */
void client_refuse(struct pool_client *place);
void client_turned_away(struct pool_client *place); /* too many wait for one */
/* Greets: a client in clear without an early word, or one whose handshake is done. */
void client_greet(struct client *c);
void client_forget_proxy_header(struct client *c);
void client_free(struct client *c);
/* Retiring or stopping: is there anything left to do? */
void clients_check_end(void);

/* ---- client-crowd.c, beside client-state.c ---- */
void client_crowds_start(void);
/* After each change of what it is. */
void client_weigh(struct client *c);
void client_weigh_no_more(struct client *c);
/* There is no place for a newcomer: has another one, of a heavier network, given way? */
bool client_has_way(const struct client *newcomer);
bool client_has_way_to_tls(const struct client *newcomer);
/* Its owners are set: has somebody logged in from its network lately? And: it has. */
void client_recall(struct client *c);
void client_remember(const struct client *c);
/* One more: is there less time from now on? */
void client_adds_pressure(const struct client *c);
void client_set_first_line_deadline(struct client *c);
void client_set_handshake_deadline(struct client *c);
/* Its time is over: is that for pressure? Then it is counted for the log, and no line of its own.
 */
bool client_had_less_time(const struct client *c);

/* ---- client-tls.c ---- */
void client_tls_expect(struct client *c); /* from the first byte, when that has come */
void client_tls_begin(struct client *c);  /* it has */
void client_tls_failed(struct client *c);
/* Callbacks of pools and relays. */
bool client_tls_start(struct pool_client *place, int fd);
void client_tls_secured(void *client);
void client_tls_log_failed(void *client, const char *reason);

/* ---- client-session.c ---- */
/* Gives it the worker; false: the worker's line is broken, the client still waits. */
bool client_session_serve(struct pool_client *place, struct worker *w);
/* Callbacks of pools and relays. */
void client_session_over(struct pool_client *place);
bool client_session_handed_over(struct pool_client *place);
void client_session_give_way(struct pool_client *place);
void client_session_relay_over(void *client);

#endif
