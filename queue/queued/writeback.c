/* SPDX-License-Identifier: ISC */
#include "queue/queued/writeback.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/wire/tasks.h"

enum { WRITE_BACK = 1, WRITTEN_BACK = 2 };

static struct writeback {
	struct loop *loop;
	struct disk *disk;
	struct tasks tasks;
	struct task task;
	struct timer due;
	bool again; /* something changed while it was at work */
} writeback;

/* ---- its process ---- */

static bool work(struct wire_in *in, struct wire_out *answer)
{
	int directory = in->type == WRITE_BACK ? wire_get_fd(in) : -1;

	if (directory < 0)
		return false;
	int result = syncfs(directory) < 0 ? errno : 0;

	close(directory);
	wire_begin(answer, WRITTEN_BACK);
	wire_put_u32(answer, (uint32_t)result);
	return true;
}

/* ---- queued ---- */

static void put(const struct task *task, struct wire_out *out)
{
	(void)task;
	wire_begin(out, WRITE_BACK);
	wire_put_fd(out, writeback.disk->directory);
}

/* Only notes: whoever changes something goes on. */
static void changed(void)
{
	if (task_is_under_way(&writeback.task))
		writeback.again = true;
	else if (!loop_timer_is_set(&writeback.due))
		loop_timer_set(writeback.loop, &writeback.due,
		               loop_now_ms(writeback.loop) + WRITEBACK_AFTER_MS);
}

static void over(void)
{
	if (writeback.again)
		changed();
	writeback.again = false;
}

static bool answered(struct task *task, struct wire_in *in)
{
	uint32_t error;

	(void)task;
	if (in->type != WRITTEN_BACK)
		return false;
	error = wire_get_u32(in);
	if (!wire_end(in))
		return false;
	if (error)
		log_warn("event=writeback-failed reason=\"%s\"",
		         log_text(view_of(strerror((int)error))));
	over();
	return true;
}

static void lost(struct task *task)
{
	(void)task;
	writeback.again = true;
	over();
}

static void due(struct timer *timer)
{
	(void)timer;
	tasks_submit(&writeback.tasks, &writeback.task);
}

void writeback_start(struct loop *loop, struct disk *disk, const struct sandbox_profile *profile)
{
	writeback.loop = loop;
	writeback.disk = disk;
	writeback.due.due = due;
	/* No timeout: a disk that does not answer would hold up whoever waits for the end of the
	 * killed process. */
	writeback.tasks = (struct tasks){ .loop = loop,
		                          .workers_min = 1,
		                          .workers_max = 1,
		                          .tasks_max = 1,
		                          .profile = *profile,
		                          .work = work,
		                          .put = put,
		                          .answered = answered,
		                          .lost = lost };
	tasks_start(&writeback.tasks);
	disk->changed = changed;
}
