/* SPDX-License-Identifier: ISC */
/*
 * The serving end of a wire: what is said or marked inside a callback is acted on by the loop, and
 * a line that broke stays memory until its `closed` has run. The sanitizer build is the other
 * judge.
 */
#include "lib/wire/hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "t/said.h"
#include "t/patience.h"
#include "t/tap.h"

enum { SEND_UNTIL_FULL = WIRE_OWN, SET_IDLE, STOP_HUB, DROP_OTHERS, ECHO, IDLE_AND_BREAK };
enum { PEERS = 3 };

struct peer {
	struct hub_line line;
	char witness[64];
};

static struct loop *loop;
static struct hub hub;
static int shared[2], peers[PEERS];
static unsigned opened, closed, idle_calls, until_closed, until_idle, until_opened;
static bool inside, nested, broken_seen;
static unsigned unheard;
static bool drop_in_closed;

static bool is_there(void)
{
	return closed >= until_closed && idle_calls >= until_idle && opened >= until_opened;
}

static void stop_when_there(void)
{
	if (is_there())
		loop_stop(loop);
}

static void tell(void)
{
	printf("opened %u closed %u idle %u\n", opened, closed, idle_calls);
}

static void run_until(unsigned o, unsigned c, unsigned i)
{
	until_opened = o;
	until_closed = c;
	until_idle = i;
	if (!is_there())
		patience_run(loop, tell);
}

static void on_opened(struct hub_line *line)
{
	memset(loop_owner(line, struct peer, line)->witness, 'w', sizeof(char[64]));
	opened++;
	stop_when_there();
}

static void on_closed(struct hub_line *line)
{
	nested = nested || inside;
	unheard = line->unheard;
	closed++;
	hub_line_drop(line, "again"); /* says nothing */
	if (drop_in_closed)
		LIST_EACH(other, &hub.lines, struct hub_line, all)
			hub_line_drop(other, NULL);
	stop_when_there();
}

static void on_idle(struct hub_line *line)
{
	nested = nested || inside || hub.idle_lines.first != &line->resting;
	idle_calls++;
	stop_when_there();
}

/* 60 KB at a time: the peer does not read, and the line breaks while we still write. */
static void send_until_full(struct peer *p)
{
	struct wire_out out = { 0 };
	static char much[60000];
	enum wire_result r = WIRE_OK;

	wire_begin(&out, ECHO);
	wire_put_view(&out, (struct view){ much, sizeof much });
	for (unsigned i = 0; i < 1000 && r == WIRE_OK; i++)
		r = hub_line_send(&p->line, &out);
	broken_seen = r == WIRE_CLOSED && p->line.dropped && p->witness[63] == 'w' &&
	              hub_line_send(&p->line, &out) == WIRE_CLOSED;
	p->witness[0] = 'x';
	wire_out_free(&out);
}

static void on_message(struct hub_line *line, struct wire_in *in)
{
	inside = true;
	switch (in->type) {
	case SEND_UNTIL_FULL: send_until_full(loop_owner(line, struct peer, line)); break;
	case SET_IDLE:
		hub_set_idle(line);
		hub_set_idle(line);
		nested = nested || hub_take_idle(&hub) != NULL; /* noted only */
		break;
	case IDLE_AND_BREAK:
		hub_set_idle(line);
		hub_line_drop(line, NULL);
		break;
	case STOP_HUB: hub_stop(&hub); break;
	case DROP_OTHERS:
		LIST_EACH(other, &hub.lines, struct hub_line, all)
			hub_line_drop(other, NULL);
		break;
	default: break;
	}
	inside = false;
}

static void say(int peer, unsigned char type)
{
	struct wire_out out = { 0 };

	wire_begin(&out, type);
	wire_send(peers[peer], &out);
	wire_out_free(&out);
}

/* Fresh lines, all counters at 0. */
static void start(bool workers)
{
	hub = (struct hub){ .loop = loop,
		            .protocol = "test",
		            .line_size = sizeof(struct peer),
		            .lines_max = PEERS,
		            .workers = workers,
		            .opened = on_opened,
		            .message = on_message,
		            .closed = on_closed,
		            .idle = on_idle };
	opened = closed = idle_calls = 0;
	nested = broken_seen = drop_in_closed = false;
	if (wire_pair(shared) < 0)
		exit(1);
	hub_start(&hub, shared[0]);
	for (int i = 0; i < PEERS; i++)
		peers[i] = wire_dial(shared[1], "test", 0);
	run_until(PEERS, 0, workers ? PEERS : 0);
}

static void finish(unsigned lines)
{
	for (int i = 0; i < PEERS; i++)
		close(peers[i]);
	run_until(0, lines, 0);
	hub_stop(&hub);
	close(shared[0]);
	close(shared[1]);
}

static void test_send_fails(void)
{
	start(false);
	said_begin();
	said_here();
	say(0, SEND_UNTIL_FULL);
	run_until(0, 1, 0);
	ok(said("event=wire-dropped"), "a line that breaks is told to the log");
	ok(broken_seen, "a line that breaks inside message() answers closed and stays memory");
	ok(closed == 1 && !nested && hub.lines.count == PEERS - 1,
	   "its end is told once, and not inside the send that found it");
	finish(PEERS);
}

/* An empty packet can be no message: not a peer's end, which would be no news. */
static void test_unreceivable(void)
{
	start(false);
	said_begin();
	said_here();
	send(peers[0], "", 0, 0);
	run_until(0, 1, 0);
	ok(said("event=wire-dropped protocol=test reason=\"a message that cannot be received\""),
	   "a line that says what nobody can receive is dropped, and the log is told");
	finish(PEERS);
}

static void test_idle(void)
{
	start(true);
	ok(idle_calls == PEERS && hub.idle_lines.count == PEERS, "new workers' lines become idle");
	while (hub_take_idle(&hub) != NULL)
		;
	say(0, SET_IDLE);
	run_until(0, 0, PEERS + 1);
	ok(idle_calls == PEERS + 1 && hub.idle_lines.count == 1 && !nested,
	   "set idle inside message(), it can be taken when the loop has said so");
	say(1, IDLE_AND_BREAK);
	run_until(0, 1, 0);
	ok(idle_calls == PEERS + 1 && hub.idle_lines.count == 1 && !nested,
	   "one that ends at once is never idle");
	finish(PEERS);
}

static void test_stop(void)
{
	start(true);
	say(2, STOP_HUB);
	run_until(0, PEERS, 0);
	ok(closed == PEERS && !nested && hub.lines.count == 0,
	   "stopped inside a line's own message(), every line ends, once");
	ok(hub.idle_lines.count == 0 && hub_take_idle(&hub) == NULL, "none is idle");
	finish(PEERS);
}

static void test_drop(void)
{
	start(false);
	drop_in_closed = true;
	close(peers[1]);
	peers[1] = dup(0);
	run_until(0, PEERS, 0);
	ok(closed == PEERS && hub.lines.count == 0, "lines dropped inside another one's closed()");
	finish(PEERS);
	start(false);
	say(0, DROP_OTHERS);
	run_until(0, PEERS, 0);
	ok(closed == PEERS && !nested, "all dropped inside message(), its own too");
	finish(PEERS);
}

/* What a peer could still say is known when its line ends: it leaves without having read all that
 * was sent to it, or the loop first comes to another line of the same worker. */
static void test_unheard(void)
{
	struct wire_out out = { 0 };

	start(false);
	wire_begin(&out, ECHO);
	hub_line_send(list_owner(hub.lines.last, struct hub_line, all), &out);
	wire_out_free(&out);
	say(0, SET_IDLE);
	say(0, ECHO);
	close(peers[0]);
	run_until(0, 1, 0);
	ok(unheard == SET_IDLE, "the first that it said is known (%u)", unheard);
	peers[0] = wire_dial(shared[1], "test", 7);
	run_until(PEERS + 1, 1, 0);
	int second = wire_dial(shared[1], "test", 7);

	say(0, ECHO);
	run_until(PEERS + 2, 2, 0);
	ok(unheard == ECHO, "also where a newer line ends it (%u)", unheard);
	close(peers[0]);
	peers[0] = second;
	finish(PEERS + 2);
	ok(unheard == 0, "and there may be none");
}

static void test_worker_numbers(void)
{
	start(false);
	close(peers[0]);
	run_until(0, 1, 0);
	int first = wire_dial(shared[1], "test", 7);

	run_until(PEERS + 1, 1, 0);
	int second = wire_dial(shared[1], "test", 7);

	run_until(PEERS + 2, 2, 0);
	struct wire_in in;

	ok(wire_receive(first, &in) == WIRE_CLOSED, "a worker's second line ends its first");
	close(first);
	peers[0] = second;
	ok(hub.lines.count == PEERS && wire_receive_now(second, &in) == WIRE_AGAIN, "and lives");
	finish(PEERS + 2);
}

static bool always_busy(const struct hub_line *line)
{
	(void)line;
	return true;
}

/* Who owes an answer is not done by saying so. */
static void test_done_when_busy(void)
{
	struct wire_in in;

	start(true);
	hub.busy = always_busy;
	say(0, WIRE_DONE);
	run_until(0, 1, 0);
	ok(wire_receive(peers[0], &in) == WIRE_CLOSED && hub.idle_lines.count == PEERS - 1,
	   "a worker that says in the middle of a job that it is done has lost its line");
	finish(PEERS);
}

/* All of a process's lines are bounded, whatever numbers they bear. */
static void test_numbers_without_end(void)
{
	enum { OWN = 128, MOST = 5, ALL = OWN + 2 * MOST };
	static const int workers_max = MOST;
	struct wire_in in;
	int lines[ALL + 1];

	start(false);
	hub.lines_max = 1000;
	hub.workers_max = &workers_max;
	for (unsigned i = PEERS; i <= ALL; i++)
		lines[i] = wire_dial(shared[1], "test", i);
	run_until(ALL, 0, 0);
	ok(wire_receive(lines[ALL], &in) == WIRE_CLOSED && hub.lines.count == ALL,
	   "a process has no more lines because each bears another number");
	for (unsigned i = PEERS; i <= ALL; i++)
		close(lines[i]);
	finish(ALL);
	ok(hub.processes.count == 0, "and none when they are gone");
}

/* A listening socket: who is one too many waits in it. */
static void test_listens(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t len = sizeof address;
	int listener = socket(AF_UNIX, SOCK_SEQPACKET, 0), clients[PEERS + 1];

	/* A free name of the kernel's choice. */
	if (bind(listener, (struct sockaddr *)&address, sizeof address.sun_family) < 0 ||
	    getsockname(listener, (struct sockaddr *)&address, &len) < 0 ||
	    listen(listener, PEERS + 1) < 0)
		exit(1);
	hub = (struct hub){ .loop = loop,
		            .protocol = "test",
		            .listens = true,
		            .line_size = sizeof(struct peer),
		            .lines_max = PEERS,
		            .opened = on_opened,
		            .message = on_message,
		            .closed = on_closed };
	opened = closed = 0;
	hub_start(&hub, listener);
	for (int i = 0; i <= PEERS; i++) {
		clients[i] = socket(AF_UNIX, SOCK_SEQPACKET, 0);
		if (connect(clients[i], (struct sockaddr *)&address, len) < 0)
			exit(1);
	}
	run_until(PEERS, 0, 0);
	ok(hub.lines.count == PEERS && hub.watch.events == 0,
	   "who connects has a line; at the limit nobody is accepted");
	close(clients[0]);
	run_until(PEERS + 1, 1, 0);
	ok(hub.lines.count == PEERS, "until one has left");
	hub_stop(&hub);
	run_until(0, PEERS + 1, 0);
	for (int i = 1; i <= PEERS; i++)
		close(clients[i]);
	close(listener);
}

/* Of two hundred workers that come again each takes the place of its own line, and only that; of
 * lines for itself a process has so many. */
static void test_many(void)
{
	enum { WORKERS = 200, OWN = 128 };
	int first[WORKERS], second[WORKERS], own[OWN + 2];
	struct wire_in in;
	bool all = true;

	static const int workers_max = WORKERS;

	start(false);
	hub.lines_max = 1000;
	hub.workers_max = &workers_max;
	for (uint32_t i = 0; i < WORKERS; i++)
		first[i] = wire_dial(shared[1], "test", i + 1);
	run_until(PEERS + WORKERS, 0, 0);
	for (uint32_t i = 0; i < WORKERS; i += 2)
		second[i] = wire_dial(shared[1], "test", i + 1);
	run_until(PEERS + WORKERS * 3 / 2, WORKERS / 2, 0);
	for (unsigned i = 0; i < WORKERS; i++)
		all = all && wire_receive_now(first[i], &in) == (i % 2 ? WIRE_AGAIN : WIRE_CLOSED);
	ok(all, "each of many workers that comes again ends its own line");
	for (unsigned i = PEERS; i < OWN + 1; i++)
		own[i] = wire_dial(shared[1], "test", 0);
	run_until(OWN + WORKERS * 3 / 2, WORKERS / 2, 0);
	ok(wire_receive(own[OWN], &in) == WIRE_CLOSED, "a process has so many lines for itself");
	hub_line_drop(list_owner(hub.lines.first, struct hub_line, all), NULL);
	own[OWN + 1] = wire_dial(shared[1], "test", 0);
	run_until(OWN + 1 + WORKERS * 3 / 2, WORKERS / 2 + 1, 0);
	ok(wire_receive_now(own[OWN + 1], &in) == WIRE_AGAIN, "and another when one has gone");
	for (unsigned i = 0; i < WORKERS; i++)
		close(first[i]);
	for (unsigned i = 0; i < WORKERS; i += 2)
		close(second[i]);
	for (unsigned i = PEERS; i < OWN + 2; i++)
		close(own[i]);
	finish(OWN + 1 + WORKERS * 3 / 2);
}

int main(void)
{
	loop = loop_new();
	test_send_fails();
	test_unreceivable();
	test_idle();
	test_stop();
	test_drop();
	test_unheard();
	test_worker_numbers();
	test_listens();
	test_many();
	test_done_when_busy();
	test_numbers_without_end();
	loop_free(&loop);
	return tap_done();
}
