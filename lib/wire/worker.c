/* SPDX-License-Identifier: ISC */
#include "lib/wire/worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/pace.h"
#include "lib/base/program.h"
#include "lib/wire/attendance.h"
#include "lib/wire/hub.h"
#include "lib/wire/jail.h"
#include "lib/wire/master.h"

enum {
	CRASH_PAUSE_MS = 1000,
	DIALS_AT_ONCE = 16,
	DIALS_PER_SECOND = 4,
	DIAL_AGAIN_MS = 20, /* the wire was full */
	DESCRIPTORS_OWN = 64,
	/* Workers that found their line closed before they had a job: so many at once are replaced
	 * without a pause, as when a hub is started anew. */
	UNUSED_AT_ONCE = 8,
	UNUSED_PER_SECOND = 1,
	REFUSAL_MAX = 512,
	EXIT_UNUSED = 90, /* of such a worker; nobody but its parent sees it */
	/* From SIGTERM to SIGKILL. Less than master's for its programs (master.c,
	 * STAGE_PATIENCE_MS): the workers of a parent that master kills would have no one to end
	 * them. */
	STOP_PATIENCE_MS = 7000
};

/* ---- the worker ---- */

static volatile sig_atomic_t ending, terminated, ended, busy;
static bool knows;
static int parents_line = -1;
static volatile int hub_line = -1, client = -1;

/* Shutting a descriptor down is safe in a handler and has no race with a read about to block. */
static void on_worker_signal(int number)
{
	int kept_errno = errno;

	ending = 1;
	terminated = terminated || number == SIGTERM;
	ended = ended || number == SIGUSR1;
	if (!busy && hub_line >= 0)
		shutdown(hub_line, SHUT_RDWR);
	if (number != SIGHUP && client >= 0)
		shutdown(client, SHUT_RD);
	errno = kept_errno;
}

void worker_session(int fd)
{
	client = fd;
	if (fd >= 0 && worker_stopping())
		shutdown(fd, SHUT_RD);
}

bool worker_stopping(void)
{
	return terminated || ended;
}

bool worker_session_ended(void)
{
	return ended && !terminated;
}

void worker_knows(const struct session_facts *facts)
{
	struct wire_out out = { 0 };

	knows = true;
	wire_begin(&out, SESSION_OPEN);
	session_facts_put(&out, facts);
	if (wire_send(parents_line, &out) != WIRE_OK)
		log_warn("event=session-untold session=%llu reason=\"%m\"",
		         (unsigned long long)facts->id);
	wire_out_free(&out);
}

static void worker_signals(const struct worker_service *service)
{
	struct sigaction stop = { .sa_handler = on_worker_signal, .sa_flags = SA_RESTART };

	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGUSR1, &stop, NULL);
	if (service->stays_for_hub)
		signal(SIGHUP, SIG_IGN);
	else
		sigaction(SIGHUP, &stop, NULL);
}

/* From before its fork to its handlers: a signal that a newborn hears without them kills it, with
 * the job that it has or that its hub has sent into its line already. */
static void hold_signals(bool hold)
{
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGHUP);
	sigaddset(&ends, SIGUSR1);
	sigprocmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &ends, NULL);
}

static void say_done(int hub)
{
	struct wire_out out = { 0 };

	wire_begin(&out, WIRE_DONE);
	/* A hub that does not hear it would never have another job for us. */
	if (wire_send(hub, &out) != WIRE_OK)
		shutdown(hub, SHUT_RDWR);
	wire_out_free(&out);
}

static void set_receive_timeout(int fd, int timeout_ms)
{
	static int set_ms;
	struct timeval t = { timeout_ms / 1000, timeout_ms % 1000 * 1000 };

	if (timeout_ms == set_ms)
		return;
	set_ms = timeout_ms;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
}

/* A job that is there and cannot be taken ends the worker, as if it had died in it. */
static enum wire_result received(const struct worker_service *service, enum wire_result r)
{
	if (r == WIRE_ERROR)
		log_warn("event=wire-dropped protocol=%s reason=\"receiving: %m\"",
		         service->protocol);
	return r;
}

/* The next job; with a pause hook, idleness is first told to it. Anything but WIRE_OK: the worker's
 * life is over; WIRE_AGAIN: by idleness. */
static enum wire_result next_job(const struct worker_service *service, bool spare, bool fresh,
                                 struct wire_in *in)
{
	int idle_ms = spare ? service->idle_ms : 0;
	enum wire_result r;

	if (service->pause == NULL || fresh) /* set once by worker_asks */
		return received(service, wire_receive(hub_line, in));
	set_receive_timeout(hub_line, service->pause_ms);
	r = wire_receive(hub_line, in);
	if (r == WIRE_AGAIN) {
		service->pause();
		set_receive_timeout(hub_line, idle_ms);
		r = wire_receive(hub_line, in);
	}
	return received(service, r);
}

/* The life of a worker that asks: one job after another. What it exits with. */
static int worker_asks(const struct worker_service *service, bool spare)
{
	if (spare && service->idle_ms)
		set_receive_timeout(hub_line, service->idle_ms);
	unsigned served = 0;
	enum wire_result r = WIRE_OK;

	while (!ending) {
		struct wire_in in;

		r = next_job(service, spare, served == 0, &in);
		if (r != WIRE_OK)
			break;
		busy = 1;
		/* A signal before busy has shut the line: the hub knows and gives the job to
		 * another. */
		if (ending)
			break;
		service->work(&in, hub_line);
		wire_in_close(&in);
		worker_session(-1);
		served++;
		if (knows || (service->reuse && served >= service->reuse))
			break;
		if (!service->answers)
			say_done(hub_line);
		busy = 0;
	}
	if (service->pause)
		service->pause();
	return served == 0 && r != WIRE_AGAIN && !ending ? EXIT_UNUSED : EXIT_DONE;
}

/* ---- the parent ---- */

enum { WIRES_MAX = 32 };

struct parent;

struct parent_wire {
	struct parent *parent;
	struct watch watch;
	unsigned workers;
};

struct place {
	pid_t pid; /* 0: free */
	struct parent *parent;
	struct parent_wire *wire;
	uint32_t number;   /* of the worker, as its greetings bear it */
	struct watch line; /* to it: what it asks for */
	struct bucket asked;
	struct timer again;
	uint8_t wanted;            /* while its line is not read */
	struct attendant *session; /* NULL: of nobody that is known */
};

struct parent {
	const struct worker_service *service;
	struct loop *loop;
	struct parent_wire wires[WIRES_MAX];
	unsigned wire_count;
	struct timer pause, quit, stop_patience;
	struct place *places; /* room for workers_max of them; of the parent alone */
	unsigned used;        /* those behind have never had a worker, or none behind them has */
	unsigned count;
	uint32_t next_number;
	struct pace dials_failed; /* in the log */
	struct bucket unused;
	struct attendance *attendance; /* NULL: its service has no sessions */
	struct watch master;           /* of whom "asks", what is said of these */
	unsigned workers_max; /* as the service says, or as the system's descriptors allow */
	bool stopping;        /* takes no more work */
	bool retired; /* "forks", after SIGHUP: takes what is there, and no more will come */
};

/* ---- lines for workers ---- */

/* A worker asks once for each in its life, and again when a program it speaks to was replaced. */
static const struct bucket_rate dial_rate = { .per_second = DIALS_PER_SECOND,
	                                      .full = DIALS_AT_ONCE };

static void place_line_end(struct place *place)
{
	loop_timer_clear(place->parent->loop, &place->again);
	if (place->line.fd < 0)
		return;
	loop_unwatch(place->parent->loop, &place->line);
	close(place->line.fd);
	place->line.fd = -1;
}

static void hand_on(struct place *place, int line)
{
	struct wire_out out = { 0 };

	dial_line_put(&out, place->wanted, line);
	if (wire_send_now(place->line.fd, &out) != WIRE_OK)
		place_line_end(place); /* it asked and does not read */
	else
		loop_change(place->parent->loop, &place->line, LOOP_READ);
	wire_out_free(&out);
}

static void log_dial_failed(struct parent *p, const char *wire)
{
	unsigned more;

	if (pace_says(&p->dials_failed, loop_now_ms(p->loop), 1, &more))
		log_warn("event=dial-failed wire=%s more=%u reason=\"%m\"", wire, more);
}

/* Later, when its bucket is empty or the wire is full; until then it is not read. */
static void dial_for(struct place *place)
{
	struct parent *p = place->parent;
	const struct dial *d = &p->service->dials[place->wanted];
	int64_t now = loop_now_ms(p->loop);
	int line = -1, wait_ms = 1000 / DIALS_PER_SECOND;

	if (bucket_take(&place->asked, &dial_rate, now, 1)) {
		line = wire_dial_now(program_fd(d->wire), d->protocol, place->number);
		if (line < 0 && errno != EAGAIN)
			log_dial_failed(p, d->wire);
		wait_ms = DIAL_AGAIN_MS;
	}
	if (line < 0) {
		loop_change(p->loop, &place->line, 0);
		loop_timer_set(p->loop, &place->again, now + wait_ms);
		return;
	}
	hand_on(place, line);
	close(line);
}

static void dial_again(struct timer *t)
{
	dial_for(loop_owner(t, struct place, again));
}

/* Once: it ends with this session. */
static void worker_told(struct place *place, struct wire_in *in)
{
	struct parent *p = place->parent;
	struct session_facts facts;

	if (p->attendance == NULL || place->session != NULL || !session_facts_get(in, &facts) ||
	    !wire_end(in))
		place_line_end(place);
	else
		place->session = attendance_enter(p->attendance, &facts, place->pid);
}

static void worker_asked(struct place *place, struct wire_in *in)
{
	const struct dial *dials = place->parent->service->dials;

	if (!dial_ask_get(in, &place->wanted) || dials[place->wanted].wire == NULL)
		place_line_end(place);
	else if (program_fd(dials[place->wanted].wire) < 0)
		hand_on(place, -1);
	else
		dial_for(place);
}

static void worker_said(struct watch *w, unsigned events)
{
	struct place *place = loop_owner(w, struct place, line);
	struct wire_in in;

	if (!(events & LOOP_READ)) {
		place_line_end(place);
		return;
	}
	enum wire_result r = wire_receive_now(w->fd, &in);

	if (r == WIRE_AGAIN)
		return;
	if (r != WIRE_OK)
		place_line_end(place);
	else if (in.type == SESSION_OPEN)
		worker_told(place, &in);
	else
		worker_asked(place, &in);
	wire_in_close(&in);
}

/* ---- workers ---- */

static void enter_jail(const struct worker_service *service)
{
	struct sandbox_profile profile = service->profile;

	if (service->in_flight && profile.descriptors_max < JAIL_DESCRIPTORS + service->in_flight)
		profile.descriptors_max = JAIL_DESCRIPTORS + service->in_flight;
	jail_enter(&profile);
}

static void worker_main(const struct worker_service *service, int parent, struct wire_in *job,
                        bool spare)
{
	int status = EXIT_DONE;

	worker_signals(service);
	hold_signals(false);
	enter_jail(service);
	parents_line = parent;
	dial_through(parent, service->dials);
	if (job != NULL) {
		service->work(job, -1);
		wire_in_close(job);
	} else {
		status = worker_asks(service, spare);
	}
	jail_end(status);
}

/* What a worker keeps beside its parent's line: its own, or its job's descriptors. */
static unsigned kept(const struct wire_in *job, int keep[JAIL_KEEP_MAX])
{
	unsigned count = 0;

	if (hub_line >= 0)
		keep[count++] = hub_line;
	for (unsigned i = 0; job != NULL && i < job->fd_count; i++)
		keep[count++] = job->fds[i];
	return count;
}

/* The child has no places. */
static pid_t start_worker(struct parent *p, struct parent_wire *wire, struct place *place,
                          struct wire_in *job)
{
	int line = -1;
	int keep[JAIL_KEEP_MAX];
	bool spare = wire->workers >= p->service->workers_min;
	const bool may_ask = p->service->dials[0].wire != NULL;
	pid_t pid = -1;

	/* Before the fork, so that a signal to the newborn finds the line that it shuts. */
	busy = job != NULL;
	hub_line = job ? -1 : wire_dial_now(wire->watch.fd, p->service->protocol, place->number);
	hold_signals(true);
	if (job != NULL || hub_line >= 0)
		pid = jail_fork(may_ask ? &line : NULL, keep, kept(job, keep), SIGTERM);
	if (pid == 0)
		worker_main(p->service, line, job, spare);
	place->line.fd = line;
	hold_signals(false);
	if (hub_line >= 0)
		close(hub_line);
	hub_line = -1;
	return pid;
}

/* The lowest. */
static struct place *free_place(struct parent *p)
{
	unsigned i = 0;

	if (p->count == p->used)
		i = p->used++;
	while (p->places[i].pid)
		i++;
	return &p->places[i];
}

static void fork_worker(struct parent *p, struct parent_wire *wire, struct wire_in *job,
                        const struct session_facts *facts)
{
	if (p->stopping || p->count >= p->workers_max)
		return;
	struct place *place = free_place(p);

	if (++p->next_number == 0)
		p->next_number = 1;
	*place = (struct place){ .parent = p,
		                 .wire = wire,
		                 .number = p->next_number,
		                 .line = { .fd = -1, .ready = worker_said },
		                 .again = { .due = dial_again } };
	pid_t pid = start_worker(p, wire, place, job);

	if (pid < 0) {
		if (errno == EAGAIN)
			limit_reached(LIMIT_PROCESSES);
		log_warn("event=fork-failed reason=\"%m\"");
		loop_timer_set(p->loop, &p->pause, loop_now_ms(p->loop) + CRASH_PAUSE_MS);
		return;
	}
	place->pid = pid;
	place->session = facts != NULL ? attendance_enter(p->attendance, facts, pid) : NULL;
	if (place->line.fd >= 0)
		loop_watch(p->loop, &place->line, LOOP_READ);
	p->count++;
	wire->workers++;
	loop_timer_clear(p->loop, &p->quit);
	if (p->service->forks && p->service->full == NULL && p->count >= p->workers_max)
		loop_change(p->loop, &wire->watch, 0);
}

static void keep_minimum(struct parent *p)
{
	for (unsigned i = 0; i < p->wire_count && !p->service->forks; i++)
		while (!p->stopping && p->wires[i].workers < p->service->workers_min &&
		       p->count < p->workers_max && !loop_timer_is_set(&p->pause))
			fork_worker(p, &p->wires[i], NULL, NULL);
}

static void pause_over(struct timer *t)
{
	keep_minimum(loop_owner(t, struct parent, pause));
}

static void quit_due(struct timer *t)
{
	loop_stop(loop_owner(t, struct parent, quit)->loop);
}

static void arm_quit(struct parent *p)
{
	if (p->service->quit_when_idle_ms && p->count == 0)
		loop_timer_set(p->loop, &p->quit,
		               loop_now_ms(p->loop) + p->service->quit_when_idle_ms);
}

/* It is not left waiting for others to end. */
static void refuse_session(struct parent *p, const struct owner_session *session)
{
	struct text words;

	text_init(&words, REFUSAL_MAX);
	p->service->full(session, &words);
	send(session->fd, text_string(&words), words.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	text_free(&words);
	log_warn("event=session-refused account=%s reason=\"%u sessions are open\"",
	         log_quote(view_of(session->address)), p->count);
}

/* A message for one worker; what it is about is the worker's to judge, but who is there is known
 * here. The descriptors stay with `in`. */
static void work_came(struct parent *p, struct parent_wire *wire, struct wire_in *in)
{
	struct owner_session session;
	struct session_facts facts;
	struct wire_in copy = *in;
	bool known = p->attendance != NULL && owner_session_get(&copy, &session);

	if (known)
		session_facts_of(&session, p->service->service, &facts);
	if (known && p->service->full != NULL && p->count >= p->workers_max)
		refuse_session(p, &session);
	else
		fork_worker(p, wire, in, known ? &facts : NULL);
}

static void wire_ready(struct watch *w, unsigned events)
{
	struct parent_wire *wire = loop_owner(w, struct parent_wire, watch);
	struct parent *p = wire->parent;
	struct wire_in in;
	enum wire_result r = wire_receive_now(w->fd, &in);

	(void)events;
	if (r == WIRE_CLOSED)
		loop_stop(p->loop); /* the hub has let go of an owner service, or master is gone */
	if (r != WIRE_OK)
		return;
	if (p->service->forks && p->attendance != NULL && in.type != OWNER_WORK) {
		attendance_master_said(p->attendance, &in);
	} else if (p->service->forks) {
		work_came(p, wire, &in);
	} else if (in.type == WIRE_GROW) {
		uint32_t n = wire_get_u32(&in);

		while (wire_end(&in) && n-- && p->count < p->workers_max)
			fork_worker(p, wire, NULL, NULL);
	} else if (in.type == WIRE_ANNOUNCE && p->service->announce) {
		p->service->announce(w->fd);
	}
	wire_in_close(&in);
}

/* Whether the next worker waits a while before it is forked. */
static bool has_failed(struct parent *p, int status)
{
	static const struct bucket_rate rate = { .per_second = UNUSED_PER_SECOND,
		                                 .full = UNUSED_AT_ONCE };

	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_UNUSED)
		return !bucket_take(&p->unused, &rate, loop_now_ms(p->loop), 1);
	return WIFSIGNALED(status) || WEXITSTATUS(status) != EXIT_DONE;
}

static void place_free(struct place *place)
{
	struct parent *p = place->parent;

	place_line_end(place);
	attendance_leave(p->attendance, &place->session);
	place->wire->workers--;
	place->pid = 0;
	p->count--;
	while (p->used > 0 && p->places[p->used - 1].pid == 0)
		p->used--;
}

static void worker_gone(struct parent *p, pid_t pid, int status)
{
	for (unsigned i = 0; i < p->used; i++)
		if (p->places[i].pid == pid) {
			place_free(&p->places[i]);
			break;
		}
	if (p->stopping)
		return;
	if (WIFSIGNALED(status))
		log_warn("event=worker-died pid=%ld signal=%d", (long)pid, WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != EXIT_UNUSED)
		log_warn("event=worker-died pid=%ld exit=%d", (long)pid, WEXITSTATUS(status));
	/* A worker that fails at its start must not be forked in a busy loop, nor one that its hub
	 * does not want. */
	if (has_failed(p, status))
		loop_timer_set(p->loop, &p->pause, loop_now_ms(p->loop) + CRASH_PAUSE_MS);
}

static bool has_waiting_work(const struct parent *p)
{
	for (unsigned i = 0; i < p->wire_count; i++) {
		struct pollfd waits = { .fd = p->wires[i].watch.fd, .events = POLLIN };

		if (poll(&waits, 1, 0) == 1)
			return true;
	}
	return false;
}

static void end_when_done(struct parent *p)
{
	if (p->count == 0 && (p->stopping || (p->retired && !has_waiting_work(p))))
		loop_stop(p->loop);
}

static void reap(int number, void *context)
{
	struct parent *p = context;
	int status;
	pid_t pid;

	(void)number;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		worker_gone(p, pid, status);
	for (unsigned i = 0; i < p->wire_count && p->service->forks && !p->stopping; i++)
		loop_change(p->loop, &p->wires[i].watch, LOOP_READ);
	keep_minimum(p);
	arm_quit(p);
	end_when_done(p);
}

static void signal_all(struct parent *p, int number)
{
	for (unsigned i = 0; i < p->used; i++)
		if (p->places[i].pid)
			kill(p->places[i].pid, number);
}

/* What does not end by itself hangs, or is not ours any more. */
static void patience_over(struct timer *t)
{
	struct parent *p = loop_owner(t, struct parent, stop_patience);

	log_warn("event=workers-killed count=%u reason=\"still running %d s after SIGTERM\"",
	         p->count, STOP_PATIENCE_MS / 1000);
	signal_all(p, SIGKILL);
}

static void stop(int number, void *context)
{
	struct parent *p = context;

	/* The sessions that master has passed on before it was told to name a successor wait in a
	 * wire that only this process reads. */
	if (number == SIGHUP && p->service->forks) {
		p->retired = true;
	} else {
		p->stopping = true;
		for (unsigned i = 0; i < p->wire_count; i++)
			loop_unwatch(p->loop, &p->wires[i].watch);
	}
	signal_all(p, number);
	if (number == SIGTERM && !loop_timer_is_set(&p->stop_patience))
		loop_timer_set(p->loop, &p->stop_patience, loop_now_ms(p->loop) + STOP_PATIENCE_MS);
	end_when_done(p);
}

/* Whose work comes from elsewhere. */
static void master_said(struct watch *w, unsigned events)
{
	struct parent *p = loop_owner(w, struct parent, master);
	struct wire_in in;
	enum wire_result r = wire_receive_now(w->fd, &in);

	(void)events;
	if (r == WIRE_CLOSED)
		loop_unwatch(p->loop, w);
	if (r == WIRE_OK)
		attendance_master_said(p->attendance, &in);
	wire_in_close(&in);
}

static void keep_attendance(struct parent *p)
{
	if (!p->service->sessions)
		return;
	p->attendance = attendance_new(p->loop);
	p->master.fd = program_fd("master");
	p->master.ready = master_said;
	if (!p->service->forks && p->master.fd >= 0)
		loop_watch(p->loop, &p->master, LOOP_READ);
}

static void open_wires(struct parent *p)
{
	int fd;

	while (p->wire_count < WIRES_MAX &&
	       (fd = program_fd_at(p->service->wire, p->wire_count, NULL)) >= 0) {
		struct parent_wire *wire = &p->wires[p->wire_count++];

		wire->parent = p;
		wire->watch.fd = fd;
		wire->watch.ready = wire_ready;
		loop_watch(p->loop, &wire->watch, LOOP_READ);
		if (p->service->announce)
			p->service->announce(fd);
	}
	if (p->wire_count == 0)
		program_need_fd(p->service->wire);
}

/* A line to each worker; more, where it can be had, for what is in flight beside the greetings that
 * the parent sends. */
static unsigned take_descriptors(unsigned workers_max, unsigned in_flight)
{
	unsigned long wanted = (unsigned long)workers_max + DESCRIPTORS_OWN,
		      have = program_raise_descriptors(wanted + in_flight);

	if (have >= wanted)
		return workers_max;
	unsigned left = (unsigned)(have > 2 * DESCRIPTORS_OWN ? have - DESCRIPTORS_OWN : have / 2);

	log_warn("event=limit workers_max=%u reason=\"the system allows %lu descriptors\"", left,
	         have);
	return left;
}

void worker_run(const struct worker_service *service)
{
	struct parent p = { .service = service, .loop = loop_new() };

	p.workers_max = take_descriptors(service->workers_max, service->in_flight);
	p.places = program_unforked(p.workers_max * sizeof *p.places);
	p.pause.due = pause_over;
	p.quit.due = quit_due;
	p.stop_patience.due = patience_over;
	loop_signal(p.loop, SIGCHLD, reap, &p);
	loop_signal(p.loop, SIGTERM, stop, &p);
	loop_signal(p.loop, SIGHUP, stop, &p);
	keep_attendance(&p);
	open_wires(&p);
	master_tell_ready(p.loop);
	keep_minimum(&p);
	arm_quit(&p);
	loop_run(p.loop);
	exit(EXIT_DONE);
}
