/* SPDX-License-Identifier: ISC */
#include "lib/wire/hub.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/program.h"
#include "lib/net/listen.h"
#include "lib/wire/master.h"

enum {
	GROW_PATIENCE_MS = 1000,
	GREETINGS_PER_TURN = 16,
	/* Of one process for itself: pickup has most, a line for each sendmail that submits. */
	LINES_PER_PROCESS_MAX = 128,
	/* A captured program shall not fill the log. */
	REFUSALS_LOGGED_PER_SECOND = 1,
	DROPS_LOGGED_PER_SECOND = 4
};

#define UNRECEIVABLE "a message that cannot be received"

static struct {
	struct list all;
	struct loop *loop;
	bool retiring;
} hubs;

/* The line is looked at by the loop. */
static void note(struct hub_line *line)
{
	list_add_last(&line->server->noted, &line->noted);
	loop_defer(line->server->loop, &line->server->due);
}

static void end_when_alone(void)
{
	LIST_EACH(s, &hubs.all, struct hub, link)
		if (s->lines.first != NULL)
			return;
	loop_stop(hubs.loop);
}

static void line_over(struct hub_line *line)
{
	struct hub *s = line->server;

	if (s->closed)
		s->closed(line);
	list_remove(&line->all);
	free(line);
	if (s->listens)
		loop_change(s->loop, &s->watch, LOOP_READ);
	if (hubs.retiring)
		end_when_alone();
}

/* To the front: the most recently used worker works next, the others may time out. */
static void line_idle(struct hub_line *line)
{
	struct hub *s = line->server;

	list_add_first(&s->idle_lines, &line->resting);
	if (s->idle)
		s->idle(line);
}

static bool is_busy(const struct hub_line *line)
{
	return line->server->busy && line->server->busy(line);
}

static void line_end(struct hub_line *line);

/* A question may have come, or be on its way: wire_hang_up throws it away. */
static void say_farewell(const struct hub *s, int fd)
{
	struct wire_out out = { 0 };

	if (s->farewell == 0)
		return;
	wire_begin(&out, s->farewell);
	wire_send_now(fd, &out);
	wire_out_free(&out);
}

static void work_off(struct deferred *due)
{
	struct hub *s = loop_owner(due, struct hub, due);
	struct link *link;

	while ((link = list_take_first(&s->noted)) != NULL) {
		struct hub_line *line = list_owner(link, struct hub_line, noted);

		if (line->dropped) {
			line_over(line);
		} else if (s->workers) {
			line_idle(line);
		} else if (hubs.retiring && !is_busy(line)) {
			say_farewell(s, line->watch.fd);
			line_end(line);
		}
	}
}

/* ---- who has how many ---- */

struct hub_process {
	struct hashed hashed;
	int process;
	unsigned lines, own; /* own: for itself, not for a worker */
};

static uint32_t hash_of(int process, uint32_t worker)
{
	uint32_t words[2] = { (uint32_t)process, worker };

	return view_hash(HASH_START, (struct view){ (const char *)words, sizeof words });
}

static struct hub_process *process_of(struct hub *s, int process)
{
	uint32_t hash = hash_of(process, 0);

	if (process == 0)
		return NULL;
	HASH_EACH(p, &s->processes, hash, struct hub_process, hashed)
		if (p->process == process)
			return p;
	struct hub_process *p = memory_get(sizeof *p);

	p->process = process;
	hash_add(&s->processes, &p->hashed, hash);
	return p;
}

static void process_seen(struct hub *s, struct hub_process *p)
{
	if (p != NULL && p->lines == 0) {
		hash_remove(&s->processes, &p->hashed);
		free(p);
	}
}

static void process_loses(struct hub_line *line)
{
	struct hub_process *p = line->made_by;

	line->made_by = NULL;
	if (p == NULL)
		return;
	p->own -= line->worker == 0;
	p->lines--;
	process_seen(line->server, p);
}

/* Of workers the hub wants as many as there are. */
static bool has_enough(const struct hub *s, const struct hub_process *p, uint32_t worker)
{
	unsigned workers = s->workers_max ? (unsigned)*s->workers_max : 0;

	if (p == NULL || s->workers)
		return false;
	return (worker == 0 && p->own >= LINES_PER_PROCESS_MAX) ||
	       p->lines >= LINES_PER_PROCESS_MAX + 2 * workers;
}

static void line_end(struct hub_line *line)
{
	if (line->dropped)
		return;
	process_loses(line);
	line->dropped = true;
	loop_unwatch(line->server->loop, &line->watch);
	list_remove(&line->resting);
	hash_remove(&line->server->known, &line->known);
	line->unheard = wire_hang_up(line->watch.fd);
	line->watch.fd = -1;
	note(line);
}

void hub_line_drop(struct hub_line *line, const char *why)
{
	struct hub *s = line->server;
	unsigned more;

	if (why != NULL && !line->dropped &&
	    pace_says(&s->drops, loop_now_ms(s->loop), DROPS_LOGGED_PER_SECOND, &more))
		log_warn("event=wire-dropped protocol=%s reason=\"%s\" more=%u", s->protocol,
		         log_text(view_of(why)), more);
	line_end(line);
}

/* One message a turn: the loop comes back at once when there is another, and most often there is
 * none, so that looking again would cost a system call for nothing. */
static void line_ready(struct watch *w, unsigned events)
{
	struct hub_line *line = loop_owner(w, struct hub_line, watch);
	struct hub *s = line->server;
	struct wire_in in;
	enum wire_result r = wire_receive_now(w->fd, &in);

	(void)events;
	if (r == WIRE_AGAIN)
		return;
	if (r != WIRE_OK) {
		hub_line_drop(line, r == WIRE_ERROR ? UNRECEIVABLE : NULL);
	} else if (in.type == WIRE_DONE && s->workers) {
		if (is_busy(line))
			hub_line_drop(line, "done in the middle of a job");
		else
			hub_set_idle(line);
		wire_in_close(&in);
	} else {
		s->message(line, &in);
		wire_in_close(&in);
		hub_line_settled(line);
	}
}

static void log_refusal(struct hub *s, int process, const char *reason)
{
	unsigned more;

	if (pace_says(&s->refusals, loop_now_ms(s->loop), REFUSALS_LOGGED_PER_SECOND, &more))
		log_warn(
			"event=wire-refused protocol=%s pid=%d lines=%zu lines_max=%u more=%u reason=\"%s\"",
			s->protocol, process, s->lines.count, s->lines_max, more,
			log_text(view_of(reason)));
}

/* A worker that asks for a line again has lost the one it had, or pretends so: it has one. How many
 * have been ended. */
static unsigned end_older(struct hub *s, int process, uint32_t worker)
{
	unsigned ended = 0;

	if (worker == 0 || process == 0)
		return 0;
	HASH_EACH(line, &s->known, hash_of(process, worker), struct hub_line, known)
		if (line->process == process && line->worker == worker) {
			line_end(line);
			ended++;
		}
	return ended;
}

static void line_open(struct hub *s, int fd, uint32_t worker)
{
	struct hub_line *line;
	int process = wire_maker(fd);
	unsigned ended = end_older(s, process, worker);
	struct hub_process *made_by = process_of(s, process);

	if (s->lines.count - ended >= s->lines_max || has_enough(s, made_by, worker)) {
		log_refusal(s, process, "too many lines");
		say_farewell(s, fd);
		wire_hang_up(fd);
		process_seen(s, made_by);
		return;
	}
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (!s->takes_descriptors)
		net_take_no_descriptors(fd);
	line = memory_get(s->line_size);
	line->server = s;
	line->process = process;
	line->worker = worker;
	line->made_by = made_by;
	if (made_by != NULL) {
		made_by->lines++;
		made_by->own += worker == 0;
	}
	list_add_first(&s->lines, &line->all);
	hash_add(&s->known, &line->known, hash_of(process, worker));
	if (s->growing)
		s->growing--;
	line->watch.fd = fd;
	line->watch.ready = line_ready;
	loop_watch(s->loop, &line->watch, LOOP_READ);
	if (s->opened)
		s->opened(line);
	if (s->workers)
		hub_set_idle(line);
}

static void shared_ready(struct watch *w, unsigned events)
{
	struct hub *s = loop_owner(w, struct hub, watch);

	(void)events;
	/* hub_stop and hub_retire may be called on the way. */
	for (int turn = 0; turn < GREETINGS_PER_TURN && loop_is_watched(&s->watch); turn++) {
		struct wire_in in;
		enum wire_result r = wire_receive_now(w->fd, &in);

		if (r == WIRE_AGAIN)
			return;
		if (r == WIRE_CLOSED) {
			/* Wires that master keeps never close; those of owner services do. */
			loop_unwatch(s->loop, &s->watch);
			if (s->lost)
				s->lost(s);
			return;
		}
		if (r != WIRE_OK) {
			log_refusal(s, 0, UNRECEIVABLE);
			continue;
		}
		if (in.type == WIRE_GREETING) {
			uint32_t worker;
			int fd = wire_accept(&in, s->protocol, &worker);

			if (fd >= 0)
				line_open(s, fd, worker);
			else
				log_refusal(s, 0, "greeting of another protocol or version");
		} else if (s->announced) {
			s->announced(s, &in);
		}
		wire_in_close(&in);
	}
}

/* One a turn, as line_ready; whoever is one too many waits until a line is over. */
static void listener_ready(struct watch *w, unsigned events)
{
	struct hub *s = loop_owner(w, struct hub, watch);
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC);

	(void)events;
	if (fd < 0) {
		/* master has shut it, for a stop: it would be ready for ever. */
		if (errno == EINVAL)
			loop_unwatch(s->loop, w);
		else if (errno == EMFILE)
			limit_reached(LIMIT_DESCRIPTORS);
		return;
	}
	line_open(s, fd, 0);
	if (s->lines.count >= s->lines_max)
		loop_change(s->loop, w, 0);
}

void hub_start(struct hub *s, int shared_fd)
{
	fcntl(shared_fd, F_SETFL, O_NONBLOCK);
	s->watch.fd = shared_fd;
	s->watch.ready = s->listens ? listener_ready : shared_ready;
	s->due.run = work_off;
	list_add_last(&hubs.all, &s->link);
	loop_watch(s->loop, &s->watch, LOOP_READ);
}

void hub_retire(struct hub *s)
{
	loop_unwatch(s->loop, &s->watch);
}

void hub_resume(struct hub *s)
{
	if (!loop_is_watched(&s->watch))
		loop_watch(s->loop, &s->watch, LOOP_READ);
}

void hub_stop(struct hub *s)
{
	hub_retire(s);
	LIST_EACH(line, &s->lines, struct hub_line, all)
		line_end(line);
	hash_free(&s->known);
	hash_free(&s->processes);
	if (s->lines.first == NULL)
		loop_defer_clear(&s->due);
	list_remove(&s->link);
}

void hub_line_settled(struct hub_line *line)
{
	if (hubs.retiring && !line->dropped && !line->server->workers)
		note(line);
}

static bool has_question(const struct hub_line *line)
{
	struct pollfd p = { .fd = line->watch.fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void retire(int number, void *context)
{
	(void)number, (void)context;
	hubs.retiring = true;
	LIST_EACH(s, &hubs.all, struct hub, link) {
		hub_retire(s);
		/* Who waits in a socket that is shut is reset when the last who holds it lets go.
		 */
		if (s->listens)
			close(s->watch.fd);
		if (s->retired)
			s->retired(s);
		LIST_EACH(line, &s->lines, struct hub_line, all)
			if (!line->dropped && !has_question(line))
				hub_line_settled(line);
	}
	end_when_alone();
}

static void stop(int number, void *context)
{
	(void)number, (void)context;
	loop_stop(hubs.loop);
}

void hubs_serve(struct loop *loop)
{
	hubs.loop = loop;
	loop_signal(loop, SIGTERM, stop, NULL);
	loop_signal(loop, SIGHUP, retire, NULL);
	master_tell_ready(loop);
	loop_run(loop);
}

enum wire_result hub_line_send(struct hub_line *line, const struct wire_out *out)
{
	if (line->dropped)
		return WIRE_CLOSED;
	enum wire_result r = wire_send_now(line->watch.fd, out);

	hub_line_settled(line);
	if (r == WIRE_OK)
		return r;
	hub_line_drop(line, r == WIRE_AGAIN ? "the peer does not read" : NULL);
	return WIRE_CLOSED;
}

void hub_take(struct hub_line *line)
{
	list_remove(&line->resting);
	line->jobs++;
}

struct hub_line *hub_take_idle(struct hub *s)
{
	struct hub_line *line = list_owner_or_null(s->idle_lines.first, struct hub_line, resting);

	if (line != NULL)
		hub_take(line);
	return line;
}

void hub_set_idle(struct hub_line *line)
{
	/* Who is honest has ended by then. */
	if (line->server->reuse && line->jobs >= line->server->reuse)
		hub_line_drop(line, NULL);
	else if (!line->dropped && line->resting.list == NULL)
		note(line);
}

void hub_want(struct hub *s, unsigned jobs)
{
	struct wire_out out = { 0 };
	int64_t now = loop_now_ms(s->loop);

	/* A parent at its limit does not answer; ask again after a while. */
	if (now > s->grow_until_ms)
		s->growing = 0;
	if (jobs <= s->growing || s->watch.fd < 0)
		return;
	wire_begin(&out, WIRE_GROW);
	wire_put_u32(&out, jobs - s->growing);
	if (wire_send_now(s->watch.fd, &out) == WIRE_OK) {
		s->growing = jobs;
		s->grow_until_ms =
			now + (s->grow_patience_ms ? s->grow_patience_ms : GROW_PATIENCE_MS);
	}
	wire_out_free(&out);
}
