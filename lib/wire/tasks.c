/* SPDX-License-Identifier: ISC */
#include "lib/wire/tasks.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/wire/jail.h"

enum { RESTART_PAUSE_MS = 1000, NUMBER_BYTES = 4 };

struct task_worker {
	struct tasks *tasks;
	struct watch line;
	struct timer timer; /* its task takes too long; without a process: the pause */
	pid_t pid;          /* 0: none at present */
	bool busy;
	struct task *task; /* NULL while busy: it was cancelled */
	uint32_t number;   /* of its task; stands at the end of what it is told and answers */
};

/* ---- the worker ---- */

/* An answer to an earlier task is not taken for one to this. */
static bool take_number(struct wire_in *in, uint32_t *number)
{
	if (in->rest.len < NUMBER_BYTES)
		return false;
	in->rest.len -= NUMBER_BYTES;
	*number = (uint32_t)number_get_little(in->rest.data + in->rest.len, NUMBER_BYTES);
	return true;
}

static _Noreturn void worker_main(const struct tasks *t, int line)
{
	struct wire_out answer = { 0 };
	struct wire_in in;
	uint32_t number;

	signal(SIGHUP, SIG_IGN);
	if (t->begin)
		t->begin();
	jail_enter(&t->profile);
	while (wire_receive(line, &in) == WIRE_OK && take_number(&in, &number) &&
	       t->work(&in, &answer)) {
		wire_receive_wipe();
		wire_put_u32(&answer, number);
		if (wire_send(line, &answer) != WIRE_OK)
			break;
		wire_out_wipe(&answer);
	}
	jail_end(EXIT_DONE);
}

/* ---- its life ---- */

static void pause_place(struct task_worker *w)
{
	struct loop *loop = w->tasks->loop;

	loop_timer_set(loop, &w->timer, loop_now_ms(loop) + RESTART_PAUSE_MS);
}

static bool fork_worker(struct task_worker *w)
{
	w->pid = jail_fork(&w->line.fd, NULL, 0, SIGKILL);
	w->number = 0;
	if (w->pid == 0)
		worker_main(w->tasks, w->line.fd);
	if (w->pid > 0) {
		loop_watch(w->tasks->loop, &w->line, LOOP_READ);
		return true;
	}
	if (errno == EAGAIN)
		limit_reached(LIMIT_PROCESSES);
	log_warn("event=fork-failed reason=\"%m\"");
	w->pid = 0;
	pause_place(w);
	return false;
}

/* The worker is free again; what it had, NULL when that was cancelled. */
static struct task *take_back(struct task_worker *w)
{
	struct task *task = w->task;

	loop_timer_clear(w->tasks->loop, &w->timer);
	w->tasks->at_work -= w->busy;
	w->busy = false;
	w->task = NULL;
	if (task != NULL)
		task->worker = NULL;
	return task;
}

static void worker_lost(struct task_worker *w, const char *why)
{
	struct tasks *t = w->tasks;

	log_warn("event=worker-died pid=%ld busy=%d reason=\"%s\"", (long)w->pid, w->busy,
	         log_text(view_of(why)));
	loop_unwatch(t->loop, &w->line);
	wire_hang_up(w->line.fd);
	kill(w->pid, SIGKILL);
	waitpid(w->pid, NULL, 0);
	w->pid = 0;
	struct task *task = take_back(w);

	pause_place(w);
	loop_defer(t->loop, &t->due);
	if (task != NULL)
		t->lost(task);
}

/* ---- tasks ---- */

static void worker_answered(struct task_worker *w, struct wire_in *answer)
{
	struct tasks *t = w->tasks;
	struct task *task = take_back(w);

	loop_defer(t->loop, &t->due);
	if (task == NULL || t->answered(task, answer))
		return;
	worker_lost(w, "invalid response");
	t->lost(task);
}

static void worker_said(struct watch *line, unsigned events)
{
	struct task_worker *w = loop_owner(line, struct task_worker, line);
	struct wire_in in;
	uint32_t number;
	enum wire_result r = wire_receive_now(line->fd, &in);

	(void)events;
	if (r == WIRE_AGAIN)
		return;
	if (r != WIRE_OK)
		worker_lost(w, r == WIRE_CLOSED ? "ended" : "invalid response");
	else if (!w->busy || !take_number(&in, &number) || number != w->number)
		worker_lost(w, "unexpected response");
	else
		worker_answered(w, &in);
	wire_in_close(&in);
}

/* Its task takes too long, or its pause is over. */
static void timer_due(struct timer *timer)
{
	struct task_worker *w = loop_owner(timer, struct task_worker, timer);
	struct tasks *t = w->tasks;

	if (w->pid)
		worker_lost(w, "timeout");
	else if (w < t->workers + t->workers_min)
		fork_worker(w);
	loop_defer(t->loop, &t->due);
}

static struct task_worker *free_worker(struct tasks *t)
{
	struct task_worker *place = NULL;

	for (struct task_worker *w = t->workers; w < t->workers + t->workers_max; w++) {
		if (w->pid && !w->busy)
			return w;
		if (w->pid == 0 && place == NULL && !loop_timer_is_set(&w->timer))
			place = w;
	}
	return place != NULL && fork_worker(place) ? place : NULL;
}

static void tell(struct task_worker *w, struct task *task)
{
	struct tasks *t = w->tasks;

	t->put(task, &t->out);
	wire_put_u32(&t->out, ++w->number);
	enum wire_result r = wire_send_now(w->line.fd, &t->out);

	wire_out_wipe(&t->out);
	w->busy = true;
	w->task = task;
	task->worker = w;
	t->at_work++;
	if (r != WIRE_OK)
		worker_lost(w, r == WIRE_CLOSED ? "ended" : "does not read");
	else if (t->timeout_ms)
		loop_timer_set(t->loop, &w->timer, loop_now_ms(t->loop) + t->timeout_ms);
}

static struct task *next_task(struct tasks *t)
{
	return t->next ? t->next(t) : list_owner_or_null(t->waiting.first, struct task, waiting);
}

static void give_out(struct deferred *due)
{
	struct tasks *t = loop_owner(due, struct tasks, due);
	struct task_worker *w;
	struct task *task;

	while ((task = next_task(t)) != NULL && (w = free_worker(t)) != NULL) {
		if (t->next)
			t->taken(task);
		list_remove(&task->waiting);
		tell(w, task);
	}
}

void tasks_start(struct tasks *t)
{
	t->due.run = give_out;
	/* It never grows: that would leave copies of what is wiped. */
	wire_begin(&t->out, 0);
	text_reserve(&t->out.bytes, WIRE_MESSAGE_MAX - 1);
	t->workers = memory_get(t->workers_max * sizeof *t->workers);
	for (unsigned i = 0; i < t->workers_max; i++) {
		t->workers[i].tasks = t;
		t->workers[i].line.ready = worker_said;
		t->workers[i].timer.due = timer_due;
		if (i < t->workers_min)
			fork_worker(&t->workers[i]);
	}
}

void tasks_come(struct tasks *t)
{
	loop_defer(t->loop, &t->due);
}

bool tasks_submit(struct tasks *t, struct task *task)
{
	if (t->waiting.count + t->at_work >= t->tasks_max)
		return false;
	list_add_last(&t->waiting, &task->waiting);
	tasks_come(t);
	return true;
}

void task_cancel(struct task *task)
{
	list_remove(&task->waiting);
	if (task->worker)
		task->worker->task = NULL;
	task->worker = NULL;
}

bool task_waits(const struct task *task)
{
	return task->waiting.list != NULL;
}

bool task_is_under_way(const struct task *task)
{
	return task_waits(task) || task->worker != NULL;
}
