/* SPDX-License-Identifier: ISC */
/* posthouse stop, reload, status: what master is asked for over RUNDIR/control. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/asking.h"
#include "conf/command.h"
#include "conf/inforce.h"
#include "conf/inspect.h"
#include "conf/load.h"
#include "conf/model.h"
#include "lib/base/file.h"
#include "lib/conf/generation.h"
#include "lib/queue/whose.h"

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
	const struct settings *settings;
	long current, running; /* the generation that should run, and that does */
	enum house_state state;
};

/* "state        stopping". */
static bool take_state(const char *line, enum house_state *state)
{
	struct view text = view_of(line), name = view_take(text, view_find(text, ' '));

	if (!view_equal(name, VIEW("state")))
		return false;
	*state = view_equal(view_trim(view_skip(text, name.len)), VIEW("stopping"))
	                 ? HOUSE_STOPPING
	                 : HOUSE_STARTING;
	return true;
}

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
	struct reason older;

	f->running = number;
	if (f->current <= 0 || number == f->current)
		return;
	if (inforce_current_is_older(f->settings, number, &older) == 0) {
		f->fault(f->context, older.text);
		return;
	}
	string_print_cut(
		fault, sizeof fault,
		"generation %ld is current, the running server uses %ld; run posthouse reload",
		f->current, number);
	f->fault(f->context, fault);
}

/* "tls          does not work for FILE: ...". */
static const char *dead_tls(const char *line, char fault[CONTROL_LINE_MAX + 64])
{
	struct view text = view_of(line);

	string_print_cut(fault, CONTROL_LINE_MAX + 64, "TLS %.*s",
	                 VIEW_ARG(view_trim(view_skip(text, view_find(text, ' ')))));
	return fault;
}

/* "queued       not running", "smtpd        pid 5 uid 7 up 3s, not ready": after a reload that is
 * well for a moment. "reload       refused: ...": of the last one. "replaced     queue.directory
 * ...": what runs is in another directory. */
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

	if (take_state(line, &f->state))
		return;
	if (view_equal(name, VIEW("directory"))) {
		struct reason why;

		if (status_is_elsewhere(line, f->settings->directory_state, &why))
			f->fault(f->context, why.text);
		return;
	}
	if (status_generation(line, &number)) {
		hear_generation(f, number);
		return;
	}
	if (view_equal(name, VIEW("reload"))) {
		string_print_cut(fault, sizeof fault,
		                 "the last reload was %.*s; the running server uses generation %ld",
		                 VIEW_ARG(view_trim(view_skip(text, name.len))), f->running);
		f->fault(f->context, fault);
		return;
	}
	if (view_equal(name, VIEW("replaced"))) {
		string_print_cut(fault, sizeof fault, "%.*s",
		                 VIEW_ARG(view_trim(view_skip(text, name.len))));
		f->fault(f->context, fault);
		return;
	}
	if (view_equal(name, VIEW("tls"))) {
		/* Of the current one check looks itself (keys_verify). */
		if (f->running != f->current)
			f->fault(f->context, dead_tls(line, fault));
		return;
	}
	bool silent = strstr(line, ", not answering for ") != NULL;

	if (!silent &&
	    (f->state == HOUSE_STOPPING || (strstr(line, " not running") == NULL && !late)))
		return;
	string_print_cut(fault, sizeof fault, "%.*s is not %s; the log says why", VIEW_ARG(name),
	                 silent ? "answering"
	                 : late ? "ready"
	                        : "running");
	f->fault(f->context, fault);
}

enum house_state command_running_faults(const struct settings *s,
                                        void (*fault)(void *context, const char *text),
                                        void *context)
{
	struct fault_hearer f = {
		.h = { hear_version, hear_line },
		.fault = fault,
		.context = context,
		.settings = s,
		.current = generation_number(s->directory_state),
		.state = HOUSE_RUNNING,
	};
	struct reason why;
	int fd = control_connect(s->directory_run, &why);

	if (fd < 0 && control_is_absent(errno))
		return HOUSE_NOT_RUNNING;
	if (fd < 0) {
		fault(context, why.text);
		return HOUSE_UNKNOWN;
	}
	if (ask(s, fd, CONTROL_STATUS, &f.h, &why) != EXIT_DONE)
		fault(context, why.text);
	close(fd);
	return f.state;
}

static void no_fault(void *context, const char *text)
{
	(void)context;
	(void)text;
}

enum house_state command_house_state(const struct settings *s)
{
	return command_running_faults(s, no_fault, NULL);
}

static void warn_of(struct hearer *h, const char *line)
{
	const struct view group = VIEW("replaced     control.group ");
	char fault[CONTROL_LINE_MAX + 64];

	(void)h;
	if (view_starts(view_of(line), VIEW("tls ")))
		fprintf(stderr, "posthouse: warning: %s\n", dead_tls(line, fault));
	else if (view_starts(view_of(line), group))
		fprintf(stderr, "posthouse: warning: control.group %s\n", line + group.len);
}

void command_warn_of_taken(const struct settings *s)
{
	struct hearer h = { NULL, warn_of };
	struct reason why;
	int fd = control_connect(s->directory_run, NULL);

	if (fd < 0)
		return;
	ask(s, fd, CONTROL_STATUS, &h, &why);
	close(fd);
}

struct replaced_hearer {
	struct hearer h;
	bool said;
};

static void print_replaced(struct hearer *h, const char *line)
{
	const struct view replaced = VIEW("replaced     queue.directory ");

	if (!view_starts(view_of(line), replaced))
		return;
	((struct replaced_hearer *)h)->said = true;
	printf("queue.directory %s\n", line + replaced.len);
}

bool command_queue_is_replaced(const struct settings *s)
{
	struct replaced_hearer h = { .h = { NULL, print_replaced } };
	struct reason why;
	int fd = control_connect(s->directory_run, NULL);

	if (fd >= 0) {
		ask(s, fd, CONTROL_STATUS, &h.h, &why);
		close(fd);
	}
	return h.said;
}

/* ---- the commands ---- */

static int ask_at(const struct settings *s, enum control_type question, struct reason *why)
{
	struct hearer h = { question == CONTROL_STATUS ? print_version : NULL, print_line };
	bool said = true;

	if (question != CONTROL_STATUS && ask_again(s, "", &said, why) != 0)
		return EXIT_TEMPORARY;
	int fd = control_connect(s->directory_run, why);

	if (fd < 0)
		return control_exit_code(errno);
	int code = ask(s, fd, question, &h, why);

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
	if (read && code == EXIT_DONE && question == CONTROL_RELOAD)
		command_warn_of_taken(&m.settings);
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
	struct reason why;
	bool secret_lost;

	if (code != EXIT_DONE || command_places_read(c, &m) != EXIT_DONE)
		return code;
	if (house_look_as_owner(&m, &why) != 0) {
		model_free(&m);
		return command_fail(EXIT_TEMPORARY, &why);
	}
	text_init(&aside, ASIDE_TEXT_MAX + QUEUE_ACCESS_TEXT_MAX); /* for either */
	aside_text(&m.settings, &secret_lost, &aside);
	if (aside.len)
		printf("set aside    %.*s\n", VIEW_ARG(text_view(&aside)));
	if (secret_lost)
		printf("secret       %s\n", QUEUE_SECRET_IS_LOST);
	text_clear(&aside);
	if (!house_is_anothers(&m))
		inspect_queue_access(&m.settings, false, &aside);
	if (aside.len)
		printf("unusable     %s: %.*s\n", m.settings.queue_directory,
		       VIEW_ARG(text_view(&aside)));
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
	int code = fd < 0 ? control_exit_code(errno) : EXIT_DONE;

	if (fd >= 0)
		close(fd);
	if (code == EXIT_DONE)
		code = ask_to_reload(s, &refused, &why);
	/* Nothing is wrong with it, and nobody is served any more. */
	if (code != EXIT_DONE && command_house_state(s) == HOUSE_STOPPING) {
		fprintf(stderr, "posthouse: posthouse is stopping; the next start uses this\n");
		return EXIT_DONE;
	}
	if (code != EXIT_DONE)
		*instead = say_refused(s, refused, &why);
	return code;
}
