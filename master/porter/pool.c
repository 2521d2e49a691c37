/* SPDX-License-Identifier: ISC */
#include "master/porter/pool.h"

#include <string.h>

#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/base/tally.h"
#include "lib/conf/settings.h"
#include "lib/wire/hub.h"
#include "lib/wire/master.h"
#include "master/porter/pressure.h"

enum {
	POOLS_MAX = 8,
	WORKERS_MAX = 100000,
	WAITING_MAX = 10000, /* clients that wait for the workers of one program */
	WANTED_AT_ONCE = 64, /* more are asked for as these come */
	ASK_AGAIN_MS = 1000,
	SHARED_AGAIN_MS = 50, /* with a successor, who may have got them */
	PRESSED_MS = 1000,
	NOBODY = -1
};

/* A program whose workers take clients. */
struct pool {
	struct hub server;
	char name[PROGRAM_NAME_MAX];
	int parent; /* whose workers are taken, as master says; 0: it has not, anybody's */
	unsigned workers_max;
	const char *setting; /* that says so */
	struct turns turns;  /* of struct pool_client */
	struct list away;    /* pool_client.turn.promised: those that the loop turns away */
	struct deferred due; /* clients wait: who gives way? */
	struct timer again;  /* asks for workers once more while clients wait */
	struct pressure pressure;
	struct timer pressed; /* while it is on: who has stood still for too long? */
	struct tally gave_way;
};

struct worker {
	struct hub_line line;       /* first */
	struct pool_client *client; /* whose session it serves; NULL: none, or handed over */
};

static struct {
	struct loop *loop;
	struct pool_callbacks tell;
	struct pool all[POOLS_MAX];
	unsigned count;
	struct pool *of_service[CONNECTION_SERVICES]; /* NULL until it is announced */
	unsigned services;                            /* those that are needed, as bits */
	struct timer ask_to_announce;
	struct watch master;
	struct pace refusals; /* in the log */
	bool retired;
} pools;

static struct pool *pool_of(struct hub *server)
{
	return loop_owner(server, struct pool, server);
}

static struct worker *worker_of(struct hub_line *line)
{
	return loop_owner(line, struct worker, line);
}

/* Is it the pool of that program's workers? Its wire is "PROGRAM.connection". */
static bool is_of(const struct pool *p, const char *program)
{
	struct view name = view_of(p->name);

	return view_starts(name, view_of(program)) && name.data[strlen(program)] == '.';
}

/* ---- the queue ---- */

static struct pool_client *client_of_turn(struct turn *turn)
{
	return list_owner_or_null(turn, struct pool_client, turn);
}

static size_t held_in(const struct pool *p)
{
	return p->server.lines.count - p->server.idle_lines.count;
}

/* Workers that end and parents at their limit do not report: while clients wait, ask again. With a
 * successor new workers are its own, and those that we know stay until we let them go; where these
 * are not enough, for as long as somebody waits, both take who greets first. */
static void ask_for_workers(struct pool *p)
{
	size_t waiting = turns_waiting(&p->turns);

	if (waiting == 0) {
		loop_timer_clear(pools.loop, &p->again);
		if (pools.retired)
			hub_retire(&p->server);
		return;
	}
	if (pools.retired)
		hub_resume(&p->server);
	/* Some of a crowd wait for others of it, and need none. */
	if (turns_next(&p->turns, held_in(p)) != NULL)
		hub_want(&p->server,
		         (unsigned)(waiting < WANTED_AT_ONCE ? waiting : WANTED_AT_ONCE));
	if (!loop_timer_is_set(&p->again))
		loop_timer_set(pools.loop, &p->again,
		               loop_now_ms(pools.loop) +
		                       (pools.retired ? SHARED_AGAIN_MS : ASK_AGAIN_MS));
}

static void serve_waiting(struct pool *p)
{
	struct turn *turn;
	struct hub_line *line;

	while ((turn = turns_next(&p->turns, held_in(p))) != NULL &&
	       (line = hub_take_idle(&p->server)) != NULL)
		pools.tell.serve(client_of_turn(turn),
		                 worker_of(line)); /* a broken line is gone: the next one */
	ask_for_workers(p);
}

/* ---- who gives way ---- */

static void tell_given_way(struct tally *t, unsigned count)
{
	struct pool *p = loop_owner(t, struct pool, gave_way);

	log_warn("event=crowded wire=%s sessions=%zu waiting=%zu ended=%u setting=%s", p->name,
	         p->server.lines.count, turns_waiting(&p->turns), count, p->setting);
}

static void give_way(struct pool *p, struct turn *turn)
{
	tally_add(&p->gave_way);
	pools.tell.give_way(client_of_turn(turn));
}

/* All workers are taken: as many as the setting says, or no more come than are here. */
static bool is_full(struct pool *p)
{
	return p->server.lines.count >= p->workers_max ||
	       turns_are_stuck(&p->turns, held_in(p), loop_now_ms(pools.loop));
}

static void make_room(struct deferred *d)
{
	struct pool *p = loop_owner(d, struct pool, due);
	int64_t now = loop_now_ms(pools.loop);
	struct turn *turn;
	struct link *away;

	while ((away = list_take_first(&p->away)) != NULL)
		pools.tell.turned_away(client_of_turn(list_owner(away, struct turn, promised)));
	if (!is_full(p))
		return;
	while ((turn = turns_claim(&p->turns, now)) != NULL)
		give_way(p, turn);
	while ((turn = turns_claim_again(&p->turns, now)) != NULL)
		give_way(p, turn);
}

static bool pressure_begins_now(struct pool *p)
{
	return pressure_begins(&p->pressure, held_in(p), p->workers_max);
}

static void look_under_pressure(struct timer *t)
{
	struct pool *p = loop_owner(t, struct pool, pressed);
	int64_t now = loop_now_ms(pools.loop);
	struct turn *turn;

	while ((turn = turns_expired(&p->turns, now, PRESSURE_SESSION_MS)) != NULL)
		give_way(p, turn);
	pressure_begins_now(p);
	if (p->pressure.on)
		loop_timer_set(pools.loop, t, now + PRESSED_MS);
}

bool pool_pressure_begins(enum connection_service service)
{
	struct pool *p = pools.of_service[service];

	if (!pressure_begins_now(p))
		return false;
	loop_timer_set(pools.loop, &p->pressed, loop_now_ms(pools.loop) + PRESSED_MS);
	return true;
}

bool pool_is_pressed(enum connection_service service)
{
	const struct pool *p = pools.of_service[service];

	return p != NULL && p->pressure.on;
}

static void again_due(struct timer *t)
{
	struct pool *p = loop_owner(t, struct pool, again);

	serve_waiting(p);
	loop_defer(pools.loop, &p->due);
}

/* Where too many wait, one of a heavier network goes: by the loop. */
static bool has_place(struct pool *p, const struct pool_client *newcomer)
{
	if (turns_waiting(&p->turns) < WAITING_MAX)
		return true;
	struct turn *away = turns_giving_way(&p->turns, &newcomer->turn);

	if (away == NULL)
		return false;
	turns_leave(away);
	list_add_last(&p->away, &away->promised);
	return true;
}

bool pool_wait(struct pool_client *c)
{
	struct pool *p = pools.of_service[c->service];

	if (!has_place(p, c))
		return false;
	turns_wait(&p->turns, &c->turn, loop_now_ms(pools.loop));
	ask_for_workers(p);
	loop_defer(pools.loop, &p->due);
	return true;
}

void pool_leave(struct pool_client *c)
{
	turns_leave(&c->turn);
}

/* ---- a client's worker ---- */

struct worker *pool_take(const struct pool_client *c)
{
	struct pool *p = pools.of_service[c->service];
	bool others_first = turns_next(&p->turns, held_in(p)) != NULL;
	struct hub_line *line = NULL;

	if (!others_first && turns_may(&p->turns, &c->turn, held_in(p)))
		line = hub_take_idle(&p->server);
	return line ? worker_of(line) : NULL;
}

enum wire_result pool_send(struct worker *w, const struct wire_out *out)
{
	return hub_line_send(&w->line, out);
}

void pool_bind(struct pool_client *c, struct worker *w)
{
	turns_serve(&pools.of_service[c->service]->turns, &c->turn, loop_now_ms(pools.loop));
	c->worker = w;
	w->client = c;
}

void pool_give_back(struct worker *w)
{
	hub_set_idle(&w->line);
}

static struct pool_client *unbind(struct worker *w)
{
	struct pool_client *c = w->client;

	w->client = NULL;
	if (c != NULL) {
		c->worker = NULL;
		turns_leave(&c->turn);
	}
	return c;
}

static void end_session(struct worker *w)
{
	struct pool_client *c = unbind(w);

	if (c != NULL)
		pools.tell.session_over(c);
}

/* ---- the wire ---- */

/*
 * After a reload workers of the old parent may still greet on the wire that both have, or greet us
 * who are new: they know the old configuration, and must not stay for as long as we do. Who the
 * parent is says master, before that one can say anything; who made a line or announces, the
 * kernel.
 *
 * Only here, and not in every hub, because no other hub may judge so:
 *   those that answer (queued's writers, resolved, authd, dnsd, keyd) must hear a parent that has
 *   been replaced for as long as it has sessions, and these dial the successors anew; what they ask
 *   is theirs, whatever configuration they know;
 *   those that give out jobs (queued's agents) take the parent of the last line for the present
 *   one (agents.c).
 */
static bool is_outdated(const struct pool *p, int process)
{
	return p->parent != 0 && process != 0 && process != p->parent;
}

static void set_parent(struct pool *p, int parent)
{
	p->parent = parent > 0 ? parent : NOBODY;
	LIST_EACH(line, &p->server.idle_lines, struct hub_line, resting)
		if (is_outdated(p, line->process))
			hub_line_drop(line, NULL);
}

/* All that it has said so far. */
static void hear_master(void)
{
	char program[PROGRAM_NAME_MAX];
	struct wire_in in;
	int parent;
	enum wire_result r = WIRE_CLOSED;

	while (loop_is_watched(&pools.master) &&
	       (r = wire_receive_now(pools.master.fd, &in)) == WIRE_OK) {
		if (!master_parent_get(&in, program, &parent))
			log_warn("event=bad-message peer=master type=%d", in.type);
		else
			for (unsigned i = 0; i < pools.count; i++)
				if (is_of(&pools.all[i], program))
					set_parent(&pools.all[i], parent);
		wire_in_close(&in);
	}
	if (r == WIRE_CLOSED)
		loop_unwatch(pools.loop,
		             &pools.master); /* we have a successor, or the house ends */
}

static void master_said(struct watch *w, unsigned events)
{
	(void)w, (void)events;
	hear_master();
}

/* What master has said about it is there, but perhaps not read. */
static bool is_strange(const struct pool *p, int process)
{
	if (is_outdated(p, process))
		hear_master();
	return is_outdated(p, process);
}

static void worker_opened(struct hub_line *line)
{
	if (is_strange(pool_of(line->server), line->process))
		hub_line_drop(line, NULL);
}

static void refuse_announcement(const struct pool *p, const char *reason)
{
	unsigned more;

	if (pace_says(&pools.refusals, loop_now_ms(pools.loop), 1, &more))
		log_warn("event=wire-refused protocol=connection peer=%s more=%u reason=\"%s\"",
		         p->name, more, log_text(view_of(reason)));
}

static void announced(struct hub *server, struct wire_in *in)
{
	struct connection_announce a;
	struct pool *p = pool_of(server);

	if (!connection_announce_get(in, &a)) {
		refuse_announcement(p, "invalid announcement");
	} else if (!is_of(p, connection_service_program(a.service))) {
		refuse_announcement(p, "announces the service of another program");
	} else if (!is_strange(p, a.parent)) {
		pools.of_service[a.service] = p;
		p->server.reuse = a.reuse;
		pools.tell.announced(&a);
	}
}

static void became_idle(struct hub_line *line)
{
	end_session(worker_of(line));
	if (is_outdated(pool_of(line->server), line->process))
		hub_line_drop(line, NULL);
	serve_waiting(pool_of(line->server));
	pools.tell.worker_idle();
}

static void worker_closed(struct hub_line *line)
{
	struct pool *p = pool_of(line->server);

	end_session(worker_of(line));
	/* The line is still counted; whoever waits is seen to by the timer, or at once when others
	 * are idle. */
	if (turns_waiting(&p->turns))
		loop_timer_set(pools.loop, &p->again, loop_now_ms(pools.loop));
}

static void handed_over(struct worker *w, struct wire_in *in)
{
	struct pool_client *c = w->client;

	if (!wire_end(in) || !pools.tell.handed_over(c))
		hub_line_drop(&w->line, "invalid hand-over");
	else
		unbind(w);
}

static void heard_of_progress(struct worker *w, struct wire_in *in)
{
	uint8_t progress = wire_get_byte(in);

	if (!wire_end(in) || progress >= CONNECTION_PROGRESSES)
		hub_line_drop(&w->line, "invalid message");
	else if (progress == CONNECTION_BUSY)
		turns_busy(&w->client->turn, loop_now_ms(pools.loop));
	else
		turns_progress(&pool_of(w->line.server)->turns, &w->client->turn,
		               progress == CONNECTION_GETS_ON, loop_now_ms(pools.loop));
}

static void message(struct hub_line *line, struct wire_in *in)
{
	struct worker *w = worker_of(line);

	if (w->client == NULL) {
		hub_line_drop(line, "message without a session");
	} else if (in->type == CONNECTION_HANDED_OVER) {
		handed_over(w, in);
	} else if (in->type == CONNECTION_PROGRESS) {
		heard_of_progress(w, in);
	} else if (in->type == CONNECTION_STARTTLS && in->rest.len == 0 && in->fd_count == 1) {
		if (!pools.tell.starttls(w->client, wire_get_fd(in)))
			hub_line_drop(line, "STARTTLS during a handshake");
	} else {
		hub_line_drop(line, "invalid message");
	}
}

/* ---- the start and the end ---- */

/* Parents that were here before us have announced themselves to our predecessor. The answers may
 * even go to it, if it still reads the wire: ask until every service has its lines. */
static void ask_to_announce(struct timer *t)
{
	static struct wire_out out;
	unsigned missing = pools.services;

	for (unsigned service = 0; service < CONNECTION_SERVICES; service++)
		if (pools.of_service[service] != NULL)
			missing &= ~(1u << service);
	if (missing == 0)
		return;
	wire_begin(&out, WIRE_ANNOUNCE);
	for (unsigned i = 0; i < pools.count; i++)
		wire_send(pools.all[i].server.watch.fd, &out);
	loop_timer_set(pools.loop, t, loop_now_ms(pools.loop) + ASK_AGAIN_MS);
}

static void set_workers_max(struct pool *p, const struct settings *settings)
{
	bool is_smtpd = is_of(p, "smtpd");

	p->workers_max =
		(unsigned)(is_smtpd ? settings->smtpd_sessions_max : settings->login_sessions_max);
	turns_start(&p->turns, p->workers_max);
	p->setting = is_smtpd ? "smtpd.sessions-max" : "login.sessions-max";
}

static void pool_start(struct pool *p, const char *name, int fd)
{
	string_put(p->name, sizeof p->name, view_of(name));
	p->again.due = again_due;
	p->pressed.due = look_under_pressure;
	p->gave_way = (struct tally){ .loop = pools.loop, .tell = tell_given_way };
	p->due.run = make_room;
	p->server = (struct hub){
		.loop = pools.loop,
		.protocol = "connection",
		.line_size = sizeof(struct worker),
		.lines_max = WORKERS_MAX,
		.takes_descriptors = true,
		.workers = true,
		.opened = worker_opened,
		.message = message,
		.closed = worker_closed,
		.idle = became_idle,
		.announced = announced,
	};
	hub_start(&p->server, fd);
}

void pools_start(struct loop *loop, const struct pool_callbacks *callbacks, unsigned services,
                 const struct settings *settings)
{
	const char *name;
	int fd;

	pools.loop = loop;
	pools.tell = *callbacks;
	pools.services = services;
	for (unsigned i = 0; (fd = program_fd_at("", i, &name)) >= 0; i++) {
		if (!view_ends_nocase(view_of(name), VIEW(".connection")))
			continue;
		if (pools.count == POOLS_MAX)
			log_fatal("more than %d session programs", POOLS_MAX);
		pool_start(&pools.all[pools.count], name, fd);
		set_workers_max(&pools.all[pools.count++], settings);
	}
	pools.master.fd = program_fd("master");
	pools.master.ready = master_said;
	if (pools.master.fd >= 0)
		loop_watch(loop, &pools.master, LOOP_READ);
	hear_master();
	pools.ask_to_announce.due = ask_to_announce;
	ask_to_announce(&pools.ask_to_announce);
}

void pools_stop(void)
{
	loop_timer_clear(pools.loop, &pools.ask_to_announce);
}

void pools_retire(void)
{
	pools_stop();
	pools.retired = true;
	loop_unwatch(pools.loop, &pools.master);
	for (unsigned i = 0; i < pools.count; i++) {
		pools.all[i].parent = 0; /* who comes next is not known here any more */
		pools.all[i].server.grow_patience_ms = SHARED_AGAIN_MS;
		ask_for_workers(&pools.all[i]);
	}
}

void pools_drop_idle(unsigned keep)
{
	for (unsigned i = 0; i < pools.count; i++) {
		struct hub *s = &pools.all[i].server;

		while (s->idle_lines.count > keep)
			hub_line_drop(hub_take_idle(s), NULL);
	}
}
