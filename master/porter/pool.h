/* SPDX-License-Identifier: ISC */
/*
 * The session programs' workers (of smtpd, pop3-login, imap-login), and the clients that wait for
 * one or have one; turns.h says whose turn it is, and who gives way when all workers are taken.
 *
 * Who has clients embeds a struct pool_client in each and hears through callbacks what becomes of
 * it. Each callback comes from the loop, never out of a call that is made here.
 */
#ifndef MASTER_PORTER_POOL_H
#define MASTER_PORTER_POOL_H

#include "lib/base/loop.h"
#include "lib/wire/connection.h"
#include "master/porter/turns.h"

struct settings;
struct worker;

/* A client, for the pools. Zeroed but for its service, which must have been announced, and for the
 * owners of its address, in turn. */
struct pool_client {
	enum connection_service service;
	struct worker *worker; /* whose session it is; NULL: none */
	struct turn turn;
};

struct pool_callbacks {
	/* A service's program has told its lines; it may do so again. */
	void (*announced)(const struct connection_announce *lines);
	/* A worker for one that has waited: as after pool_take. */
	bool (*serve)(struct pool_client *c, struct worker *w);
	/* Of one with a worker; false: it makes no sense now, and the worker is given up. */
	bool (*starttls)(struct pool_client *c, int fd); /* fd is the callee's */
	bool (*handed_over)(struct pool_client *c);      /* it has no worker any more */
	/* Its session makes no progress, and others wait: it is to end, and its worker is free as
	 * soon as that has noticed. */
	void (*give_way)(struct pool_client *c);
	/* It waits, and has to give its place in the queue to another. */
	void (*turned_away)(struct pool_client *c);
	/* Its worker is done, or gone, and not its own any more. */
	void (*session_over)(struct pool_client *c);
	/* A worker is idle, and nobody waits for it. */
	void (*worker_idle)(void);
};

/* A pool for each wire "PROGRAM.connection". services: bits of those that are needed; who does not
 * announce one of them is asked to. settings: how many workers each program may have. */
void pools_start(struct loop *loop, const struct pool_callbacks *callbacks, unsigned services,
                 const struct settings *settings);
/* A successor is there: nobody announces anything here, and a new worker comes only when a client
 * waits that none of the present ones serves. */
void pools_retire(void);
/* The end is near: asks for nothing any more. */
void pools_stop(void);
/* Gives up idle workers beyond so many. */
void pools_drop_idle(unsigned keep);

/* An idle worker, unless others wait for one, or it is kept for others (turns.h); NULL: none. It is
 * told of its client with pool_send and then bound to it with pool_bind, or goes back with
 * pool_give_back. */
struct worker *pool_take(const struct pool_client *c);
enum wire_result pool_send(struct worker *w, const struct wire_out *out);
void pool_bind(struct pool_client *c, struct worker *w); /* it waits no longer */
void pool_give_back(struct worker *w);

/* Three quarters of a service's sessions are taken: true when it begins. From then on, until they
 * are less than half, sessions without progress end when their client is silent for
 * PRESSURE_SESSION_MS. */
bool pool_pressure_begins(enum connection_service service);
bool pool_is_pressed(enum connection_service service);

/* Among those that wait; false: they are too many. */
bool pool_wait(struct pool_client *c);
void pool_leave(struct pool_client *c); /* waits no longer, if it does */

#endif
