/* SPDX-License-Identifier: ISC */
/* The skeleton of services against the serving end: workers greet, work, are reused, replaced after
 * a crash, told to grow, and stop. */
#include "lib/wire/worker.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/program.h"
#include "lib/wire/hub.h"
#include "t/said.h"
#include "t/patience.h"
#include "t/tap.h"

enum {
	SAY_PID = WIRE_OWN,
	DIE,
	PID,
	BREAK_OUT,
	BROKEN_OUT,
	DIAL_OFTEN,
	DIALLED,
	ASK_DEAD,
	BE_DEAF
};
enum {
	SESSIONS = 4, /* at a time */
	DIALS = 5,
	DEAD_DIAL = 2,    /* its place among the service's dials */
	PASS_RIGHTS = 83, /* SO_PASSRIGHTS */
	FAILED_TO_FORK = 1,
	FAILED_TO_KILL_PARENT = 2,
	FAILED_TO_KILL_SIBLING = 4,
	FEW_DESCRIPTORS = 8,
	NO_WIRE = 16,
	PARENT_TAKES_NONE = 32
};

/* The sanitizers' builds have no sandbox. */
#ifdef __SANITIZE_ADDRESS__
enum { EXPECTED_FAILURES = FEW_DESCRIPTORS | NO_WIRE };
#else
enum {
	EXPECTED_FAILURES = FAILED_TO_FORK | FAILED_TO_KILL_PARENT | FAILED_TO_KILL_SIBLING |
	                    FEW_DESCRIPTORS | NO_WIRE
};
#endif

/* ---- the service, in a process of its own ---- */

/* The line to it. */
static int parent_of(int hub)
{
	int parent = 3;

	while (parent == hub || fcntl(parent, F_GETFD) < 0)
		parent++;
	return parent;
}

/* Descriptors that lie in a line would count against all processes of the uid. */
static bool parent_takes_a_descriptor(int hub)
{
	struct wire_out out = { 0 };

	wire_begin(&out, DIAL_ASK);
	wire_put_fd(&out, hub);
	enum wire_result r = wire_send(parent_of(hub), &out);

	wire_out_free(&out);
	return r == WIRE_OK;
}

/* Linux before 6.16 cannot refuse them: there the parent ends the line. */
static bool kernel_refuses_descriptors(void)
{
	int ends[2], off = 0;
	bool refuses = wire_pair(ends) == 0 &&
	               setsockopt(ends[0], SOL_SOCKET, PASS_RIGHTS, &off, sizeof off) == 0;

	close(ends[0]);
	close(ends[1]);
	return refuses;
}

/* The sibling's pid is the message's; what failed, as bits. */
static uint32_t break_out(pid_t sibling, int hub)
{
	unsigned open_ones = 0;
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	if (child > 0)
		waitpid(child, NULL, 0);
	for (int fd = 0; fd < 1024; fd++)
		open_ones += fcntl(fd, F_GETFD) >= 0;
	return (child < 0 ? FAILED_TO_FORK : 0u) |
	       (kill(getppid(), 0) < 0 ? FAILED_TO_KILL_PARENT : 0u) |
	       (kill(sibling, 0) < 0 ? FAILED_TO_KILL_SIBLING : 0u) |
	       (open_ones == 3 + 2 ? FEW_DESCRIPTORS : 0u) |
	       (parent_takes_a_descriptor(hub) ? 0u : PARENT_TAKES_NONE) |
	       (program_fd("hub.test") < 0 && program_fd("other.test") < 0 ? NO_WIRE : 0u);
}

/* Lines without end to the same wire: all are given, and only the last of them lives. */
static uint32_t dial_often(void)
{
	int lines[DIALS];
	uint32_t alive = 0;
	struct wire_in in;

	for (int i = 0; i < DIALS; i++) {
		lines[i] = dial("other.test", "other");
		if (lines[i] < 0)
			return 100;
	}
	for (int i = 0; i < DIALS - 1; i++)
		alive += wire_receive(lines[i], &in) != WIRE_CLOSED;
	return alive + (dial("missing.test", "other") >= 0) + (dial("hub.test", "test") >= 0);
}

/* Whose other end is gone; not waited for. */
static void ask_for_dead_one(int hub)
{
	struct wire_out out = { 0 };

	dial_ask_put(&out, DEAD_DIAL);
	wire_send(parent_of(hub), &out);
	wire_out_free(&out);
}

static void work(struct wire_in *in, int hub)
{
	struct wire_out out = { 0 };

	if (in->type == DIE)
		abort();
	if (in->type == ASK_DEAD)
		ask_for_dead_one(hub);
	if (in->type == BE_DEAF)
		signal(SIGTERM, SIG_IGN);
	if (in->type == BREAK_OUT) {
		uint32_t failed = break_out((pid_t)wire_get_u32(in), hub);

		wire_begin(&out, BROKEN_OUT);
		wire_put_u32(&out, failed);
	} else if (in->type == DIAL_OFTEN) {
		uint32_t alive = dial_often();

		wire_begin(&out, DIALLED);
		wire_put_u32(&out, alive);
	} else {
		wire_begin(&out, PID);
		wire_put_u32(&out, (uint32_t)getpid());
	}
	wire_send(hub, &out);
	wire_out_free(&out);
}

static pid_t start_service(int shared_fd, int other_fd, int dead_fd)
{
	static const struct worker_service service = { .wire = "hub.test",
		                                       .protocol = "test",
		                                       .dials = { { "other.test", "other" },
		                                                  { "missing.test", "other" },
		                                                  { "dead.test", "other" } },
		                                       .workers_min = 1,
		                                       .workers_max = 3,
		                                       .reuse = 2,
		                                       .idle_ms = 60000,
		                                       .work = work };
	char fds[64];
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	snprintf(fds, sizeof fds, "hub.test=%d,other.test=%d,dead.test=%d", shared_fd, other_fd,
	         dead_fd);
	setenv("POSTHOUSE_FDS", fds, 1);
	program_start("test");
	dup2(said_ends[0], STDERR_FILENO); /* which a worker keeps */
	worker_run(&service);
}

/* ---- the hub ---- */

static struct loop *loop;
static struct hub hub, other;
static uint32_t pids[16];
static uint32_t broken_out, alive = 100;
static unsigned pid_count, opened, closed;
static unsigned until_opened, until_pids, until_closed;
static bool unwanted;

static void stop_when_there(void)
{
	if (opened >= until_opened && pid_count >= until_pids && closed >= until_closed)
		loop_stop(loop);
}

static void on_opened(struct hub_line *line)
{
	opened++;
	if (unwanted)
		hub_line_drop(line, NULL);
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
	if (in->type == BROKEN_OUT)
		broken_out = wire_get_u32(in);
	if (in->type == DIALLED)
		alive = wire_get_u32(in);
}

static void tell(void)
{
	printf("opened %u closed %u pids %u\n", opened, closed, pid_count);
}

static void run_until(unsigned want_opened, unsigned want_pids, unsigned want_closed)
{
	until_opened = want_opened;
	until_pids = want_pids;
	until_closed = want_closed;
	patience_run(loop, tell);
}

static void send_type(struct hub_line *line, unsigned char type)
{
	struct wire_out out = { 0 };

	wire_begin(&out, type);
	if (type == BREAK_OUT)
		wire_put_u32(&out, (uint32_t)getpid());
	hub_line_send(line, &out);
	wire_out_free(&out);
}

/* A hub that closes each line at once, as one does that takes its parent for an outdated one. */
static void test_unwanted(void)
{
	enum { FORKS = 12, AT_ONCE = 9 /* then two a second */ };
	int ends[2], others[2], status;

	wire_pair(ends);
	wire_pair(others);
	opened = closed = 0;
	unwanted = true;
	pid_t service = start_service(ends[1], others[1], others[1]);
	int64_t begin = clock_ms();

	hub.watch.fd = -1;
	hub_start(&hub, ends[0]);
	run_until(FORKS, pid_count, FORKS);
	ok(clock_ms() - begin >= (FORKS - AT_ONCE) / 2 * 1000,
	   "workers whose line is closed before they had a job are not replaced without a pause");
	kill(service, SIGTERM);
	ok(waitpid(service, &status, 0) == service && WIFEXITED(status) && WEXITSTATUS(status) == 0,
	   "which a stop does not wait for");
}

static void start_hubs(int wire, int other_wire)
{
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
	hub_start(&hub, wire);
	other = (struct hub){ .loop = loop,
		              .protocol = "other",
		              .line_size = sizeof(struct hub_line),
		              .lines_max = 16,
		              .message = on_message };
	hub_start(&other, other_wire);
}

/* The steps follow each other: the numbers of those that have greeted, spoken, gone go on. */
static void test_jobs(pid_t service)
{
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
}

static void test_jail(void)
{
	send_type(hub_take_idle(&hub), BREAK_OUT);
	run_until(2, 2, 1);
	while (hub.idle_lines.count == 0)
		run_until(2, 2, 1);
	ok(broken_out ==
	           (EXPECTED_FAILURES | (kernel_refuses_descriptors() ? PARENT_TAKES_NONE : 0u)),
	   "a worker cannot fork, cannot signal its parent or others, has two lines and no wire, and sends its parent no descriptor (%u)",
	   broken_out);
}

static void test_dialling(void)
{
	send_type(hub_take_idle(&hub), DIAL_OFTEN);
	run_until(3, 2, 2);
	ok(alive == 0,
	   "asked for lines again and again, its parent gives them, and only the last lives (%u)",
	   alive);
	ok(other.lines.count <= 1, "the hub has at most one line of it");

	send_type(hub_take_idle(&hub), ASK_DEAD);
	run_until(3, 3, 2);
	ok(said_until("event=dial-failed wire=dead.test"),
	   "a wire that nobody serves is told to the log");
	send(hub_take_idle(&hub)->watch.fd, "", 0, 0);
	run_until(4, 3, 3);
	ok(said_until("event=wire-dropped protocol=test"), "and a job that cannot be received");
}

static void test_growth(void)
{
	hub_want(&hub, 2);
	run_until(6, 3, 3);
	ok(hub.lines.count == 3, "told to grow, the parent forks as many as are wanted");
	hub_want(&hub, 8);

	send_type(hub_take_idle(&hub), DIE);
	run_until(6, 3, 4);
	ok(hub.lines.count == 2, "a worker that crashes is seen to be gone");
	ok(said("event=worker-died"), "and told to the log");
}

static void test_end(pid_t service)
{
	int status;

	send_type(hub_take_idle(&hub), BE_DEAF);
	run_until(6, 4, 4);
	kill(service, SIGTERM);
	run_until(6, 4, 6);
	ok(hub.lines.count == 0,
	   "stopped, the idle workers leave, and one that ignores SIGTERM is killed");
	ok(waitpid(service, &status, 0) == service && WIFEXITED(status) && WEXITSTATUS(status) == 0,
	   "and the parent ends with 0");
}

/* ---- a service that forks: each message is a session ---- */

/* What its client hears first is who serves it; it ends with its client. */
static void serve_client(struct wire_in *in, int none)
{
	int client = wire_get_fd(in);
	char byte;

	(void)none;
	if (write(client, "x", 1) == 1)
		(void)!read(client, &byte, 1);
	close(client);
}

/* A reload that comes before the newborn has its handlers. */
static void be_told_to_go(void)
{
	raise(SIGHUP);
}

static pid_t start_sessions(int wire)
{
	static const struct worker_service service = { .wire = "sessions.test",
		                                       .forks = true,
		                                       .workers_max = SESSIONS,
		                                       .work = serve_client };
	char fds[64];
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	snprintf(fds, sizeof fds, "sessions.test=%d", wire);
	setenv("POSTHOUSE_FDS", fds, 1);
	program_start("test");
	dup2(said_ends[0], STDERR_FILENO);
	pthread_atfork(NULL, NULL, be_told_to_go);
	worker_run(&service);
}

/* The client's end. */
static int send_session(int wire)
{
	struct wire_out out = { 0 };
	int ends[2];

	socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
	wire_begin(&out, WIRE_OWN);
	wire_put_fd(&out, ends[1]);
	wire_send(wire, &out);
	wire_out_free(&out);
	close(ends[1]);
	return ends[0];
}

static unsigned count_served(const int clients[], unsigned count)
{
	unsigned served = 0;
	char byte;

	for (unsigned i = 0; i < count; i++)
		served += read(clients[i], &byte, 1) == 1;
	return served;
}

static void test_sessions_and_reload(void)
{
	int ends[2], status, clients[2 * SESSIONS];

	wire_pair(ends);
	pid_t service = start_sessions(ends[1]);

	close(ends[1]);
	clients[0] = send_session(ends[0]);
	ok(count_served(clients, 1) == 1,
	   "a session is served whose worker was told to go at its birth");
	kill(service, SIGSTOP);
	waitpid(service, &status, WUNTRACED);
	for (unsigned i = 1; i < 2 * SESSIONS; i++)
		clients[i] = send_session(ends[0]);
	kill(service, SIGHUP);
	kill(service, SIGCONT);
	ok(count_served(clients + 1, SESSIONS - 1) == SESSIONS - 1,
	   "a parent that is replaced serves the sessions that wait in its wire");
	for (unsigned i = 0; i < SESSIONS; i++)
		close(clients[i]);
	ok(count_served(clients + SESSIONS, SESSIONS) == SESSIONS,
	   "those beyond its most as soon as others have ended");
	for (unsigned i = SESSIONS; i < 2 * SESSIONS; i++)
		close(clients[i]);
	ok(waitpid(service, &status, 0) == service && WIFEXITED(status) && WEXITSTATUS(status) == 0,
	   "and ends behind the last");
	close(ends[0]);
}

int main(void)
{
	int ends[2], others[2], dead[2];

	setvbuf(stdout, NULL, _IONBF, 0); /* nothing buffered for the children to print again */
	ok(wire_pair(ends) == 0, "a shared wire");
	said_begin();
	wire_pair(others);
	wire_pair(dead);
	close(dead[0]);
	pid_t service = start_service(ends[1], others[1], dead[1]);

	start_hubs(ends[0], others[0]);
	run_until(1, 0, 0);
	ok(hub.idle_lines.count == 1, "the minimum of workers greets and is idle");
	test_jobs(service);
	test_jail();
	test_dialling();
	test_growth();
	test_end(service);
	hub_stop(&hub);
	test_unwanted();
	test_sessions_and_reload();
	loop_free(&loop);
	return tap_done();
}
