/* SPDX-License-Identifier: ISC */
/* The skeleton of services against the serving end: workers greet, work, are reused, replaced after
 * a crash, told to grow, and stop. */
#include "lib/wire/worker.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/program.h"
#include "lib/wire/hub.h"
#include "t/said.h"
#include "t/tap.h"

enum { SAY_PID = WIRE_OWN, DIE, PID };

/* ---- the service, in a process of its own ---- */

static void work(struct wire_in *in, int hub)
{
	struct wire_out out = { 0 };

	if (in->type == DIE)
		abort();
	wire_begin(&out, PID);
	wire_put_u32(&out, (uint32_t)getpid());
	wire_send(hub, &out);
	wire_out_free(&out);
}

static pid_t start_service(int shared_fd)
{
	static const struct worker_service service = { .wire = "hub.test",
		                                       .protocol = "test",
		                                       .workers_min = 1,
		                                       .workers_max = 3,
		                                       .reuse = 2,
		                                       .idle_ms = 60000,
		                                       .work = work };
	char fds[64];
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	snprintf(fds, sizeof fds, "hub.test=%d,said=%d", shared_fd, said_ends[0]);
	setenv("POSTHOUSE_FDS", fds, 1);
	program_start("test");
	said_here();
	worker_run(&service);
}

/* ---- the hub ---- */

static struct loop *loop;
static struct hub hub;
static uint32_t pids[16];
static unsigned pid_count, opened, closed;
static unsigned until_opened, until_pids, until_closed;

static void stop_when_there(void)
{
	if (opened >= until_opened && pid_count >= until_pids && closed >= until_closed)
		loop_stop(loop);
}

static void on_opened(struct hub_line *line)
{
	(void)line;
	opened++;
}

static void on_closed(struct hub_line *line)
{
	(void)line;
	closed++;
	stop_when_there();
}

static void on_idle(struct hub_line *line)
{
	(void)line;
	stop_when_there();
}

static void on_message(struct hub_line *line, struct wire_in *in)
{
	(void)line;
	if (in->type == PID)
		pids[pid_count++] = wire_get_u32(in);
}

static void late(struct timer *t)
{
	(void)t;
	printf("Bail out! nothing happened in time: opened %u closed %u pids %u\n", opened, closed,
	       pid_count);
	exit(1);
}

static void run_until(unsigned want_opened, unsigned want_pids, unsigned want_closed)
{
	static struct timer patience = { .due = late };

	until_opened = want_opened;
	until_pids = want_pids;
	until_closed = want_closed;
	loop_timer_set(loop, &patience, loop_now_ms(loop) + 120000);
	loop_run(loop);
	loop_timer_clear(loop, &patience);
}

static void send_type(struct hub_line *line, unsigned char type)
{
	struct wire_out out = { 0 };

	wire_begin(&out, type);
	hub_line_send(line, &out);
	wire_out_free(&out);
}

int main(void)
{
	int ends[2], status;

	setvbuf(stdout, NULL, _IONBF, 0); /* nothing buffered for the children to print again */
	ok(wire_pair(ends) == 0, "a shared wire");
	said_begin();
	pid_t service = start_service(ends[1]);

	loop = loop_new();
	hub = (struct hub){ .loop = loop,
		            .protocol = "test",
		            .line_size = sizeof(struct hub_line),
		            .lines_max = 16,
		            .workers = true,
		            .opened = on_opened,
		            .message = on_message,
		            .closed = on_closed,
		            .idle = on_idle };
	hub_start(&hub, ends[0]);
	run_until(1, 0, 0);
	ok(hub.idle_lines.count == 1, "the minimum of workers greets and is idle");

	struct hub_line *worker = hub_take_idle(&hub);

	ok(worker != NULL && hub.idle_lines.count == 0, "it is taken");
	send_type(worker, SAY_PID);
	run_until(1, 1, 0);
	ok(pid_count == 1 && pids[0] != (uint32_t)service, "it worked, in a process of its own");
	ok(hub.idle_lines.count == 1, "and is idle again");
	send_type(hub_take_idle(&hub), SAY_PID);
	run_until(2, 2, 1);
	ok(pids[1] == pids[0], "it is used again");
	ok(hub.idle_lines.count == 1 && closed == 1,
	   "after `reuse` jobs it ends, and another keeps the minimum");

	hub_want(&hub, 2);
	run_until(4, 2, 1);
	ok(hub.lines.count == 3, "told to grow, the parent forks as many as are wanted");
	hub_want(&hub, 8);

	send_type(hub_take_idle(&hub), DIE);
	run_until(4, 2, 2);
	ok(hub.lines.count == 2, "a worker that crashes is seen to be gone");
	ok(said("event=worker-died"), "and told to the log");

	kill(service, SIGTERM);
	run_until(4, 2, 4);
	ok(hub.lines.count == 0, "stopped, the idle workers leave");
	ok(waitpid(service, &status, 0) == service && WIFEXITED(status) && WEXITSTATUS(status) == 0,
	   "and the parent ends with 0");
	loop_free(&loop);
	return tap_done();
}
