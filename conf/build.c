/* SPDX-License-Identifier: ISC */
/* posthouse build, rollback, generations, settings. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "conf/asking.h"
#include "conf/changes.h"
#include "conf/command.h"
#include "conf/inspect.h"
#include "conf/keys.h"
#include "conf/load.h"
#include "conf/lock.h"
#include "conf/publish.h"
#include "lib/conf/generation.h"

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static void print_summary(const struct model *m, long number)
{
	printf("generation %ld: ", number);
	for (int id = 0; id < MAPS; id++)
		if (maptable[id].one[0])
			printf("%zu %s, ", m->maps[id].count,
			       m->maps[id].count == 1 ? maptable[id].one : maptable[id].many);
	printf("%zu certificate%s\n", m->certificate_count, plural(m->certificate_count));
}

/* The next start would take what the running server refused. */
static int reload(const struct settings *s)
{
	long instead;
	int code = command_reload_if_running(s, &instead);

	if (code == EXIT_DONE)
		command_warn_of_taken(s);
	if (instead > 0)
		fprintf(stderr,
		        "posthouse: generation %ld is still current, and a start would fail with it: "
		        "posthouse rollback returns to generation %ld; or correct it and build again\n",
		        generation_number(s->directory_state), instead);
	return code;
}

static int build_locked(const struct command *c, bool and_reload)
{
	struct model m;
	struct reason why;
	int code = EXIT_DONE;
	long number = -1;

	load_configuration(&m, c->confdir, NULL);
	inspect_secrets(&m.settings, &m.problems, false);
	problems_print(&m.problems);
	if (m.problems.errors) {
		fprintf(stderr, "posthouse: %u error%s; the current generation is untouched\n",
		        m.problems.errors, plural(m.problems.errors));
		code = EXIT_PERMANENT;
	} else if (command_may_move(&m.settings, &why) < 0) {
		code = command_fail(EXIT_PERMANENT, &why);
	} else if ((number = publish_generation(&m, false, &why)) < 0) {
		code = command_fail(EXIT_TEMPORARY, &why);
	} else {
		print_summary(&m, number);
		fflush(stdout);
		if (and_reload)
			code = reload(&m.settings);
	}
	model_free(&m);
	return code;
}

/* The lock keeps a tool from changing the texts between two reads. */
int command_build(const struct command *c, int argc, char **argv)
{
	struct reason why;

	bool and_reload = argc == 1 && strcmp(argv[0], "--reload") == 0;

	if (argc > 0 && !and_reload)
		return command_usage(c, "[--reload]");
	int directory = lock_directory(c->confdir, &why);

	if (directory < 0)
		return command_fail(EXIT_TEMPORARY, &why);
	int code = build_locked(c, and_reload);

	close(directory);
	return code;
}

/* What the texts say and is not in force any more: a user who was locked, a new password. Texts
 * that do not build say nothing. */
static void print_undone(const struct command *c)
{
	struct model m;
	struct text undone;

	load_configuration(&m, c->confdir, NULL);
	text_init(&undone, 4096);
	if (m.problems.errors == 0)
		changes_summary(&m, &undone);
	if (undone.len)
		printf("not in force until the next build: %s; posthouse map diff shows them\n",
		       text_string(&undone));
	text_free(&undone);
	model_free(&m);
}

struct first_fault {
	bool any;
	struct reason why;
};

static void keep_first(void *context, const char *text)
{
	struct first_fault *f = context;

	if (!f->any)
		fail(&f->why, "%s", text);
	f->any = true;
}

/* Whole, and with the key of each of its certificates. */
static int judge(void *context, int generation, struct reason *why)
{
	const struct command *c = context;
	struct first_fault f = { .any = false };

	if (maptable_judge(NULL, generation, why) != 0)
		return -1;
	keys_verify(generation, c->confdir, "", keep_first, &f);
	return f.any ? fail(why, "%s; put the key back, or run posthouse build instead", f.why.text)
	             : 0;
}

static int roll_back(const struct command *c, const struct settings *s, long wanted)
{
	struct reason why;
	long used;

	if (ask_takes_from(s, s->directory_state, &used, &why) < 0)
		return command_fail(EXIT_PERMANENT, &why);
	used = wanted ? wanted : used;
	/* What the server runs by can be run by; the one before the current may be the next that
	 * was refused. */
	if (used > 0 && used != generation_number(s->directory_state))
		wanted = used;
	long number = generation_rollback(s->directory_state, wanted, judge, (void *)c, &why);

	if (number < 0)
		return command_fail(EXIT_PERMANENT, &why);
	printf("generation %ld is current; posthouse.conf and the maps are unchanged: correct them before the next build\n",
	       number);
	print_undone(c);
	fflush(stdout);
	return reload(s);
}

int command_rollback(const struct command *c, int argc, char **argv)
{
	struct model m;
	uint64_t wanted = 0;

	if (argc > 1 || (argc == 1 && !view_number(view_of(argv[0]), GENERATION_MAX, &wanted)))
		return command_usage(c, "[NUMBER]");
	/* Only directory.state is needed: a text that does not build must not stand in the way. */
	int code = command_places_read(c, &m);

	if (code == EXIT_DONE)
		code = roll_back(c, &m.settings, (long)wanted);
	model_free(&m);
	return code;
}

static void show_generation(void *context, const struct generation_row *row)
{
	char born[32] = "";
	time_t born_s = (time_t)row->born_s;
	struct tm tm;

	(void)context;
	if (localtime_r(&born_s, &tm) != NULL)
		strftime(born, sizeof born, "%Y-%m-%d %H:%M:%S", &tm);
	printf("%ld  %s  %s%s\n", row->number, born, row->by_edit ? "edit" : "build",
	       row->current ? "  current" : "");
}

int command_generations(const struct command *c, int argc, char **argv)
{
	struct model m;
	struct reason why;

	(void)argv;
	if (argc > 0)
		return command_usage(c, "");
	int code = command_places_read(c, &m);

	if (code == EXIT_DONE &&
	    generation_list(m.settings.directory_state, show_generation, NULL, &why) != 0)
		code = command_fail(EXIT_PERMANENT, &why);
	model_free(&m);
	return code;
}

static void show_setting(const struct model *m, const struct setting *row)
{
	struct text value;
	int line = model_setting_line(m, row->key);

	text_init(&value, 2 * SETTING_VALUE_MAX);
	setting_format(&m->settings, row, &value);
	if (line)
		printf("%s %s   # line %d; default %s\n", row->key, text_string(&value), line,
		       row->initial);
	else
		printf("%s %s\n", row->key, text_string(&value));
	text_free(&value);
}

int command_settings(const struct command *c, int argc, char **argv)
{
	struct model m;
	const struct setting *one = argc == 1 ? setting_find(view_of(argv[0])) : NULL;

	if (argc > 1)
		return command_usage(c, "[KEY]");
	if (argc == 1 && one == NULL) {
		fprintf(stderr, "posthouse: unknown setting \"%s\"; see posthouse.conf(5)\n",
		        argv[0]);
		return EXIT_PERMANENT;
	}
	int code = command_settings_read(c, &m);

	for (size_t i = 0; i < settings_count && code == EXIT_DONE; i++)
		if (one == NULL || one == &settings_table[i])
			show_setting(&m, &settings_table[i]);
	model_free(&m);
	return code;
}
