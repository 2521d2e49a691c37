/* SPDX-License-Identifier: ISC */
/* Who is there, in a crowd: all are told, checked in portions, and ended one by one. */
#include "lib/wire/attendance.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/program.h"
#include "lib/wire/control.h"
#include "lib/wire/master.h"
#include "t/patience.h"
#include "t/tap.h"

enum {
	CROWD = 10000,
	ENDED = 5 /* the number of the one that is to end */,
	ANNAS = 3,
	PACKETS_MAX = 1000
};

static struct loop *loop;
static struct attendance *attendance;
static struct attendant *crowd[CROWD];
static pid_t worker; /* of them all */

/* ---- authd's end ---- */

static struct watch authd;
static unsigned checked, packets, least_rounds, expected = CROWD;
static bool known[CROWD + 1];

static void count_round(struct deferred *d)
{
	(void)d;
	least_rounds++;
}

static void authd_heard(struct watch *w, unsigned events)
{
	static struct deferred round = { .run = count_round };
	struct session_facts f;
	struct wire_in in;

	(void)events;
	if (wire_receive_now(w->fd, &in) != WIRE_OK)
		return;
	while (in.type == SESSION_CHECK && in.rest.len && session_facts_get(&in, &f) &&
	       f.id <= CROWD) {
		checked += !known[f.id];
		known[f.id] = true;
	}
	packets++;
	loop_defer(loop, &round);
	if (checked == expected)
		loop_stop(loop);
}

static void tell(void)
{
	printf("checked %u\n", checked);
}

static void end_one(uint64_t id)
{
	struct wire_out out = { 0 };

	wire_begin(&out, SESSION_END);
	wire_put_u64(&out, id);
	wire_send(authd.fd, &out);
	wire_out_free(&out);
}

/* authd has another map. */
static void say_again(const char *account)
{
	struct wire_out out = { 0 };

	wire_begin(&out, SESSION_AGAIN);
	wire_put_string(&out, account);
	wire_send(authd.fd, &out);
	wire_out_free(&out);
	checked = 0;
	memset(known, 0, sizeof known);
}

/* As master's answer. */
static void give_line(void)
{
	struct wire_out out = { 0 };
	struct wire_in in;
	int ends[2], carrier[2];

	wire_pair(ends);
	wire_pair(carrier);
	master_file_put(&out, MASTER_DIALLED, ends[1]);
	wire_send(carrier[0], &out);
	wire_receive(carrier[1], &in);
	attendance_master_said(attendance, &in);
	wire_in_close(&in);
	wire_out_free(&out);
	close(ends[1]);
	close(carrier[0]);
	close(carrier[1]);
	authd = (struct watch){ .fd = ends[0], .ready = authd_heard };
	loop_watch(loop, &authd, LOOP_READ);
	checked = 0;
	memset(known, 0, sizeof known);
}

static void take_line_away(void)
{
	loop_unwatch(loop, &authd);
	wire_hang_up(authd.fd);
}

/* ---- master's end ---- */

static struct watch master;
static bool asked_for_line;

static void master_heard(struct watch *w, unsigned events)
{
	struct wire_in in;

	(void)events;
	if (wire_receive_now(w->fd, &in) != WIRE_OK)
		return;
	asked_for_line = in.type == MASTER_DIAL && wire_end(&in);
	wire_in_close(&in);
	loop_stop(loop);
}

/* ---- the asker ---- */

static struct watch asker;
static unsigned told, annas;
static bool answer_over, told_wrongly;

static void asker_heard(struct watch *w, unsigned events)
{
	struct control_session s;
	struct wire_in in;
	enum wire_result r = wire_receive_now(w->fd, &in);

	(void)events;
	if (r == WIRE_CLOSED) {
		answer_over = true;
		loop_unwatch(loop, w);
		close(w->fd);
		loop_stop(loop);
	}
	while (r == WIRE_OK && in.type == CONTROL_SESSION_ENTRY && in.rest.len) {
		if (!control_session_get(&in, &s) || s.pid != (uint32_t)worker || s.since_s == 0) {
			told_wrongly = true;
			return;
		}
		told++;
		annas += strcmp(s.facts.account, "anna@example.test") == 0;
	}
}

static void ask(const struct control_sessions *q)
{
	struct wire_out question = { 0 }, out = { 0 };
	struct wire_in in;
	int ends[2], carrier[2];

	wire_pair(ends);
	wire_pair(carrier);
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	control_sessions_put(&question, q);
	wire_begin(&out, MASTER_SESSIONS);
	text_add(&out.bytes, view_skip(text_view(&question.bytes), 1));
	wire_put_fd(&out, ends[1]);
	wire_send(carrier[0], &out);
	close(ends[1]);
	wire_receive(carrier[1], &in);
	told = annas = 0;
	answer_over = told_wrongly = false;
	attendance_master_said(attendance, &in);
	wire_in_close(&in);
	wire_out_free(&question);
	wire_out_free(&out);
	close(carrier[0]);
	close(carrier[1]);
	asker = (struct watch){ .fd = ends[0], .ready = asker_heard };
	loop_watch(loop, &asker, LOOP_READ);
	patience_run(loop, tell);
}

/* ---- */

static void enter_all(void)
{
	for (unsigned n = 0; n < CROWD; n++) {
		struct session_facts f = { .id = n + 1, .service = CONNECTION_IMAP, .stamp = n };

		snprintf(f.account, sizeof f.account,
		         n < ANNAS ? "anna@example.test" : "user%u@example.test", n);
		crowd[n] = attendance_enter(attendance, &f, worker);
	}
}

static void test_check(void)
{
	patience_run(loop, tell);
	ok(asked_for_line, "without a wire of its own it asks master for a line to authd");
	give_line();
	patience_run(loop, tell);
	ok(checked == CROWD, "authd is told of all");
	ok(packets > 10 && packets < PACKETS_MAX && least_rounds > 10,
	   "in portions, %u packets in %u rounds at least", packets, least_rounds);
	asked_for_line = false;
	take_line_away();
	patience_run(loop, tell);
	ok(asked_for_line, "when authd is replaced it asks again");
	give_line();
	patience_run(loop, tell);
	ok(checked == CROWD, "and the new one is told of all as well");
}

static void test_again(void)
{
	say_again("");
	patience_run(loop, tell);
	ok(checked == CROWD, "one that has another map is told of all again");
	expected = ANNAS;
	say_again("Anna@example.test");
	patience_run(loop, tell);
	ok(checked == ANNAS && known[1] && known[ANNAS], "or of those of one account");
	expected = CROWD;
}

static void test_who(void)
{
	ask(&(struct control_sessions){ 0 });
	ok(told == CROWD && annas == ANNAS && answer_over && !told_wrongly,
	   "whoever asks is told of all, %u", told);
	ask(&(struct control_sessions){ .whom = "Anna@example.test" });
	ok(told == ANNAS && annas == ANNAS, "or of one account's");
	ask(&(struct control_sessions){ .id = 77, .whom = "77" });
	ok(told == 1, "or of one");
	ask(&(struct control_sessions){ .end = true });
	ok(told == 0 && answer_over, "an order to end them all is none");
}

static volatile sig_atomic_t signals;

static void on_signal(int number)
{
	(void)number;
	signals++;
}

/* The worker tells of each signal, and does not end. */
static pid_t start_worker(int pipe_end)
{
	pid_t pid = fork();
	struct sigaction action = { .sa_handler = on_signal };

	if (pid != 0)
		return pid;
	sigset_t usr1, old;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, &old);
	sigaction(SIGUSR1, &action, NULL);
	(void)!write(pipe_end, "r", 1);
	for (;;) {
		sigsuspend(&old);
		(void)!write(pipe_end, "s", 1);
	}
}

static char heard_of_worker; /* 's': a signal, 0: its end */

static void worker_heard(struct watch *w, unsigned events)
{
	(void)events;
	if (read(w->fd, &heard_of_worker, 1) != 1)
		heard_of_worker = 0;
	loop_stop(loop);
}

static void test_end(int pipe_end)
{
	struct watch pipe_watch = { .fd = pipe_end, .ready = worker_heard };
	int status;

	loop_watch(loop, &pipe_watch, LOOP_READ);
	end_one(CROWD + 7);
	end_one(ENDED);
	patience_run(loop, tell);
	ok(heard_of_worker == 's', "a session that authd names is told to end");
	patience_run(loop, tell);
	loop_unwatch(loop, &pipe_watch);
	ok(heard_of_worker == 0 && waitpid(worker, &status, 0) == worker && WIFSIGNALED(status) &&
	           WTERMSIG(status) == SIGKILL,
	   "and killed when it does not");
}

int main(void)
{
	int wire[2], ready[2];
	char fds[32], byte;

	wire_pair(wire);
	(void)!pipe(ready);
	worker = start_worker(ready[1]);
	close(ready[1]);
	ok(read(ready[0], &byte, 1) == 1, "a worker");
	snprintf(fds, sizeof fds, "master=%d", wire[1]);
	setenv("POSTHOUSE_FDS", fds, 1);
	program_start("test");
	loop = loop_new();
	attendance = attendance_new(loop);
	master = (struct watch){ .fd = wire[0], .ready = master_heard };
	loop_watch(loop, &master, LOOP_READ);
	enter_all();
	test_check();
	test_again();
	test_who();
	test_end(ready[0]);
	for (unsigned n = 0; n < CROWD; n++)
		attendance_leave(attendance, &crowd[n]);
	ask(&(struct control_sessions){ 0 });
	ok(told == 0, "and nobody is left");
	loop_free(&loop);
	return tap_done();
}
