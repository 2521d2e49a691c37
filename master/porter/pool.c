/* SPDX-License-Identifier: ISC */
/* The session programs' workers, and the clients that wait for one. */

#include "lib/base/log.h"
#include "lib/base/program.h"
#include "master/porter/porter.h"

enum { WORKERS_MAX = 100000, ASK_AGAIN_MS = 1000, ASK_GREETINGS_MS = 1000 };

static struct pool *pool_of(struct hub *server)
{
	return loop_owner(server, struct pool, server);
}

static struct worker *worker_of(struct hub_line *line)
{
	return loop_owner(line, struct worker, line);
}

/* ---- the queue ---- */

static void enqueue(struct pool *p, struct client *c)
{
	c->queued = true;
	c->queue_next = NULL;
	c->queue_previous = p->last;
	if (p->last)
		p->last->queue_next = c;
	else
		p->first = c;
	p->last = c;
	p->waiting++;
}

void pool_leave(struct client *c)
{
	struct pool *p = porter.rooms[c->listener->service].pool;

	if (!c->queued)
		return;
	if (c->queue_previous)
		c->queue_previous->queue_next = c->queue_next;
	else
		p->first = c->queue_next;
	if (c->queue_next)
		c->queue_next->queue_previous = c->queue_previous;
	else
		p->last = c->queue_previous;
	c->queue_next = c->queue_previous = NULL;
	c->queued = false;
	p->waiting--;
}

/* Workers that end and parents at their limit do not report: while clients wait, ask again. */
static void ask_for_workers(struct pool *p)
{
	if (p->waiting == 0) {
		loop_timer_clear(porter.loop, &p->again);
		return;
	}
	if (porter.retiring) {
		/* New workers greet our successor; those that we know stay until we let them go. */
		while (p->first != NULL && p->server.line_count == 0)
			client_refuse(p->first);
		return;
	}
	hub_want(&p->server, p->waiting);
	if (p->again.place == 0)
		loop_timer_set(porter.loop, &p->again, loop_now_ms(porter.loop) + ASK_AGAIN_MS);
}

static void serve_waiting(struct pool *p)
{
	struct hub_line *line;

	while (p->first != NULL && (line = hub_take_idle(&p->server)) != NULL)
		client_serve(p->first, worker_of(line)); /* a broken line is gone: the next one */
	ask_for_workers(p);
}

static void again_due(struct timer *t)
{
	serve_waiting(loop_owner(t, struct pool, again));
}

void pool_wait(struct client *c)
{
	struct pool *p = porter.rooms[c->listener->service].pool;

	if (p->waiting >= PORTER_WAITING_MAX) {
		client_refuse(c);
		return;
	}
	enqueue(p, c);
	serve_waiting(p);
	/* It is not read while it waits, but when it resets its connection that is noticed. */
	if (p->last == c && c->relay == NULL)
		loop_change(porter.loop, &c->watch, 0);
}

/* ---- the wire ---- */

static void announced(struct hub *server, struct wire_in *in)
{
	struct connection_announce a;

	if (in->type != CONNECTION_ANNOUNCE || !connection_announce_get(in, &a)) {
		log_warn(
			"event=wire-refused protocol=connection reason=\"not an announcement\" peer=%s",
			pool_of(server)->name);
		return;
	}
	struct service_room *room = &porter.rooms[a.service];

	if (room->pool != NULL && room->pool != pool_of(server)) {
		log_warn(
			"event=wire-refused protocol=connection reason=\"service %s belongs to %s\" peer=%s",
			connection_service_name(a.service), room->pool->name,
			pool_of(server)->name);
		return;
	}
	room->pool = pool_of(server);
	room->text = a;
	porter_listen();
}

/* A worker that is idle again is the first of the idle ones (hub_set_idle). */
static void became_idle(struct hub *server)
{
	struct worker *w = worker_of(server->idle_first);
	struct client *c = w->client;

	w->client = NULL;
	if (c != NULL)
		client_session_over(c);
	serve_waiting(pool_of(server));
	porter_check_end();
}

static void worker_closed(struct hub_line *line)
{
	struct worker *w = worker_of(line);
	struct client *c = w->client;

	w->client = NULL;
	if (c != NULL)
		client_session_over(c);
	/* The line is still counted; whoever waits is seen to by the timer, or at once when others
	 * are idle. */
	if (pool_of(line->server)->waiting)
		loop_timer_set(porter.loop, &pool_of(line->server)->again,
		               loop_now_ms(porter.loop));
}

static void handed_over(struct worker *w, struct wire_in *in)
{
	if (!wire_end(in) || w->client->token < 0) {
		hub_line_drop(&w->line, "a hand-over without a token");
		return;
	}
	struct client *c = w->client;

	w->client = NULL;
	client_handed_over(c);
}

static void message(struct hub_line *line, struct wire_in *in)
{
	struct worker *w = worker_of(line);

	if (w->client == NULL || w->client->state != CLIENT_SESSION) {
		hub_line_drop(line, "a message of a worker that has no session");
	} else if (in->type == CONNECTION_HANDED_OVER) {
		handed_over(w, in);
	} else if (in->type == CONNECTION_STARTTLS && in->rest.len == 0 && in->fd_count == 1) {
		client_starttls(w->client, wire_get_fd(in));
	} else {
		hub_line_drop(line, "not a message of a session program");
	}
}

/* Parents that were here before us have announced themselves to our predecessor. The answers may
 * even go to him, if he still reads the wire: ask until every listener has its greeting. */
static void ask_for_greetings(struct timer *t)
{
	static struct wire_out out;
	bool missing = false;

	for (unsigned i = 0; i < porter.listener_count; i++)
		missing = missing || porter.rooms[porter.listeners[i].service].pool == NULL;
	if (!missing || porter.retiring || porter.stopping)
		return;
	wire_begin(&out, WIRE_ANNOUNCE);
	for (unsigned i = 0; i < porter.pool_count; i++)
		wire_send(porter.pools[i].server.watch.fd, &out);
	loop_timer_set(porter.loop, t, loop_now_ms(porter.loop) + ASK_GREETINGS_MS);
}

static void pool_start(struct pool *p, const char *name, int fd)
{
	string_copy(p->name, sizeof p->name, view_of(name));
	p->again.due = again_due;
	p->server = (struct hub){
		.loop = porter.loop,
		.protocol = "connection",
		.line_size = sizeof(struct worker),
		.lines_max = WORKERS_MAX,
		.workers = true,
		.message = message,
		.closed = worker_closed,
		.idle = became_idle,
		.announced = announced,
	};
	hub_start(&p->server, fd);
}

void pools_start(void)
{
	const char *name;
	int fd;

	for (unsigned i = 0; (fd = program_fd_at("", i, &name)) >= 0; i++) {
		if (!view_ends_nocase(view_of(name), VIEW(".connection")))
			continue;
		if (porter.pool_count == PORTER_POOLS_MAX)
			log_fatal("more than %d session programs", PORTER_POOLS_MAX);
		pool_start(&porter.pools[porter.pool_count++], name, fd);
	}
	porter.ask_greetings.due = ask_for_greetings;
	ask_for_greetings(&porter.ask_greetings);
}

void pools_retire(void)
{
	for (unsigned i = 0; i < porter.pool_count; i++)
		hub_retire(&porter.pools[i].server);
}

void pools_drop_idle(unsigned keep)
{
	for (unsigned i = 0; i < porter.pool_count; i++) {
		struct hub *s = &porter.pools[i].server;

		while (s->idle_count > keep)
			hub_line_drop(hub_take_idle(s), NULL);
	}
}
