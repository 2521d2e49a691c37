/* SPDX-License-Identifier: ISC */
/* posthouse start, stop, reload, status: what master is asked for over RUNDIR/control. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/asking.h"
#include "conf/command.h"
#include "conf/model.h"
#include "lib/base/file.h"
#include "lib/conf/generation.h"

/* After an upgrade the programs of before go on until they are stopped. */
static void print_versions(const char *running)
{
	printf("version      %s (running), %s (this command)\n", running, version_text);
	if (strcmp(running, version_text) != 0)
		fprintf(stderr,
		        "posthouse: warning: version %s is running, this command is version %s; "
		        "run posthouse stop and posthouse start to use the installed version\n",
		        running, version_text);
}

static void print_line(struct hearer *h, const char *line)
{
	(void)h;
	printf("%s\n", line);
}

static void print_version(struct hearer *h, const char *version)
{
	(void)h;
	print_versions(version);
}

struct fault_hearer {
	struct hearer h;
	void (*fault)(void *context, const char *text);
	void *context;
	long current; /* the generation that should run */
};

static void hear_version(struct hearer *h, const char *version)
{
	struct fault_hearer *f = (struct fault_hearer *)h;
	char text[256];

	if (strcmp(version, version_text) == 0)
		return;
	string_print_cut(
		text, sizeof text,
		"version %s is running, version %s is installed; run posthouse stop and posthouse "
		"start",
		version, version_text);
	f->fault(f->context, text);
}

static void hear_generation(struct fault_hearer *f, long number)
{
	char fault[256];

	if (f->current <= 0 || number == f->current)
		return;
	string_print_cut(
		fault, sizeof fault,
		"generation %ld is current, the running server uses %ld; run posthouse reload",
		f->current, number);
	f->fault(f->context, fault);
}

/* "queued       not running", "smtpd        pid 5 uid 7 up 3s, not ready": after a reload that is
 * well for a moment. "reload       refused: ...": of the last one. */
static void hear_line(struct hearer *h, const char *line)
{
	enum { READY_WITHIN_S = 10 };
	struct fault_hearer *f = (struct fault_hearer *)h;
	struct view text = view_of(line), name = view_take(text, view_find(text, ' '));
	const char *up = strstr(line, " up ");
	bool late =
		strstr(line, ", not ready") != NULL && up != NULL && atoi(up + 4) >= READY_WITHIN_S;
	char fault[CONTROL_LINE_MAX + 64];
	long number;

	if (status_generation(line, &number)) {
		hear_generation(f, number);
		return;
	}
	if (view_equal(name, VIEW("reload"))) {
		string_print_cut(fault, sizeof fault,
		                 "the running server uses the previous generation; %s", line);
		f->fault(f->context, fault);
		return;
	}
	bool silent = strstr(line, ", not answering for ") != NULL;

	if (strstr(line, " not running") == NULL && !late && !silent)
		return;
	string_print_cut(fault, sizeof fault, "%.*s is not %s; the log says why", VIEW_ARG(name),
	                 silent ? "answering"
	                 : late ? "ready"
	                        : "running");
	f->fault(f->context, fault);
}

bool command_running_faults(const struct settings *s,
                            void (*fault)(void *context, const char *text), void *context)
{
	struct fault_hearer f = {
		{ hear_version, hear_line }, fault, context, generation_number(s->directory_state)
	};
	struct reason why;
	int fd = control_connect(s->directory_run, NULL);

	if (fd < 0)
		return !control_is_absent(errno);
	if (ask(fd, CONTROL_STATUS, &f.h, &why) != EXIT_DONE)
		fault(context, why.text);
	close(fd);
	return true;
}

/* ---- the commands ---- */

static int ask_at(const struct settings *s, enum control_type question, struct reason *why)
{
	struct hearer h = { question == CONTROL_STATUS ? print_version : NULL, print_line };
	int fd = control_connect(s->directory_run, why);

	if (fd < 0)
		return EXIT_PERMANENT;
	int code = ask(fd, question, &h, why);

	close(fd);
	return code;
}

static int ask_house(const struct command *c, enum control_type question, const char *done,
                     int argc)
{
	struct model m;

	if (argc > 0)
		return command_usage(c, "");
	/* A text with an error in it must not keep anybody from stopping the house. */
	int code = command_places_read(c, &m);

	struct reason why;
	bool read = code == EXIT_DONE, refused;

	if (read)
		code = question == CONTROL_RELOAD ? ask_to_reload(&m.settings, &refused, &why)
		                                  : ask_at(&m.settings, question, &why);
	if (read && code != EXIT_DONE)
		command_fail(code, &why);
	else if (read && done != NULL)
		printf("%s\n", done);
	model_free(&m);
	return code;
}

int command_stop(const struct command *c, int argc, char **argv)
{
	(void)argv;
	return ask_house(c, CONTROL_STOP, "stopped", argc);
}

int command_reload(const struct command *c, int argc, char **argv)
{
	(void)argv;
	return ask_house(c, CONTROL_RELOAD, "reloaded", argc);
}

int command_status(const struct command *c, int argc, char **argv)
{
	struct model m;
	struct text aside;
	int code = ask_house(c, CONTROL_STATUS, NULL, argc);

	(void)argv;
	if (code != EXIT_DONE || command_places_read(c, &m) != EXIT_DONE)
		return code;
	text_init(&aside, 1024);
	aside_text(&m.settings, &aside);
	if (aside.len)
		printf("set aside    %.*s\n", VIEW_ARG(text_view(&aside)));
	text_free(&aside);
	model_free(&m);
	return code;
}

/* The house that runs by another generation's directory.run cannot be asked by the new one. */
int command_may_move(const struct settings *s, struct reason *why)
{
	struct settings old = { 0 };
	int generation = generation_open(s->directory_state, NULL), fd = -1;

	if (generation < 0)
		return 0;
	if (settings_load_generation(&old, generation, NULL) == 0) {
		bool moved = strcmp(old.directory_run, s->directory_run) != 0;

		fd = moved ? control_connect(old.directory_run, NULL) : -1;
		if (fd >= 0)
			fail(why,
			     "directory.run was changed from %s to %s, and posthouse is running: "
			     "stop it first",
			     old.directory_run, s->directory_run);
		settings_free(&old);
	}
	close(generation);
	if (fd >= 0)
		close(fd);
	return fd >= 0 ? -1 : 0;
}

/* The one that it goes on with, when it refused the current one and says so. */
static long say_refused(const struct settings *s, bool refused, const struct reason *why)
{
	long current = generation_number(s->directory_state),
	     used = refused ? ask_generation(s) : -1;

	if (used <= 0 || used == current) {
		fprintf(stderr,
		        "posthouse: the running server still uses the previous generation: %s\n",
		        why->text);
		return -1;
	}
	fprintf(stderr,
	        "posthouse: the running server refused generation %ld and still uses generation "
	        "%ld: %s\n",
	        current, used, why->text);
	return used;
}

int command_reload_if_running(const struct settings *s, long *instead)
{
	struct reason why;
	bool refused = false;
	int fd = control_connect(s->directory_run, &why);

	*instead = -1;
	if (fd < 0 && control_is_absent(errno))
		return EXIT_DONE; /* it takes the current generation when it starts */
	if (fd >= 0)
		close(fd);
	int code = fd < 0 ? EXIT_TEMPORARY : ask_to_reload(s, &refused, &why);

	if (code != EXIT_DONE)
		*instead = say_refused(s, refused, &why);
	return code;
}

/* ---- start ---- */

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
 * what was fatal, of what has come since it was so long. Whether there were any. */
static bool print_new_faults(const char *to, off_t since)
{
	enum { SHOWN_BYTES_MAX = 16384 };
	static char bytes[SHOWN_BYTES_MAX];
	int fd = to[0] == '/' ? open(to, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	ssize_t n = fd < 0 ? -1 : file_read_some_at(fd, bytes, sizeof bytes, (uint64_t)since);
	struct view rest = { bytes, n > 0 ? (size_t)n : 0 }, line;
	bool any = false;

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
		fail(&why, "posthouse is already running; use posthouse reload or posthouse stop");
		code = command_fail(EXIT_PERMANENT, &why);
	} else if (code == EXIT_DONE && !control_is_absent(errno)) {
		code = command_fail(EXIT_TEMPORARY, &why);
	} else if (code == EXIT_DONE && generation_number(m.settings.directory_state) < 0) {
		fail(&why, "there is no compiled configuration yet; run posthouse build");
		code = command_fail(EXIT_PERMANENT, &why);
	} else if (code == EXIT_DONE && start_master(&m.settings, &why) != 0) {
		code = command_fail(EXIT_TEMPORARY, &why);
	}
	model_free(&m);
	return code;
}
