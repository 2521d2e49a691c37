/* SPDX-License-Identifier: ISC */
/*
 * The control socket: status, reload, stop, and passing people on to queued.
 *
 * Who may speak is settled by the socket's mode and once more by the peer's credentials.  One message of a
 * fixed form is read from each connection.
 */
#include "lib/wire/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/wire/house.h"
#include "master/master.h"

enum { PATIENCE_MS = 10000, CONNECTIONS_MAX = 64 };

struct connection_to_control {
	struct watch watch;
	struct timer late;
	bool waits_for_stop;
	struct connection_to_control *next;
};

static struct {
	struct watch listener;
	struct connection_to_control *first;
	unsigned count;
} control;

static void drop(struct connection_to_control *c)
{
	struct connection_to_control **at = &control.first;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	control.count--;
	loop_unwatch(master.loop, &c->watch);
	loop_timer_clear(master.loop, &c->late);
	close(c->watch.fd);
	free(c);
}

static void answer(int fd, uint8_t code, const char *text)
{
	struct wire_out out = { 0 };

	control_end_put(&out, code, text);
	wire_send(fd, &out);
	wire_out_free(&out);
}

static void say(int fd, const struct instance *i)
{
	struct wire_out out = { 0 };
	char line[CONTROL_LINE_MAX];

	if (i->pid)
		snprintf(line, sizeof line, "%-12s pid %-8ld uid %-8ld up %llds%s%s", i->row->name, (long)i->pid, (long)i->uid,
		         (long long)((loop_now_ms(master.loop) - i->started_ms) / 1000), i->ready ? "" : ", not ready",
		         i->starts > 1 ? ", started again" : "");
	else
		snprintf(line, sizeof line, "%-12s not running", i->row->name);
	wire_begin(&out, CONTROL_LINE);
	wire_put_string(&out, line);
	wire_send(fd, &out);
	wire_out_free(&out);
}

static void status(int fd)
{
	for (unsigned i = 0; i < master.resident_count; i++)
		say(fd, &master.residents[i]);
	for (const struct owner *o = master.owners; o != NULL; o = o->next)
		say(fd, &o->instance);
	answer(fd, EXIT_DONE, master.stopping ? "stopping" : master.up ? "" : "starting");
}

static void reload(int fd)
{
	struct reason why;

	if (master.stopping)
		answer(fd, EXIT_TEMPORARY, "posthouse is stopping");
	else if (house_reload(&why) < 0)
		answer(fd, EXIT_PERMANENT, why.text);
	else
		answer(fd, EXIT_DONE, "");
}

/* queued takes the connection over and answers all that follows. */
static void pass_to_queued(int fd)
{
	struct wire_out out = { 0 };
	const struct instance *queued = NULL;

	for (unsigned i = 0; i < master.resident_count; i++)
		if (master.residents[i].row == &house[HOUSE_QUEUED])
			queued = &master.residents[i];
	wire_begin(&out, HOUSE_CONTROL);
	wire_put_fd(&out, fd);
	if (queued == NULL || queued->pid == 0 || wire_send(queued->wire.fd, &out) != WIRE_OK)
		answer(fd, EXIT_TEMPORARY, "queued does not run at the moment");
	else
		answer(fd, EXIT_DONE, "");
	wire_out_free(&out);
}

static void said(struct watch *w, unsigned events)
{
	struct connection_to_control *c = loop_owner(w, struct connection_to_control, watch);
	struct wire_in in;
	enum wire_result r = wire_receive_now(w->fd, &in);

	(void)events;
	if (r == WIRE_AGAIN)
		return;
	if (r == WIRE_OK && wire_end(&in) && in.type == CONTROL_STOP && !c->waits_for_stop) {
		c->waits_for_stop = true;
		loop_timer_clear(master.loop, &c->late);
		house_stop(false);
		return;
	}
	if (r == WIRE_OK && wire_end(&in) && in.type == CONTROL_STATUS)
		status(w->fd);
	else if (r == WIRE_OK && wire_end(&in) && in.type == CONTROL_RELOAD)
		reload(w->fd);
	else if (r == WIRE_OK && wire_end(&in) && in.type == CONTROL_QUEUE)
		pass_to_queued(w->fd);
	else if (r == WIRE_OK)
		answer(w->fd, EXIT_PERMANENT, "not understood: the command and master are of different versions");
	wire_in_close(&in);
	drop(c);
}

static void late(struct timer *t)
{
	drop(loop_owner(t, struct connection_to_control, late));
}

/* The group's members are let in by the socket's mode; no name service is asked here, where nothing may wait. */
static bool may_speak(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	return peer.uid == 0 || peer.uid == geteuid() || master.settings.control_group[0] != '\0';
}

static void accept_one(struct watch *w, unsigned events)
{
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0)
		return;
	if (control.count >= CONNECTIONS_MAX || !may_speak(fd)) {
		answer(fd, EXIT_PERMANENT, "not permitted");
		close(fd);
		return;
	}
	struct connection_to_control *c = memory_get(sizeof *c);

	c->watch.fd = fd;
	c->watch.ready = said;
	c->late.due = late;
	c->next = control.first;
	control.first = c;
	control.count++;
	loop_watch(master.loop, &c->watch, LOOP_READ);
	loop_timer_set(master.loop, &c->late, loop_now_ms(master.loop) + PATIENCE_MS);
}

void control_start(int listener)
{
	control.listener.fd = listener;
	control.listener.ready = accept_one;
	loop_watch(master.loop, &control.listener, LOOP_READ);
}

void control_stopped(void)
{
	for (struct connection_to_control *c = control.first; c != NULL; c = c->next)
		if (c->waits_for_stop)
			answer(c->watch.fd, EXIT_DONE, "");
}
