/* SPDX-License-Identifier: ISC */
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/net/listen.h"
#include "lib/wire/wire.h"
#include "master/beats.h"
#include "master/keyless.h"

enum {
	PIPE_BYTES = 256 * 1024 /* a fifth of a second of the busiest house; those of owners have
	                           what the system gives */
};

void descriptors_add(struct descriptors *d, const char *name, int fd)
{
	if (d->count == PROGRAM_FDS_MAX ||
	    !string_copy(d->rows[d->count].name, PROGRAM_NAME_MAX, view_of(name)))
		log_panic("no room for descriptor %s", name);
	d->rows[d->count++].fd = fd;
}

int descriptors_find(const struct descriptors *d, const char *name)
{
	for (unsigned i = 0; i < d->count; i++)
		if (strcmp(d->rows[i].name, name) == 0)
			return d->rows[i].fd;
	return -1;
}

void descriptors_replace(struct descriptors *d, const char *name, int fd)
{
	for (unsigned i = 0; i < d->count; i++)
		if (strcmp(d->rows[i].name, name) == 0) {
			close(d->rows[i].fd);
			d->rows[i].fd = fd;
		}
}

void descriptors_drop(struct descriptors *d, const char *prefix)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < d->count; i++)
		if (!view_starts(view_of(d->rows[i].name), view_of(prefix)))
			d->rows[kept++] = d->rows[i];
	d->count = kept;
}

/* Our end of the wire, which it has no more. */
static int give_up_wire(struct instance *i)
{
	int ours = i->wire.fd;

	loop_unwatch(master.loop, &i->wire);
	close(i->wire_other_end);
	descriptors_drop(&i->descriptors, "master");
	i->wire.fd = i->wire_other_end = -1;
	return ours;
}

static void close_wire(struct instance *i)
{
	int kept_errno = errno;

	wire_hang_up(give_up_wire(i));
	errno = kept_errno;
}

static int lay_wire(struct instance *i)
{
	int ends[2];

	if (wire_pair(ends) < 0)
		return -1;
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	if (i->row->may_ask == 0)
		net_take_no_descriptors(ends[0]);
	descriptors_add(&i->descriptors, "master", ends[1]);
	i->wire.fd = ends[0];
	i->wire_other_end = ends[1];
	i->wire.ready = master.wire_said;
	if (loop_try_watch(master.loop, &i->wire, LOOP_READ) == 0)
		return 0;
	close_wire(i);
	return -1;
}

static bool lay_or_say(struct instance *i)
{
	if (lay_wire(i) == 0)
		return true;
	log_warn("event=start-failed program=%s reason=\"making a wire: %m\"", i->row->name);
	return false;
}

/* Two descriptors have just become free: only a system that has none at all, or no memory,
 * refuses. */
bool instance_lay_wire_again(struct instance *i)
{
	if (i->wire.fd >= 0)
		close_wire(i);
	return lay_or_say(i);
}

int instance_leave_wire(struct instance *i)
{
	int ours = give_up_wire(i);

	lay_or_say(i);
	return ours;
}

int instance_make_pipe(int ends[2], bool is_resident)
{
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	if (is_resident)
		fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES); /* less will do */
	return 0;
}

/* Its lines go through a pipe of its own, logd's elsewhere. */
static int lay_pipe(struct instance *i)
{
	i->log[0] = i->log[1] = -1;
	if (i->row == &house[HOUSE_LOGD])
		return 0;
	return instance_make_pipe(i->log, i->row < &house[HOUSE_RESIDENT]);
}

int instance_take_in(struct instance *i)
{
	struct instance **at = &master.instances;

	if (lay_wire(i) < 0)
		return -1;
	if (lay_pipe(i) < 0) {
		close_wire(i);
		return -1;
	}
	while (*at != NULL)
		at = &(*at)->next;
	*at = i;
	return 0;
}

void instance_let_go(struct instance *i)
{
	struct instance **at = &master.instances;

	while (*at != i)
		at = &(*at)->next;
	*at = i->next;
	loop_timer_clear(master.loop, &i->restart);
	close_wire(i);
	close(i->log[0]); /* logd has it, and reads it to its end */
	close(i->log[1]);
}

void instance_give_common(struct instance *i)
{
	descriptors_drop(&i->descriptors, "generation");
	descriptors_drop(&i->descriptors, "log.system");
	descriptors_add(&i->descriptors, "generation", master.generation);
	if (i->row == &house[HOUSE_LOGD] && master.log_socket >= 0)
		descriptors_add(&i->descriptors, "log.system", master.log_socket);
}

static void set_environment(const struct instance *i)
{
	struct text list;
	char number[32];

	text_init(&list, PROGRAM_FDS_MAX * (PROGRAM_NAME_MAX + 8));
	if (i->log[1] >= 0)
		text_format(&list, "log=%d", STDERR_FILENO);
	for (unsigned n = 0; n < i->descriptors.count; n++) {
		text_format(&list, "%s%s=%d", list.len ? "," : "", i->descriptors.rows[n].name,
		            i->descriptors.rows[n].fd);
		fcntl(i->descriptors.rows[n].fd, F_SETFD, 0);
	}
	setenv("POSTHOUSE_FDS", text_string(&list), 1);
	string_print(number, sizeof number, "%ld", (long)master.pid);
	setenv("POSTHOUSE_MASTER", number, 1);
	string_print(number, sizeof number, "%u", i->beat_ms);
	setenv("POSTHOUSE_BEAT_MS", number, 1);
	if (i->trial)
		setenv("POSTHOUSE_TRIAL", "1", 1);
	if (!master.privileged)
		return;
	string_print(number, sizeof number, "%lu", (unsigned long)i->uid);
	setenv("POSTHOUSE_UID", number, 1);
	string_print(number, sizeof number, "%lu", (unsigned long)i->gid);
	setenv("POSTHOUSE_GID", number, 1);
	if (i->root)
		setenv("POSTHOUSE_ROOT", i->root, 1);
}

/* In the child: nothing here may return to master's code. */
static void become_program(const struct instance *i)
{
	char path[4096];

	dup2(master.null_fd, STDIN_FILENO);
	dup2(master.null_fd, STDOUT_FILENO);
	if (i->log[1] >= 0 && dup2(i->log[1], STDERR_FILENO) >= 0)
		log_to_pipe(STDERR_FILENO);
	else
		log_to_pipe(-1); /* logd: to the log, not through master's pipe */
	if (i->begins)
		i->begins(i);
	set_environment(i);
	if (string_format(path, sizeof path, "%s/%s", master.programs, i->row->name))
		execl(path, i->row->name, (char *)NULL);
	log_fatal("starting %s: %m", path);
}

bool instance_start(struct instance *i)
{
	bool as_root = master.privileged && i->uid == 0;

	if (i->wire.fd < 0 && !instance_lay_wire_again(i))
		return false;
	/* On the wires that it shares with its predecessors. */
	for (unsigned n = 0; n < i->descriptors.count; n++)
		if (!view_starts(view_of(i->descriptors.rows[n].name), VIEW("listen.")))
			wire_reset(i->descriptors.rows[n].fd);
	i->beat_ms = beats_interval_ms();
	pid_t pid = as_root ? -1 : loop_fork();

	if (pid < 0) {
		log_warn("event=start-failed program=%s reason=\"%s\"", i->row->name,
		         log_text(view_of(as_root ? "refusing to run it as root"
		                                  : strerror(errno))));
		return false;
	}
	if (pid == 0)
		become_program(i);
	keyless_begin(i);
	i->pid = pid;
	i->ready = i->given_up = false;
	i->silent_ms = i->beats = 0;
	i->started_ms = clock_ms();
	i->starts++;
	return true;
}

bool instance_may_complain(struct instance *i, unsigned *more)
{
	enum { COMPLAINTS_PER_SECOND = 1 };

	return pace_says(&i->complaints, loop_now_ms(master.loop), COMPLAINTS_PER_SECOND, more);
}

void instance_log_end(const struct instance *i, int status)
{
	log_warn("event=died program=%s uid=%ld %s=%d", i->row->name, (long)i->uid,
	         WIFSIGNALED(status) ? "signal" : "exit",
	         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

void instance_start_later(struct instance *i)
{
	int64_t now_ms = loop_now_ms(master.loop), delay_ms = RESTART_FIRST_MS;

	if (now_ms - i->started_ms >= STEADY_MS) {
		i->failures = 0;
		delay_ms = 0;
	}
	for (unsigned n = 0; n < i->failures && delay_ms < RESTART_MAX_MS; n++)
		delay_ms *= 2;
	i->failures += delay_ms > 0;
	loop_timer_set(master.loop, &i->restart,
	               now_ms + (delay_ms < RESTART_MAX_MS ? delay_ms : RESTART_MAX_MS));
}
