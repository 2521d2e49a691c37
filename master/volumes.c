/* SPDX-License-Identifier: ISC */
#include "master/volumes.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/conf/mailvolumes.h"
#include "lib/conf/places.h"
#include "master/master.h"

/* Who looks for so long while there is more to look at looks at a file server that hangs. */
enum { PATIENCE_MS = 10000 };

static struct {
	struct watch mounts; /* of /proc/self/mountinfo: reported when they change */
	struct watch child;  /* its pipe; not watched: there is none */
	struct timer late;
	pid_t pid;
	char of[PATH_MAX]; /* mail.root that it looks at */
	bool again, again_whole;
} volumes;

static void begin(bool whole);

/* All but these and the standard ones. */
static void close_others(int a, int b)
{
	int low = a < b ? a : b, high = a < b ? b : a;

	if (low > STDERR_FILENO + 1)
		syscall(SYS_close_range, STDERR_FILENO + 1, low - 1, 0);
	if (high > low + 1 && high > STDERR_FILENO + 1)
		syscall(SYS_close_range, low > STDERR_FILENO ? low + 1 : STDERR_FILENO + 1,
		        high - 1, 0);
	syscall(SYS_close_range, high + 1, ~0U, 0);
}

/* In the child, which has of master's what it logs to alone: who hangs must not hold a wire, a
 * listener or the pid file. */
static void look(int answer, bool whole)
{
	const struct settings *s = &master.settings;
	struct reason why;

	close_others(answer, master.log_socket);
	if (whole) {
		mailvolumes_set_root(s, NULL);
		places_learn_volumes(s);
	}
	if (places_shut_volumes(s, &why) < 0)
		log_warn("event=volume-missing reason=\"%s\"", log_text(view_of(why.text)));
	const char *root = mailvolumes_root(s);

	if (root != NULL)
		write_whole(answer, root, strlen(root));
	_exit(EXIT_DONE);
}

static void end(void)
{
	loop_unwatch(master.loop, &volumes.child);
	loop_timer_clear(master.loop, &volumes.late);
	close(volumes.child.fd);
	if (volumes.again && !master.stopping)
		begin(volumes.again_whole);
}

/* One write that is at most PIPE_BUF, then the end. */
static void child_said(struct watch *w, unsigned events)
{
	char root[PATH_MAX];
	ssize_t n = file_read_some(w->fd, root, sizeof root - 1);

	(void)events;
	if (n > 0 && strcmp(volumes.of, master.settings.mail_root) == 0) {
		root[n] = '\0';
		mailvolumes_set_root(&master.settings, root);
	}
	end();
}

static void late(struct timer *t)
{
	(void)t;
	kill(volumes.pid, SIGKILL);
	end();
}

static void begin(bool whole)
{
	int ends[2];

	volumes.again = volumes.again_whole = false;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
		log_warn("event=volumes-unwatched reason=\"%m\"");
		return;
	}
	string_cut(volumes.of, sizeof volumes.of, view_of(master.settings.mail_root));
	volumes.pid = loop_fork();
	if (volumes.pid == 0)
		look(ends[1], whole);
	close(ends[1]);
	volumes.child.fd = ends[0];
	if (volumes.pid < 0 || loop_try_watch(master.loop, &volumes.child, LOOP_READ) < 0) {
		log_warn("event=volumes-unwatched reason=\"%m\"");
		close(ends[0]);
	}
}

static void ask(bool whole)
{
	if (master.stopping)
		return;
	if (!loop_is_watched(&volumes.child)) {
		begin(whole);
		return;
	}
	volumes.again = true;
	volumes.again_whole |= whole;
	if (!loop_timer_is_set(&volumes.late))
		loop_timer_set(master.loop, &volumes.late, loop_now_ms(master.loop) + PATIENCE_MS);
}

static void mounts_changed(struct watch *w, unsigned events)
{
	(void)w, (void)events;
	ask(false);
}

void volumes_take_settings(void)
{
	ask(true);
}

void volumes_start(void)
{
	volumes.child.ready = child_said;
	volumes.late.due = late;
	volumes.mounts.ready = mounts_changed;
	volumes.mounts.fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	if (volumes.mounts.fd < 0 || loop_try_watch(master.loop, &volumes.mounts, 0) < 0)
		log_warn("event=volumes-unwatched reason=\"%m\"");
}
