/* SPDX-License-Identifier: ISC */
#include "master/authd/checker.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/wire/hub.h"
#include "lib/wire/jail.h"

enum { CHECK = WIRE_OWN, CHECKED, RESTART_PAUSE_MS = 1000 };

/* Room for the largest argon2 and the program itself. */
static const unsigned long worker_memory_bytes = (HASH_ARGON2_MEMORY_MAX_KIB + 262144ul) * 1024;

struct check_worker {
	struct checker *checker;
	struct watch watch;
	struct timer timer; /* the check takes too long, or the place is forked again */
	pid_t pid;          /* 0: none at present */
	bool busy;
	struct check *check; /* NULL while busy: its result is not wanted any more */
};

struct checker {
	struct loop *loop;
	void (*forget)(void);
	unsigned worker_count, waiting;
	struct check *first, *last;
	struct check_worker *workers;
};

/* ---- the worker ---- */

static enum hash_result check_message(struct wire_in *in)
{
	struct view stored = wire_get_view(in, PASSWORD_HASH_MAX),
		    password = wire_get_view(in, AUTH_PASSWORD_MAX);

	return in->type == CHECK && wire_end(in) ? hash_check(stored, password) : HASH_UNUSABLE;
}

static void __attribute__((noreturn)) worker_main(struct checker *c, int line)
{
	static const struct sandbox_profile profile = { .memory_max = worker_memory_bytes };
	struct wire_out out = { 0 };
	struct wire_in in;

	signal(SIGHUP, SIG_IGN);
	c->forget();
	jail_enter(&profile);
	while (wire_receive(line, &in) == WIRE_OK) {
		enum hash_result result = check_message(&in);

		wire_receive_wipe();
		wire_begin(&out, CHECKED);
		wire_put_byte(&out, (uint8_t)result);
		if (wire_send(line, &out) != WIRE_OK)
			break;
	}
	_exit(0);
}

/* ---- the parent ---- */

static void give_work(struct checker *c);

static void finish(struct check_worker *w, enum hash_result result)
{
	struct check *check = w->check;

	w->busy = false;
	w->check = NULL;
	loop_timer_clear(w->checker->loop, &w->timer);
	if (check == NULL)
		return;
	check->worker = NULL;
	check->done(check, result);
}

/* Gone or killed: the place is forked again after a pause, so that a fault at its start does not
 * spin. */
static void worker_lost(struct check_worker *w)
{
	struct checker *c = w->checker;

	loop_unwatch(c->loop, &w->watch);
	close(w->watch.fd);
	kill(w->pid, SIGKILL);
	waitpid(w->pid, NULL, 0);
	log_warn("event=worker-died pid=%ld reason=\"%s\"", (long)w->pid,
	         w->busy ? "while it checked a password" : "");
	w->pid = 0;
	finish(w, HASH_UNUSABLE);
	loop_timer_set(c->loop, &w->timer, loop_now_ms(c->loop) + RESTART_PAUSE_MS);
}

static void worker_ready(struct watch *watch, unsigned events)
{
	struct check_worker *w = loop_owner(watch, struct check_worker, watch);
	struct wire_in in;
	enum wire_result r = wire_receive_now(watch->fd, &in);
	uint8_t result;

	(void)events;
	if (r == WIRE_AGAIN)
		return;
	if (r != WIRE_OK) {
		worker_lost(w);
		return;
	}
	result = wire_get_byte(&in);
	if (!w->busy || in.type != CHECKED || !wire_end(&in) || result >= HASH_RESULTS)
		worker_lost(w);
	else
		finish(w, (enum hash_result)result);
	wire_in_close(&in);
	give_work(w->checker);
}

static void fork_worker(struct check_worker *w)
{
	int ends[2];

	if (wire_pair(ends) < 0)
		log_fatal("socketpair: %m");
	w->pid = jail_fork(&ends[1], 1, SIGKILL);
	if (w->pid == 0)
		worker_main(w->checker, ends[1]);
	close(ends[1]);
	if (w->pid < 0) {
		log_warn("event=fork-failed reason=\"%m\"");
		close(ends[0]);
		w->pid = 0;
		loop_timer_set(w->checker->loop, &w->timer,
		               loop_now_ms(w->checker->loop) + RESTART_PAUSE_MS);
		return;
	}
	w->watch.fd = ends[0];
	loop_watch(w->checker->loop, &w->watch, LOOP_READ);
}

static void timer_due(struct timer *t)
{
	struct check_worker *w = loop_owner(t, struct check_worker, timer);

	if (w->pid)
		worker_lost(w);
	else
		fork_worker(w);
	give_work(w->checker);
}

static void tell(struct check_worker *w, struct check *check)
{
	struct wire_out out = { 0 };

	wire_begin(&out, CHECK);
	wire_put_view(&out, check->stored);
	wire_put_view(&out, check->password);
	enum wire_result r = wire_send_now(w->watch.fd, &out);

	wire_out_wipe(&out);
	wire_out_free(&out);
	w->busy = true;
	w->check = check;
	check->worker = w;
	/* A line that is broken already ends the check when the loop sees it; a worker that does
	 * not read what it is given is no worker any more. */
	if (r != WIRE_CLOSED)
		loop_timer_set(w->checker->loop, &w->timer,
		               loop_now_ms(w->checker->loop) +
		                       (r == WIRE_OK ? CHECK_TIMEOUT_MS : 0));
}

static void give_work(struct checker *c)
{
	for (unsigned i = 0; i < c->worker_count && c->first; i++) {
		struct check *check = c->first;

		if (c->workers[i].pid == 0 || c->workers[i].busy)
			continue;
		c->first = check->next;
		if (c->first == NULL)
			c->last = NULL;
		c->waiting--;
		check->waiting = false;
		check->next = NULL;
		tell(&c->workers[i], check);
	}
}

struct checker *checker_start(struct loop *loop, unsigned workers, void (*forget)(void))
{
	struct checker *c = memory_get(sizeof *c);

	c->loop = loop;
	c->forget = forget;
	c->worker_count = workers;
	c->workers = memory_get(workers * sizeof *c->workers);
	for (unsigned i = 0; i < workers; i++) {
		c->workers[i].checker = c;
		c->workers[i].watch.ready = worker_ready;
		c->workers[i].timer.due = timer_due;
		fork_worker(&c->workers[i]);
	}
	return c;
}

bool checker_submit(struct checker *c, struct check *check)
{
	if (c->waiting >= c->worker_count * CHECKS_PER_WORKER)
		return false;
	check->next = NULL;
	check->worker = NULL;
	check->waiting = true;
	if (c->last)
		c->last->next = check;
	else
		c->first = check;
	c->last = check;
	c->waiting++;
	give_work(c);
	return true;
}

static void unqueue(struct checker *c, struct check *check)
{
	struct check *previous = NULL;

	for (struct check *q = c->first; q != check; q = q->next)
		previous = q;
	if (previous)
		previous->next = check->next;
	else
		c->first = check->next;
	if (c->last == check)
		c->last = previous;
	c->waiting--;
	check->waiting = false;
}

void checker_cancel(struct checker *c, struct check *check)
{
	if (check->waiting)
		unqueue(c, check);
	if (check->worker)
		check->worker->check = NULL;
	check->worker = NULL;
}
