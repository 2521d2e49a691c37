/* SPDX-License-Identifier: ISC */
#include "master/trial.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/wire/wire.h"
#include "master/keyless.h"
#include "master/logs.h"
#include "master/master.h"
#include "master/residents.h"

enum { PATIENCE_MS = 60000, WORDS_MAX = 65536 };

struct tried {
	struct instance instance;
	int wires[2 * PROGRAM_FDS_MAX]; /* both ends of each */
	unsigned wire_ends;
};

static struct {
	const struct candidate *candidate;
	void (*over)(const struct reason *why);
	int next; /* program to be started */
	unsigned running;
	struct timer late;
	struct deferred end;
	struct reason why; /* of the first that failed; "": none did */
} trial;

static void refuse(const char *program, const char *what)
{
	if (trial.why.text[0] == '\0')
		fail(&trial.why, "%s does not start with generation %ld: %s", program,
		     trial.candidate->number, what);
}

static void kill_all(void)
{
	for (const struct instance *i = master.instances; i != NULL; i = i->next)
		if (i->trial && i->pid)
			kill(i->pid, SIGKILL);
}

void trial_abort(const char *why)
{
	if (trial.running == 0)
		return;
	if (trial.why.text[0] == '\0')
		fail(&trial.why, "%s", why);
	kill_all();
}

/* ---- what it said ---- */

/* "<SEVERITY>[PID MS] TEXT" (lib/base/log.h); a library's last words have no head. */
static struct view text_of(struct view line)
{
	size_t head = view_find(line, ']');

	if (line.len && line.data[0] == '<' && head + 1 < line.len)
		line = view_skip(line, head + 2);
	return view_starts(line, VIEW("fatal: ")) ? view_skip(line, 7) : line;
}

/* The line that says why it ends, else the last one. */
static struct view last_words(struct view said)
{
	struct view line, last = { "", 0 };
	bool fatal = false;

	while (view_cut(&said, '\n', &line)) {
		bool is_fatal = view_starts(line, VIEW("<2>"));

		if (line.len && (is_fatal || !fatal))
			last = line;
		fatal = fatal || is_fatal;
	}
	return text_of(last);
}

/* Its lines stay in the pipe, which logd is given now. */
static void say_why(struct instance *i, int status)
{
	static char said[WORDS_MAX];
	ssize_t n = file_read_some(i->log[0], said, sizeof said);
	struct view words = last_words((struct view){ said, n < 0 ? 0 : (size_t)n });
	char end[64];

	string_print(end, sizeof end, "it ended with %s %d",
	             WIFSIGNALED(status) ? "signal" : "exit",
	             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	refuse(i->row->name, words.len ? log_text(words) : end);
	if (n > 0 && write(i->log[1], said, (size_t)n) == n) {
		i->trial = i->log_told = false;
		logs_tell();
	}
}

/* ---- the programs ---- */

static void discard(struct tried *t)
{
	instance_let_go(&t->instance);
	for (unsigned n = 0; n < t->wire_ends; n++)
		close(t->wires[n]);
	free(t);
}

static void start_those_that_can(void);

/* Only at the end of its trial does one end well. Those that are killed for another's sake have
 * nothing to say. */
static void ended(struct instance *i, int status)
{
	bool good = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_DONE;

	if (!good && trial.why.text[0] == '\0') {
		say_why(i, status);
		kill_all();
	} else if (good && trial.why.text[0] == '\0' &&
	           keyless_judge(i, trial.candidate->generation, &trial.why) < 0) {
		kill_all();
	}
	discard(loop_owner(i, struct tried, instance));
	trial.running--;
	start_those_that_can();
	if (trial.running == 0)
		loop_defer(master.loop, &trial.end);
}

static void late(struct timer *t)
{
	(void)t;
	for (const struct instance *i = master.instances; i != NULL; i = i->next)
		if (i->trial && i->pid)
			refuse(i->row->name, "it is not ready within a minute");
	kill_all();
}

static int lay_wires(struct tried *t, enum house_program p, struct reason *why)
{
	for (unsigned w = 0; w < house_wire_count; w++) {
		const struct house_wire *wire = &house_wires[w];
		char from[PROGRAM_NAME_MAX], to[PROGRAM_NAME_MAX];

		if (wire->from != p && wire->to != p)
			continue;
		if (wire_pair(&t->wires[t->wire_ends]) < 0)
			return fail_errno(why, "making a wire");
		residents_wire_names(wire, "", from, to);
		descriptors_add(&t->instance.descriptors, wire->from == p ? from : to,
		                t->wires[t->wire_ends]);
		t->wire_ends += 2;
	}
	if (!house[p].by_wire)
		return 0;
	if (wire_pair(&t->wires[t->wire_ends]) < 0)
		return fail_errno(why, "making a wire");
	descriptors_add(&t->instance.descriptors, "queued.job", t->wires[t->wire_ends]);
	t->wire_ends += 2;
	return 0;
}

static void give(struct instance *i, const struct candidate *c)
{
	struct descriptors *d = &i->descriptors;

	descriptors_add(d, "generation", c->generation);
	if (i->row->keys && c->keys >= 0)
		descriptors_add(d, "keys", c->keys);
	if (i->row->submit)
		descriptors_add(d, "listen.submit", master.submit);
	for (unsigned n = 0; i->row->listens && n < c->listeners.count; n++)
		descriptors_add(d, c->listeners.rows[n].name, c->listeners.rows[n].fd);
}

static int start_one(enum house_program p, struct reason *why)
{
	struct tried *t = memory_get(sizeof *t);
	struct instance *i = &t->instance;

	i->row = &house[p];
	i->uid = master.uids[i->row->account];
	i->gid = master.gids[i->row->account];
	i->root = residents_root_of(i->row, &trial.candidate->settings);
	i->trial = true;
	i->ended = ended;
	if (instance_take_in(i) < 0) {
		free(t);
		return fail_errno(why, "trying %s", house[p].name);
	}
	give(i, trial.candidate);
	if (lay_wires(t, p, why) == 0) {
		if (instance_start(i)) {
			trial.running++;
			return 0;
		}
		fail(why, "%s cannot be started", house[p].name);
	}
	discard(t);
	return -1;
}

bool trial_includes(const struct candidate *c, enum house_program program)
{
	return !house[program].lives_on && c->changes[program] != CHANGE_NONE;
}

/* Where descriptors or processes are few, as many as there are; the others when one has ended. */
static void start_those_that_can(void)
{
	struct reason why;

	for (; trial.next < HOUSE_PROGRAMS && trial.why.text[0] == '\0'; trial.next++) {
		enum house_program p = (enum house_program)trial.next;

		if (!trial_includes(trial.candidate, p) || start_one(p, &why) == 0)
			continue;
		if (trial.running == 0)
			trial.why = why;
		return;
	}
}

static void all_ended(struct deferred *d)
{
	(void)d;
	loop_timer_clear(master.loop, &trial.late);
	trial.over(trial.why.text[0] ? &trial.why : NULL);
}

int trial_begin(const struct candidate *c, void (*over)(const struct reason *why),
                struct reason *why)
{
	trial.candidate = c;
	trial.over = over;
	trial.why.text[0] = '\0';
	trial.late.due = late;
	trial.end.run = all_ended;
	trial.next = 0;
	start_those_that_can();
	if (trial.running == 0 && trial.why.text[0]) {
		*why = trial.why;
		return -1;
	}
	if (trial.running == 0) /* there is nothing to be tried */
		loop_defer(master.loop, &trial.end);
	loop_timer_set(master.loop, &trial.late, loop_now_ms(master.loop) + PATIENCE_MS);
	return 0;
}
