/* SPDX-License-Identifier: ISC */
/* Workers of tasks: answered, lost, cancelled, refused, each at its time and once, whatever a
 * worker does; and no callback inside the call that caused it. */
#include "lib/wire/tasks.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/wire/hub.h"
#include "t/said.h"
#include "t/tap.h"

enum {
	ECHO = WIRE_OWN,
	DIE,            /* in the task */
	ANSWER_TWICE,   /* with an answer to the next one ready */
	ANSWER_INVALID, /* what `answered` does not take */
	SAY_NOTHING,
	BREAK_OUT,
	SMUGGLE, /* a descriptor */
	ANSWER
};
enum { FORKED = 1, KILLED_PARENT = 2, OTHER_DESCRIPTORS = 4, UNFORGOTTEN = 8 };
enum { TASKS_MAX = 8, DESCRIPTORS_SEEN = 256 };

/* The sanitizers' builds have no sandbox. */
#ifdef __SANITIZE_ADDRESS__
enum { POSSIBLE = FORKED | KILLED_PARENT };
#else
enum { POSSIBLE = 0 };
#endif

struct errand {
	struct task task;
	unsigned char kind;
	uint32_t said, heard, worker;
	unsigned answers, losses;
};

static struct loop *loop;
static struct tasks usual, hasty, *tasks = &usual;
static unsigned over, until_over;
static bool inside, nested;
static const char *secret = "the parent's";

/* ---- the worker ---- */

static void forget(void)
{
	secret = NULL;
}

static unsigned open_descriptors(void)
{
	unsigned count = 0;

	for (int fd = 3; fd < DESCRIPTORS_SEEN; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static uint32_t break_out(void)
{
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	if (child > 0)
		waitpid(child, NULL, 0);
	return (child < 0 ? 0u : FORKED) | (kill(getppid(), 0) < 0 ? 0u : KILLED_PARENT) |
	       (open_descriptors() == 1 ? 0u : OTHER_DESCRIPTORS) |
	       (secret == NULL ? 0u : UNFORGOTTEN);
}

/* Over its line, which is all it has: an answer to the task, number and all, with a descriptor or
 * without. */
static void say_beside(uint32_t said, uint32_t number, bool smuggle)
{
	struct wire_out out = { 0 };
	int line = 3;

	while (fcntl(line, F_GETFD) < 0)
		line++;
	wire_begin(&out, ANSWER);
	wire_put_u32(&out, said);
	wire_put_u32(&out, (uint32_t)getpid());
	wire_put_u32(&out, number);
	if (smuggle)
		wire_put_fd(&out, STDERR_FILENO);
	wire_send(line, &out);
	wire_out_free(&out);
}

static bool work(struct wire_in *in, struct wire_out *answer)
{
	static uint32_t number;
	uint32_t said = wire_get_u32(in);

	number++;
	switch (in->type) {
	case DIE: abort();
	case ANSWER_TWICE: say_beside(said, number, false); break;
	case SMUGGLE: say_beside(said, number, true); break;
	case BREAK_OUT: said = break_out(); break;
	case SAY_NOTHING:
		for (;;)
			pause();
	}
	wire_begin(answer, in->type == ANSWER_INVALID ? ECHO : ANSWER);
	wire_put_u32(answer, said);
	wire_put_u32(answer, (uint32_t)getpid());
	return wire_end(in);
}

/* ---- who asks ---- */

static void put(const struct task *task, struct wire_out *out)
{
	const struct errand *e = loop_owner(task, const struct errand, task);

	nested = nested || inside;
	wire_begin(out, e->kind);
	wire_put_u32(out, e->said);
}

static void count_over(void)
{
	nested = nested || inside;
	over++;
	if (over == until_over)
		loop_stop(loop);
}

static bool answered(struct task *task, struct wire_in *answer)
{
	struct errand *e = loop_owner(task, struct errand, task);
	uint32_t heard = wire_get_u32(answer), worker = wire_get_u32(answer);

	if (answer->type != ANSWER || !wire_end(answer))
		return false;
	e->heard = heard;
	e->worker = worker;
	e->answers++;
	count_over();
	return true;
}

static void lost(struct task *task)
{
	loop_owner(task, struct errand, task)->losses++;
	count_over();
}

static bool submit(struct errand *e, unsigned char kind)
{
	static uint32_t said;

	*e = (struct errand){ .kind = kind, .said = ++said };
	inside = true;
	bool taken = tasks_submit(tasks, &e->task);

	inside = false;
	return taken;
}

static void cancel(struct errand *e)
{
	inside = true;
	task_cancel(&e->task);
	inside = false;
}

/* Until so many more are answered or lost. */
static void run_until(unsigned count)
{
	until_over = over + count;
	loop_run(loop);
}

static bool was_answered(const struct errand *e)
{
	return e->answers == 1 && e->losses == 0 && e->heard == e->said &&
	       !task_is_under_way(&e->task);
}

static bool was_lost(const struct errand *e)
{
	return e->answers == 0 && e->losses == 1 && !task_is_under_way(&e->task);
}

static void start(struct tasks *these, int timeout_ms)
{
	tasks = these;
	*tasks = (struct tasks){ .loop = loop,
		                 .workers_max = 1,
		                 .tasks_max = TASKS_MAX,
		                 .timeout_ms = timeout_ms,
		                 .begin = forget,
		                 .work = work,
		                 .put = put,
		                 .answered = answered,
		                 .lost = lost };
	tasks_start(tasks);
}

/* ---- cases ---- */

static void test_answers(void)
{
	struct errand one, two;

	submit(&one, ECHO);
	ok(task_waits(&one.task) && task_is_under_way(&one.task), "a task waits for the loop");
	run_until(1);
	ok(was_answered(&one) && one.worker != (uint32_t)getpid(),
	   "and is answered, by a process of its own");
	submit(&two, ECHO);
	run_until(1);
	ok(was_answered(&two) && two.worker == one.worker, "the next by the same");
	submit(&one, BREAK_OUT);
	run_until(1);
	ok(one.heard == POSSIBLE,
	   "which can neither fork nor signal its parent, has its line alone, and has forgotten (%u)",
	   one.heard);
}

static void test_limit(void)
{
	struct errand errands[TASKS_MAX + 1];
	unsigned taken = 0, good = 0;

	for (unsigned i = 0; i <= TASKS_MAX; i++)
		taken += submit(&errands[i], ECHO);
	ok(taken == TASKS_MAX && !task_is_under_way(&errands[TASKS_MAX].task),
	   "one too many is refused (%u)", taken);
	run_until(1);
	ok(submit(&errands[TASKS_MAX], ECHO), "as soon as one is answered there is room again");
	run_until(TASKS_MAX);
	for (unsigned i = 0; i <= TASKS_MAX; i++)
		good += was_answered(&errands[i]);
	ok(good == TASKS_MAX + 1, "all have their own answers (%u)", good);
}

/* The last that came first, as who keeps them itself may say. */
static struct errand *kept[TASKS_MAX];
static unsigned kept_count, took;

static struct task *last_kept(struct tasks *of)
{
	return of == tasks && kept_count ? &kept[kept_count - 1]->task : NULL;
}

static void take_last(struct task *task)
{
	took += task == &kept[--kept_count]->task;
}

static void test_turns(void)
{
	struct errand errands[TASKS_MAX];

	tasks->next = last_kept;
	tasks->taken = take_last;
	for (unsigned i = 0; i < TASKS_MAX; i++) {
		errands[i] = (struct errand){ .kind = ECHO, .said = i };
		kept[kept_count++] = &errands[i];
		tasks_come(tasks);
	}
	ok(!task_is_under_way(&errands[0].task), "whose turn it is is not asked before the loop");
	run_until(1);
	ok(was_answered(&errands[TASKS_MAX - 1]) && kept_count == TASKS_MAX - 1,
	   "who keeps them itself says who is next");
	run_until(TASKS_MAX - 1);
	ok(was_answered(&errands[0]) && kept_count == 0 && took == TASKS_MAX, "each is taken once");
	tasks->next = NULL;
	tasks->taken = NULL;
}

static void test_cancel(void)
{
	struct errand at_work, first, middle, last, next;

	submit(&at_work, ECHO);
	submit(&first, ECHO);
	submit(&middle, ECHO);
	submit(&last, ECHO);
	cancel(&first);
	cancel(&last);
	cancel(&last);
	run_until(2);
	ok(was_answered(&at_work) && was_answered(&middle) && first.answers + first.losses == 0 &&
	           last.answers + last.losses == 0,
	   "those that leave while they wait are not answered, the others are");
	submit(&at_work, ECHO);
	tasks->due.run(&tasks->due);
	ok(!task_waits(&at_work.task) && task_is_under_way(&at_work.task), "one is at work");
	cancel(&at_work);
	ok(!task_is_under_way(&at_work.task), "and leaves");
	submit(&next, ECHO);
	run_until(1);
	ok(was_answered(&next) && at_work.answers + at_work.losses == 0,
	   "its worker goes on with the next, whose answer it is not taken for");
}

static void test_faults(void)
{
	static const struct {
		unsigned char kind;
		const char *what;
	} faults[] = {
		{ DIE, "whose worker dies" },
		{ ANSWER_INVALID, "that is answered with nonsense" },
	};
	struct errand bad, next;

	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
		submit(&bad, faults[i].kind);
		submit(&next, ECHO);
		run_until(2);
		ok(was_lost(&bad), "a task %s is lost", faults[i].what);
		ok(was_answered(&next), "and another worker does the next");
	}
	submit(&bad, ANSWER_TWICE);
	submit(&next, ECHO);
	run_until(2);
	ok(was_answered(&bad) && was_lost(&next),
	   "what is answered twice counts once: the second is not taken for the next one's");
	submit(&bad, DIE);
	tasks->due.run(&tasks->due);
	cancel(&bad);
	submit(&next, ECHO);
	run_until(1);
	ok(was_answered(&next) && bad.losses == 0,
	   "a worker that dies in what nobody waits for is replaced too");
}

static void test_descriptors(void)
{
	struct errand smuggled, next;
	unsigned before;

	submit(&next, ECHO);
	run_until(1);
	before = open_descriptors();
	submit(&smuggled, SMUGGLE);
	run_until(1);
	ok(open_descriptors() == before, "a descriptor beside an answer is not kept");
	submit(&next, ECHO);
	run_until(1);
}

static void test_timeout(void)
{
	struct errand silent, next;

	start(&hasty, 50);
	submit(&silent, SAY_NOTHING);
	run_until(1);
	ok(was_lost(&silent), "what takes too long is lost");
	tasks->timeout_ms = 0;
	submit(&next, ECHO);
	run_until(1);
	ok(was_answered(&next), "and its worker replaced");
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	alarm(120);
	loop = loop_new();
	said_begin();
	said_here();
	start(&usual, 0);
	test_answers();
	test_limit();
	test_turns();
	test_cancel();
	test_faults();
	test_descriptors();
	test_timeout();
	ok(!nested, "no callback ran inside the call that caused it");
	ok(said("reason=\"unexpected response\""), "the log says why a worker was replaced");
	return tap_done();
}
