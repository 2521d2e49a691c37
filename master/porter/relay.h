/* SPDX-License-Identifier: ISC */
/*
 * TLS handshakes, and the relay between a TLS client and its session.
 *
 * A relay begins with the handshake, may wait without a session, then passes bytes both ways, and
 * ends by itself when both sides have. What it has to tell goes to its owner through callbacks, as
 * the last thing in a turn of the loop: the owner may free the relay in them.
 */
#ifndef MASTER_PORTER_RELAY_H
#define MASTER_PORTER_RELAY_H

#include "lib/base/loop.h"
#include "lib/wire/connection.h"

typedef struct ssl_st SSL;

struct relay;

struct relay_callbacks {
	void (*secured)(void *owner); /* the handshake is done */
	void (*handshake_failed)(void *owner, const char *reason);
	void (*spoke)(void *owner); /* the client, once, while it has no session */
	void (*over)(void *owner);  /* it is of no more use: to be freed */
};

void relays_start(struct loop *loop, const struct relay_callbacks *callbacks);

/* Takes ssl and fd; begins the handshake. NULL: no memory for TLS (nor for ssl, if that is NULL);
 * both are freed. */
struct relay *relay_new(void *owner, SSL *ssl, int fd);
void relay_free(struct relay **relay);                    /* at once, nothing is flushed */
void relay_write(struct relay *relay, struct view bytes); /* a greeting or a refusal */
/* The session's end of a fresh pair; -1 (errno). Nothing passes until the session has it:
 * relay_begin_session; or does not get it, and another may: relay_close_session. */
int relay_open_session(struct relay *relay);
void relay_begin_session(struct relay *relay);
void relay_close_session(struct relay *relay);
/* A session that has begun: it sees its client leave, and nothing passes between them any more. */
void relay_end_session(struct relay *relay);
/* No (more) session will come: sends what is left, then close_notify, and is over. */
void relay_finish(struct relay *relay);
void relay_facts(const struct relay *relay, struct connection_tls *tls);

#endif
