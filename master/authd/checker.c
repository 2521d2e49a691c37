/* SPDX-License-Identifier: ISC */
#include "master/authd/checker.h"

#include "lib/wire/hub.h"

enum { CHECK = WIRE_OWN, CHECKED };

static bool work(struct wire_in *in, struct wire_out *answer)
{
	struct view stored = wire_get_view(in, PASSWORD_HASH_MAX),
		    password = wire_get_view(in, AUTH_PASSWORD_MAX);

	bool usable = in->type == CHECK && wire_end(in);

	wire_begin(answer, CHECKED);
	wire_put_byte(answer, (uint8_t)(usable ? hash_check(stored, password) : HASH_UNUSABLE));
	return true;
}

static void put(const struct task *task, struct wire_out *out)
{
	const struct check *check = loop_owner(task, const struct check, task);

	wire_begin(out, CHECK);
	wire_put_view(out, check->stored);
	wire_put_view(out, check->password);
}

static bool answered(struct task *task, struct wire_in *answer)
{
	struct check *check = loop_owner(task, struct check, task);
	uint8_t result = wire_get_byte(answer);

	if (answer->type != CHECKED || !wire_end(answer) || result >= HASH_RESULTS)
		return false;
	check->done(check, (enum hash_result)result);
	return true;
}

static void lost(struct task *task)
{
	struct check *check = loop_owner(task, struct check, task);

	check->done(check, HASH_UNUSABLE);
}

static struct waiting waiting;

static struct check *check_of(struct waiter *waiter)
{
	return list_owner_or_null(waiter, struct check, waiter);
}

static struct task *next(struct tasks *tasks)
{
	struct check *check = check_of(waiting_next(&waiting));

	(void)tasks;
	return check != NULL ? &check->task : NULL;
}

static void taken(struct task *task)
{
	waiting_served(&waiting, &loop_owner(task, struct check, task)->waiter);
}

static struct tasks checks = {
	.timeout_ms = CHECK_TIMEOUT_MS,
	/* Room for the largest argon2 and the program itself. */
	.profile = { .memory_max = (HASH_ARGON2_MEMORY_MAX_KIB + 262144ul) * 1024 },
	.work = work,
	.put = put,
	.answered = answered,
	.lost = lost,
	.next = next,
	.taken = taken,
};

void checker_start(struct loop *loop, unsigned workers, void (*forget)(void))
{
	checks.loop = loop;
	checks.workers_min = checks.workers_max = workers;
	waiting_start(&waiting, workers * (size_t)CHECKS_PER_WORKER);
	checks.begin = forget;
	tasks_start(&checks);
}

struct check *checker_submit(struct check *check, enum trust trust,
                             const struct net_address *client, const char *account)
{
	check->task = (struct task){ 0 };
	check->waiter = (struct waiter){ 0 };
	tasks_come(&checks);
	return check_of(waiting_add(&waiting, &check->waiter, trust, client, account));
}

void checker_cancel(struct check *check)
{
	waiting_leave(&check->waiter);
	task_cancel(&check->task);
}

bool checker_has(const struct check *check)
{
	return waiting_has(&check->waiter) || task_is_under_way(&check->task);
}
