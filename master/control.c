/* SPDX-License-Identifier: ISC */
/*
 * The control socket: status, reload, stop, and passing people on to queued and to who has
 * sessions.
 *
 * Who may speak is settled by the socket's mode and once more by the peer's credentials. One
 * message of a fixed form is read from each connection.
 */
#include "master/control.h"

#include <errno.h>
#include <limits.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/wire/control.h"
#include "lib/wire/master.h"
#include "master/beats.h"
#include "master/keyless.h"
#include "master/master.h"
#include "master/residents.h"

enum { PATIENCE_MS = 10000, ASKERS_MAX = 64, ACCEPT_PAUSE_MS = 1000 };

/* Somebody at the socket; a place whose watch the loop does not hold is free. */
static struct asker {
	struct watch watch;
	struct timer late;
	struct control_answer lines; /* of a long answer, not yet sent */
	bool waits_for_stop;
	bool passed_on;           /* others have the connection */
	unsigned waits_for_round; /* of reloads; 0: for none */
} askers[ASKERS_MAX];

static struct watch door;
static struct wire_out out;
static const struct control_calls *calls;

static struct asker *free_place(void)
{
	for (unsigned i = 0; i < ASKERS_MAX; i++)
		if (!loop_is_watched(&askers[i].watch))
			return &askers[i];
	return NULL;
}

static void drop(struct asker *a)
{
	loop_unwatch(master.loop, &a->watch);
	loop_timer_clear(master.loop, &a->late);
	if (a->passed_on)
		close(a->watch.fd); /* shutting it down would end it there too */
	else
		wire_hang_up(a->watch.fd);
	control_answer_free(&a->lines);
	*a = (struct asker){ 0 };
}

static void answer(int fd, uint8_t code, const char *text)
{
	control_end_put(&out, code, text);
	wire_send(fd, &out);
}

static void say(struct asker *a, const struct instance *i)
{
	char line[CONTROL_LINE_MAX], silent[64] = "";
	int64_t silent_ms = beats_silent_ms(i);

	if (silent_ms)
		string_print(silent, sizeof silent, ", not answering for %llds",
		             (long long)silent_ms / 1000);
	if (i->pid)
		string_print_cut(line, sizeof line, "%-12s pid %-8ld uid %-8ld up %llds%s%s%s",
		                 i->row->name, (long)i->pid, (long)i->uid,
		                 (long long)((loop_now_ms(master.loop) - i->started_ms) / 1000),
		                 i->ready ? "" : ", not ready", silent,
		                 i->starts > 1 ? ", restarted" : "");
	else
		string_print_cut(line, sizeof line, "%-12s not running", i->row->name);
	control_line_put(&out, line);
	control_answer_add(&a->lines, &out);
}

/* First, so that who hears of a program that does not run knows why. */
static void say_state(struct asker *a)
{
	if (master.up && !master.stopping)
		return;
	control_line_put(&out, master.stopping ? "state        stopping" : "state        starting");
	control_answer_add(&a->lines, &out);
}

static void say_generation(struct asker *a)
{
	char line[CONTROL_LINE_MAX];

	string_print(line, sizeof line, "generation   %ld", master.generation_number);
	control_line_put(&out, line);
	control_answer_add(&a->lines, &out);
	string_print_cut(line, sizeof line, "directory    %s", master.state_directory);
	control_line_put(&out, line);
	control_answer_add(&a->lines, &out);
}

static void say_refused(struct asker *a)
{
	char line[CONTROL_LINE_MAX];

	string_print_cut(line, sizeof line, "reload       refused: %s", master.refused);
	control_line_put(&out, line);
	control_answer_add(&a->lines, &out);
}

static void say_replaced(void *context, const char *text)
{
	struct asker *a = context;
	char line[CONTROL_LINE_MAX];

	string_print_cut(line, sizeof line, "replaced     %s", text);
	control_line_put(&out, line);
	control_answer_add(&a->lines, &out);
}

static void say_keyless(void *context, const char *file, bool lost)
{
	struct asker *a = context;
	char line[CONTROL_LINE_MAX];

	string_print_cut(line, sizeof line,
	                 "tls          %s for %s%s: its private key is not in the generation; put "
	                 "the key back and run posthouse build --reload",
	                 lost ? "works" : "does not work", file,
	                 lost ? " only until keyd restarts" : "");
	control_line_put(&out, line);
	control_answer_add(&a->lines, &out);
}

/* One line for each program: more than a socket takes at once. */
static void status(struct asker *a)
{
	control_version_put(&out, version_text);
	control_answer_add(&a->lines, &out);
	say_state(a);
	for (const struct instance *i = master.instances; i != NULL; i = i->next)
		if (!i->trial)
			say(a, i);
	say_generation(a);
	keyless_each(say_keyless, a);
	if (master.refused[0])
		say_refused(a);
	if (master.up && !master.stopping)
		calls->replaced(say_replaced, a);
	control_end_put(&out, EXIT_DONE,
	                master.stopping ? "stopping"
	                : master.up     ? ""
	                                : "starting");
	control_answer_add(&a->lines, &out);
}

/* queued takes the connection over and answers all that follows. */
static void pass_to_queued(struct asker *a)
{
	int fd = a->watch.fd;
	const struct instance *queued = resident_of(HOUSE_QUEUED, 0);

	master_file_put(&out, MASTER_CONTROL, fd);
	bool sent = queued->pid != 0 && wire_send(queued->wire.fd, &out) == WIRE_OK;

	a->passed_on = sent;
	answer(fd, sent ? EXIT_DONE : EXIT_TEMPORARY, sent ? "" : "queued is not running");
}

/* They answer with what they know; the last of them who closes the connection ends the answer. What
 * is asked is theirs to read. */
static void pass_to_sessions(struct asker *a, struct view request)
{
	wire_begin(&out, MASTER_SESSIONS);
	text_add(&out.bytes, request);
	wire_put_fd(&out, a->watch.fd);
	unsigned untold = residents_tell_sessions(&out);

	a->passed_on = true;
	if (untold)
		answer(a->watch.fd, EXIT_TEMPORARY, "not all programs could be asked");
}

/* The asker goes when they have all. */
static void flush(struct asker *a)
{
	if (control_answer_send(&a->lines, a->watch.fd) == WIRE_AGAIN) {
		loop_change(master.loop, &a->watch, LOOP_WRITE);
		loop_timer_set(master.loop, &a->late, loop_now_ms(master.loop) + PATIENCE_MS);
	} else {
		drop(a);
	}
}

/* When the answer is known: the programs are tried first. */
static void begin_round(struct asker *a, unsigned (*ask)(void))
{
	if (master.stopping) {
		answer(a->watch.fd, EXIT_TEMPORARY, "posthouse is stopping");
		flush(a);
		return;
	}
	loop_timer_clear(master.loop, &a->late);
	a->waits_for_round = ask();
}

void control_reloaded(unsigned round, int result, const struct reason *why)
{
	for (struct asker *a = askers; a < askers + ASKERS_MAX; a++)
		if (a->waits_for_round && a->waits_for_round <= round) {
			answer(a->watch.fd, result < 0 ? EXIT_PERMANENT : EXIT_DONE, why->text);
			flush(a);
		}
}

static void said(struct watch *w, unsigned events)
{
	static void (*const verbs[])(struct asker * a) = {
		[CONTROL_STATUS] = status, [CONTROL_QUEUE] = pass_to_queued
	};
	struct asker *a = loop_owner(w, struct asker, watch);
	struct wire_in in;

	if (a->lines.packets.len > 0) {
		if (events & LOOP_HANGUP)
			drop(a);
		else
			flush(a);
		return;
	}
	enum wire_result r = wire_receive_now(w->fd, &in);
	bool whole = r == WIRE_OK && wire_end(&in);
	bool of_sessions = r == WIRE_OK && in.type == CONTROL_SESSIONS && in.fd_count == 0 &&
	                   in.rest.len < CONTROL_LINE_MAX;

	if (r == WIRE_AGAIN)
		return;
	if (whole && in.type == CONTROL_STOP && !a->waits_for_stop) {
		a->waits_for_stop = true;
		loop_timer_clear(master.loop, &a->late);
		calls->stop(false);
		return;
	}
	if (whole && !a->waits_for_round && in.type == CONTROL_RELOAD) {
		begin_round(a, calls->reload);
		return;
	}
	if (of_sessions)
		pass_to_sessions(a, in.rest);
	else if (whole && in.type < sizeof verbs / sizeof verbs[0] && verbs[in.type] != NULL)
		verbs[in.type](a);
	else if (r == WIRE_OK)
		answer(w->fd, EXIT_PERMANENT,
		       "invalid request: the command and master are of different versions");
	wire_in_close(&in);
	flush(a);
}

static void late(struct timer *t)
{
	drop(loop_owner(t, struct asker, late));
}

/* The group's members are let in by the socket's mode; no name service is asked here, where nothing
 * may wait. */
static bool may_speak(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	return peer.uid == 0 || peer.uid == geteuid() || master.settings.control_group[0] != '\0';
}

static struct timer door_shut;

static void pause_over(struct timer *t)
{
	(void)t;
	loop_watch(master.loop, &door, LOOP_READ);
}

static void pause_accepting(void)
{
	log_warn("event=accept-failed reason=\"%m\"");
	loop_unwatch(master.loop, &door);
	loop_timer_set(master.loop, &door_shut, loop_now_ms(master.loop) + ACCEPT_PAUSE_MS);
}

static void let_in(int fd)
{
	struct asker *a = free_place();

	if (!may_speak(fd) || a == NULL) {
		answer(fd, a == NULL ? EXIT_TEMPORARY : EXIT_PERMANENT,
		       a == NULL ? "too many commands at once; try again" : "not permitted");
		wire_hang_up(fd);
		return;
	}
	*a = (struct asker){ .watch = { .fd = fd, .ready = said }, .late.due = late };
	loop_watch(master.loop, &a->watch, LOOP_READ);
	loop_timer_set(master.loop, &a->late, loop_now_ms(master.loop) + PATIENCE_MS);
}

static void accept_one(struct watch *w, unsigned events)
{
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0)
		let_in(fd);
	/* Out of descriptors: the next event would come at once. */
	else if (out_of_resources(errno))
		pause_accepting();
}

static void leave_door(void)
{
	int fd;

	loop_unwatch(master.loop, &door);
	loop_timer_clear(master.loop, &door_shut);
	while ((fd = accept4(door.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		let_in(fd);
	close(door.fd);
}

void control_listen(int listener, const struct control_calls *c)
{
	if (calls != NULL)
		leave_door();
	calls = c;
	door.fd = listener;
	door.ready = accept_one;
	door_shut.due = pause_over;
	loop_watch(master.loop, &door, LOOP_READ);
}

/* The socket goes first: who hears that it has stopped may start it again at once. */
void control_stopped(void)
{
	char path[PATH_MAX];

	loop_unwatch(master.loop, &door);
	close(door.fd);
	string_print(path, sizeof path, "%s/control", master.settings.directory_run);
	unlink(path);
	for (unsigned i = 0; i < ASKERS_MAX; i++)
		if (askers[i].waits_for_stop)
			answer(askers[i].watch.fd, EXIT_DONE, "");
}
