/* SPDX-License-Identifier: ISC */
/* posthouse start, stop, reload, status: what master is asked for over RUNDIR/control. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/command.h"
#include "conf/model.h"
#include "lib/base/file.h"
#include "lib/conf/generation.h"
#include "lib/wire/control.h"

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

/* Prints the lines of the answer; the exit code that comes at its end. */
static int read_answer(int fd, enum control_type question, struct reason *why)
{
	bool versions_shown = question != CONTROL_STATUS;
	struct wire_in in;
	char line[CONTROL_LINE_MAX], version[VERSION_MAX];

	while (wire_receive(fd, &in) == WIRE_OK) {
		uint8_t code = EXIT_TEMPORARY;
		bool ended = in.type == CONTROL_END && control_end_get(&in, &code, line);

		if (!versions_shown && (in.type == CONTROL_VERSION || in.type == CONTROL_LINE)) {
			bool told = in.type == CONTROL_VERSION && control_version_get(&in, version);

			print_versions(told ? version : "unknown");
			versions_shown = true;
		}
		if (in.type == CONTROL_LINE && control_line_get(&in, line))
			printf("%s\n", line);
		wire_in_close(&in);
		if (!ended)
			continue;
		if (code != EXIT_DONE)
			fail(why, "%s", line);
		return code;
	}
	fail(why, "posthouse closed the connection without an answer");
	return EXIT_TEMPORARY;
}

static int ask(int fd, enum control_type question, struct reason *why)
{
	struct wire_out out = { 0 };

	why->text[0] = '\0';
	wire_begin(&out, question);
	enum wire_result sent = wire_send(fd, &out);

	wire_out_free(&out);
	if (sent != WIRE_OK) {
		fail_errno(why, "ask posthouse");
		return EXIT_TEMPORARY;
	}
	return read_answer(fd, question, why);
}

static int ask_at(const struct settings *s, enum control_type question, const char *done)
{
	struct reason why;
	int fd = control_connect(s->directory_run, &why);
	int code = fd < 0 ? EXIT_PERMANENT : ask(fd, question, &why);

	if (fd >= 0)
		close(fd);
	if (code != EXIT_DONE)
		command_fail(code, &why);
	else if (done != NULL)
		printf("%s\n", done);
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

	if (code == EXIT_DONE)
		code = ask_at(&m.settings, question, done);
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
	(void)argv;
	return ask_house(c, CONTROL_STATUS, NULL, argc);
}

int command_reload_if_running(const struct settings *s)
{
	struct reason why;
	int fd = control_connect(s->directory_run, NULL);

	if (fd < 0)
		return EXIT_DONE; /* it takes the current generation when it starts */
	int code = ask(fd, CONTROL_RELOAD, &why);

	close(fd);
	if (code == EXIT_DONE)
		return EXIT_DONE;
	fprintf(stderr, "posthouse: the running server still uses the previous generation: %s\n",
	        why.text);
	return code;
}

/* ---- start ---- */

/* The installed programs, or those that POSTHOUSE_PROGRAMS names (a build that is not
 * installed). */
static const char *programs_directory(void)
{
	const char *programs = getenv("POSTHOUSE_PROGRAMS");

	return programs != NULL && programs[0] ? programs : LIBEXECDIR;
}

/* In the child: a session of its own, so that the terminal's signals do not reach the house. */
static void become_master(const struct settings *s, int ready)
{
	const char *programs = programs_directory();
	char path[PATH_MAX], number[16];
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	dup2(nothing, STDIN_FILENO);
	dup2(nothing, STDOUT_FILENO);
	fcntl(ready, F_SETFD, 0);
	snprintf(path, sizeof path, "%s/master", programs);
	snprintf(number, sizeof number, "%d", ready);
	execl(path, "master", "-p", programs, "-r", number, s->directory_state, (char *)NULL);
	fprintf(stderr, "posthouse: %s: %s\n", path, strerror(errno));
	_exit(EXIT_PERMANENT);
}

/* master writes to the descriptor when every program is ready; its end closed unwritten is a
 * failure. */
static int start_master(const struct settings *s, struct reason *why)
{
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
	return fail(why, "posthouse did not start; see the messages above or the log");
}

int command_start(const struct command *c, int argc, char **argv)
{
	struct model m;
	struct reason why;

	(void)argv;
	if (argc > 0)
		return command_usage(c, "");
	int code = command_settings_read(c, &m);
	int running = code == EXIT_DONE ? control_connect(m.settings.directory_run, NULL) : -1;

	if (running >= 0) {
		close(running);
		fail(&why, "posthouse is already running; use posthouse reload or posthouse stop");
		code = command_fail(EXIT_PERMANENT, &why);
	} else if (code == EXIT_DONE && generation_number(m.settings.directory_state) < 0) {
		fail(&why, "there is no compiled configuration yet; run posthouse build");
		code = command_fail(EXIT_PERMANENT, &why);
	} else if (code == EXIT_DONE && start_master(&m.settings, &why) != 0) {
		code = command_fail(EXIT_TEMPORARY, &why);
	}
	model_free(&m);
	return code;
}
