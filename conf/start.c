/* SPDX-License-Identifier: ISC */
/* posthouse start. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/command.h"
#include "conf/model.h"
#include "lib/base/file.h"
#include "lib/conf/generation.h"
#include "lib/wire/control.h"

/* The installed programs, or those that POSTHOUSE_PROGRAMS names (a build that is not
 * installed). */
const char *command_programs(void)
{
	const char *programs = getenv("POSTHOUSE_PROGRAMS");

	return programs != NULL && programs[0] ? programs : LIBEXECDIR;
}

/* In the child: a session of its own, so that the terminal's signals do not reach the house. */
static void become_master(const struct settings *s, int ready)
{
	const char *programs = command_programs();
	char path[PATH_MAX], number[16];
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	dup2(nothing, STDIN_FILENO);
	dup2(nothing, STDOUT_FILENO);
	fcntl(ready, F_SETFD, 0);
	if (!string_format(path, sizeof path, "%s/master", programs)) {
		fprintf(stderr, "posthouse: the path %.100s... is too long\n", programs);
		_exit(EXIT_PERMANENT);
	}
	string_print(number, sizeof number, "%d", ready);
	execl(path, "master", "-p", programs, "-r", number, s->directory_state, (char *)NULL);
	fprintf(stderr, "posthouse: %s: %s\n", path, strerror(errno));
	_exit(EXIT_PERMANENT);
}

static off_t log_length(const char *to)
{
	struct stat st;

	return to[0] == '/' && stat(to, &st) == 0 ? st.st_size : 0;
}

/* Where the log is a file, why a start failed is there and not on the terminal: the warnings and
 * what was fatal, of what has come since it was so long, or the end of that: what was fatal is the
 * last. Whether there were any. */
static bool print_new_faults(const char *to, off_t since)
{
	enum { SHOWN_BYTES_MAX = 16384 };
	static char bytes[SHOWN_BYTES_MAX];
	off_t end = log_length(to),
	      from = end > since + SHOWN_BYTES_MAX ? end - SHOWN_BYTES_MAX : since;
	int fd = to[0] == '/' ? open(to, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	ssize_t n = fd < 0 ? -1 : file_read_some_at(fd, bytes, sizeof bytes, (uint64_t)from);
	struct view rest = { bytes, n > 0 ? (size_t)n : 0 }, line;
	bool any = false;

	if (from > since && view_cut(&rest, '\n', &line)) /* the rest of a line */
		fprintf(stderr, "posthouse: the log has more than this\n");

	while (view_cut(&rest, '\n', &line)) {
		struct view message = view_skip(line, view_find(line, ' ') + 1);

		message = view_skip(message, view_find(message, ' ') + 1);
		if (!view_starts(message, VIEW("fatal:")) &&
		    !view_starts(message, VIEW("warning:")))
			continue;
		fprintf(stderr, "%.*s\n", VIEW_ARG(line));
		any = true;
	}
	if (fd >= 0)
		close(fd);
	return any;
}

/* master writes to the descriptor when every program is ready; its end closed unwritten is a
 * failure. */
static int start_master(const struct settings *s, struct reason *why)
{
	off_t logged = log_length(s->log_to);
	int ends[2];
	char byte;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return fail_errno(why, "pipe");
	pid_t pid = fork();

	if (pid == 0)
		become_master(s, ends[1]);
	close(ends[1]);
	ssize_t n = pid < 0 ? -1 : file_read_some(ends[0], &byte, 1);

	if (n < 0)
		fail_errno(why, "start master and wait for it");
	close(ends[0]);
	if (n != 0)
		return n > 0 ? 0 : -1;
	bool said = print_new_faults(s->log_to, logged);

	if (said)
		return fail(why, "posthouse did not start; the log (%s) says more", s->log_to);
	return fail(why, "posthouse did not start; see the messages above or %s",
	            strcmp(s->log_to, "syslog") == 0 ? "the system's log" : "the log");
}

static int refuse(const struct settings *s)
{
	struct reason why;
	bool stopping = command_house_state(s) == HOUSE_STOPPING;

	fail(&why, "%s",
	     stopping
	             ? "posthouse is stopping; start it when it has stopped (posthouse stop waits for "
	               "that)"
	             : "posthouse is already running; use posthouse reload or posthouse stop");
	return command_fail(stopping ? EXIT_TEMPORARY : EXIT_PERMANENT, &why);
}

int command_start(const struct command *c, int argc, char **argv)
{
	struct model m;
	struct reason why;

	(void)argv;
	if (argc > 0)
		return command_usage(c, "");
	int code = command_settings_read(c, &m);
	int running = code == EXIT_DONE ? control_connect(m.settings.directory_run, &why) : -1;

	if (running >= 0) {
		close(running);
		code = refuse(&m.settings);
	} else if (code == EXIT_DONE && !control_is_absent(errno)) {
		code = command_fail(control_exit_code(errno), &why);
	} else if (code == EXIT_DONE && generation_number(m.settings.directory_state) < 0) {
		fail(&why, "there is no compiled configuration yet; run posthouse build");
		code = command_fail(EXIT_PERMANENT, &why);
	} else if (code == EXIT_DONE && start_master(&m.settings, &why) != 0) {
		code = command_fail(EXIT_TEMPORARY, &why);
	} else if (code == EXIT_DONE) {
		command_warn_of_taken(&m.settings);
	}
	model_free(&m);
	return code;
}
