/* SPDX-License-Identifier: ISC */
#include "lib/wire/hub.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/log.h"

/* pickup has most: a line for each sendmail that submits. A captured process shall not take all
 * that its siblings need. */
enum { GROW_PATIENCE_MS = 1000, GREETINGS_PER_TURN = 16, LINES_PER_PROCESS_MAX = 128 };

static void idle_remove(struct hub_line *line)
{
	struct hub *s = line->server;

	if (!line->idle)
		return;
	if (line->idle_previous)
		line->idle_previous->idle_next = line->idle_next;
	else
		s->idle_first = line->idle_next;
	if (line->idle_next)
		line->idle_next->idle_previous = line->idle_previous;
	else
		s->idle_last = line->idle_previous;
	line->idle_next = line->idle_previous = NULL;
	line->idle = false;
	s->idle_count--;
}

/* To the front: the most recently used worker works next, the others may time out. */
static void idle_add(struct hub_line *line)
{
	struct hub *s = line->server;

	if (line->idle)
		return;
	line->idle = true;
	line->idle_previous = NULL;
	line->idle_next = s->idle_first;
	if (s->idle_first)
		s->idle_first->idle_previous = line;
	else
		s->idle_last = line;
	s->idle_first = line;
	s->idle_count++;
}

static void line_free(struct hub_line *line)
{
	struct hub *s = line->server;

	if (line->previous)
		line->previous->next = line->next;
	else
		s->lines = line->next;
	if (line->next)
		line->next->previous = line->previous;
	s->line_count--;
	free(line);
}

static void line_end(struct hub_line *line)
{
	struct hub *s = line->server;

	if (line->dropped)
		return;
	line->dropped = true;
	loop_unwatch(s->loop, &line->watch);
	if (s->closed)
		s->closed(line);
	idle_remove(line);
	close(line->watch.fd);
	line->watch.fd = -1;
}

void hub_line_drop(struct hub_line *line, const char *why)
{
	if (why != NULL && !line->dropped)
		log_warn("event=wire-dropped protocol=%s reason=\"%s\"", line->server->protocol,
		         why);
	/* Freed by line_ready when it is the line being served, else by the next sweep. */
	line_end(line);
}

/* Dropped lines other than the one being served are freed here. */
static void sweep(struct hub *s)
{
	struct hub_line *next;

	for (struct hub_line *line = s->lines; line != NULL; line = next) {
		next = line->next;
		if (line->dropped)
			line_free(line);
	}
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
		line_end(line);
	} else if (in.type == WIRE_DONE && s->workers) {
		hub_set_idle(line);
	} else {
		s->message(line, &in);
		wire_in_close(&in);
	}
	if (line->dropped)
		line_free(line);
}

/* Of a socketpair the kernel keeps who made it, whoever has its ends now. */
static int maker(int fd)
{
#ifdef SO_PEERCRED
	struct ucred peer;
	socklen_t len = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
		return (int)peer.pid;
#endif
	(void)fd;
	return 0;
}

/* Lines to workers are made by their one parent. */
static bool has_enough(const struct hub *s, int process)
{
	unsigned count = 0;

	if (process == 0 || s->workers)
		return false;
	for (const struct hub_line *line = s->lines; line != NULL && count < LINES_PER_PROCESS_MAX;
	     line = line->next)
		count += !line->dropped && line->process == process;
	return count == LINES_PER_PROCESS_MAX;
}

static void line_open(struct hub *s, int fd)
{
	struct hub_line *line;
	int process = maker(fd);

	if (s->line_count >= s->lines_max || has_enough(s, process)) {
		log_warn("event=wire-refused protocol=%s pid=%d lines=%u lines_max=%u", s->protocol,
		         process, s->line_count, s->lines_max);
		close(fd);
		return;
	}
	fcntl(fd, F_SETFL, O_NONBLOCK);
	line = memory_get(s->line_size);
	line->server = s;
	line->process = process;
	line->next = s->lines;
	if (s->lines)
		s->lines->previous = line;
	s->lines = line;
	s->line_count++;
	if (s->growing)
		s->growing--;
	line->watch.fd = fd;
	line->watch.ready = line_ready;
	loop_watch(s->loop, &line->watch, LOOP_READ);
	if (s->opened)
		s->opened(line);
	if (s->workers && !line->dropped)
		hub_set_idle(line);
}

static void shared_ready(struct watch *w, unsigned events)
{
	struct hub *s = loop_owner(w, struct hub, watch);

	(void)events;
	sweep(s);
	for (int turn = 0; turn < GREETINGS_PER_TURN; turn++) {
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
		if (r != WIRE_OK)
			continue;
		if (in.type == WIRE_GREETING) {
			int fd = wire_accept(&in, s->protocol);

			if (fd >= 0)
				line_open(s, fd);
			else
				log_warn(
					"event=wire-refused protocol=%s reason=\"greeting of another protocol or version\"",
					s->protocol);
		} else if (s->announced) {
			s->announced(s, &in);
		}
		wire_in_close(&in);
	}
}

void hub_start(struct hub *s, int shared_fd)
{
	fcntl(shared_fd, F_SETFL, O_NONBLOCK);
	s->watch.fd = shared_fd;
	s->watch.ready = shared_ready;
	loop_watch(s->loop, &s->watch, LOOP_READ);
}

void hub_retire(struct hub *s)
{
	loop_unwatch(s->loop, &s->watch);
}

void hub_stop(struct hub *s)
{
	hub_retire(s);
	for (struct hub_line *line = s->lines; line != NULL; line = line->next)
		line_end(line);
	sweep(s);
}

enum wire_result hub_line_send(struct hub_line *line, const struct wire_out *out)
{
	if (line->dropped)
		return WIRE_CLOSED;
	enum wire_result r = wire_send_now(line->watch.fd, out);

	if (r == WIRE_OK)
		return r;
	hub_line_drop(line, r == WIRE_AGAIN ? "the peer does not read" : NULL);
	return WIRE_CLOSED;
}

struct hub_line *hub_take_idle(struct hub *s)
{
	struct hub_line *line = s->idle_first;

	if (line != NULL)
		idle_remove(line);
	return line;
}

void hub_set_idle(struct hub_line *line)
{
	struct hub *s = line->server;

	if (line->dropped)
		return;
	idle_add(line);
	if (s->idle)
		s->idle(s);
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
		s->grow_until_ms = now + GROW_PATIENCE_MS;
	}
	wire_out_free(&out);
}
