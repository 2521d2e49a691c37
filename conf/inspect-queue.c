/* SPDX-License-Identifier: ISC */
/* posthouse check: what stands in the queue and drop directories, and who has them. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf/command.h"
#include "conf/inspect.h"
#include "conf/model.h"
#include "lib/base/file.h"
#include "lib/queue/whose.h"

enum { STRAYS_TOLD_MAX = 20 };

struct strays {
	struct model *m;
	unsigned told;
};

static void tell_stray(struct strays *s, const char *directory, const char *name, const char *what)
{
	if (s->told++ < STRAYS_TOLD_MAX)
		problem_warning(&s->m->problems, directory, 0,
		                "%s is %s: nothing is done with it; move it elsewhere", name, what);
}

static bool note_stray(void *context, const struct queuedir_entry *e)
{
	struct strays *s = context;

	if (e->kind == QUEUEDIR_STRAY)
		tell_stray(s, s->m->settings.queue_directory, e->name, "no message's file");
	return true;
}

static void check_strays(struct model *m, int queue, const char *drop)
{
	struct strays s = { .m = m };
	const struct dirent *d;
	struct walk walk;

	if (queue >= 0)
		queuedir_walk(queue, QUEUEDIR_LIVE, note_stray, &s);
	walk_begin_fd(&walk, open(drop, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	while ((d = walk_next(&walk)) != NULL)
		if (d->d_name[0] != '.' && d->d_type != DT_REG && d->d_type != DT_UNKNOWN)
			tell_stray(&s, drop, d->d_name, "not a regular file");
	bool whole = walk_end(&walk) == 0;

	(void)whole; /* check_directory tells of one that cannot be read */
}

static bool note_any(void *context, const struct queuedir_entry *e)
{
	bool *any = context;

	*any = e->kind == QUEUEDIR_MESSAGE;
	return !*any;
}

/* Files are opened for it, so that it is another's work (command_become_queue). */
static bool is_others(struct model *m, int fd, const struct queue_key *key)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		_exit(command_become_queue(&m->settings, NULL) == 0 &&
		      queue_secret_is_others(fd, key));
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			pid = -1;
	if (pid < 0 || !WIFEXITED(status))
		problem_warning(&m->problems, m->settings.queue_directory, 0,
		                "whether its secret is the right one cannot be found out: %s",
		                pid < 0 ? strerror(errno) : "a process was killed");
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

/* Without it the queue is not opened. */
static void check_secret(struct model *m, int fd)
{
	struct queue_key key;
	struct reason why;
	int there = fd < 0 ? 1 : queuedir_secret(fd, &key, &why);
	bool any = false;

	if (there < 0) {
		problem_error(&m->problems, NULL, 0, "%s", why.text);
	} else if (there == 1 && fd >= 0 && is_others(m, fd, &key)) {
		problem_error(&m->problems, m->settings.queue_directory, 0, "%s",
		              QUEUE_SECRET_IS_OTHERS);
	} else if (there == 0) {
		queuedir_walk(fd, QUEUEDIR_LIVE, note_any, &any);
		if (any)
			problem_error(&m->problems, NULL, 0,
			              "the queue's secret is missing, and there are messages; "
			              "posthouse queue check says what can be done");
	}
}

/* A program of this house holds its directory while it runs; when it does not, nobody should. */
static void check_holder(struct model *m, const char *key, const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK)
		problem_error(
			&m->problems, m->conf.path, model_setting_line(m, key),
			"%s: %s is in use by another instance of posthouse (%s/.holder has "
			"its process): stop that one, or give this one a directory of its own",
			key, path, path);
	if (fd >= 0)
		close(fd);
}

void inspect_queue(struct model *m, bool running, bool secret_lost)
{
	const struct settings *s = &m->settings;
	int queue = open(s->queue_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (running && secret_lost)
		problem_error(&m->problems, s->queue_directory, 0, "%s", QUEUE_SECRET_IS_LOST);
	else
		check_secret(m, queue);
	check_strays(m, queue, s->drop_directory);
	if (queue >= 0)
		close(queue);
	if (!running) {
		check_holder(m, "queue.directory", s->queue_directory);
		check_holder(m, "drop.directory", s->drop_directory);
	}
}
