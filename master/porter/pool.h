/* SPDX-License-Identifier: ISC */
/*
 * The session programs' workers (of smtpd, pop3-login, imap-login), and the clients that wait for
 * one, the longest first.
 *
 * Who has clients embeds a struct pool_client in each and hears through callbacks what becomes of
 * it. Each callback comes from the loop, never out of a call that is made here.
 */
#ifndef MASTER_PORTER_POOL_H
#define MASTER_PORTER_POOL_H

#include "lib/base/list.h"
#include "lib/base/loop.h"
#include "lib/wire/connection.h"

struct worker;

/* A client, for the pools. Zeroed but for its service, which must have been announced. */
struct pool_client {
	enum connection_service service;
	struct worker *worker; /* whose session it is; NULL: none */
	struct link waiting;   /* in its pool's queue */
};

struct pool_callbacks {
	/* A service's program has told its lines; it may do so again. */
	void (*announced)(const struct connection_announce *lines);
	/* A worker for one that has waited: as after pool_take. */
	bool (*serve)(struct pool_client *c, struct worker *w);
	/* Of one with a worker; false: it makes no sense now, and the worker is given up. */
	bool (*starttls)(struct pool_client *c, int fd); /* fd is the callee's */
	bool (*handed_over)(struct pool_client *c);      /* it has no worker any more */
	/* Its worker is done, or gone, and not its own any more. */
	void (*session_over)(struct pool_client *c);
	/* A worker is idle, and nobody waits for it. */
	void (*worker_idle)(void);
};

/* A pool for each wire "PROGRAM.connection". services: bits of those that are needed; who does not
 * announce one of them is asked to. */
void pools_start(struct loop *loop, const struct pool_callbacks *callbacks, unsigned services);
/* A successor is there: nobody announces anything here, and a new worker comes only when a client
 * waits that none of the present ones serves. */
void pools_retire(void);
/* The end is near: asks for nothing any more. */
void pools_stop(void);
/* Gives up idle workers beyond so many. */
void pools_drop_idle(unsigned keep);

/* An idle worker, unless others wait for one; NULL: none. It is told of its client with pool_send
 * and then bound to it with pool_bind, or goes back with pool_give_back. */
struct worker *pool_take(enum connection_service service);
enum wire_result pool_send(struct worker *w, const struct wire_out *out);
void pool_bind(struct pool_client *c, struct worker *w); /* it waits no longer */
void pool_give_back(struct worker *w);

/* Behind those that wait; false: they are too many. */
bool pool_wait(struct pool_client *c);
void pool_leave(struct pool_client *c); /* out of the queue, if it is in it */

#endif
