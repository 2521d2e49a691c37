/* SPDX-License-Identifier: ISC */
/*
 * posthouse: the command line.
 *
 * What it does: checks and compiles the configuration, edits the maps, starts and stops the server,
 * shows and moves the queue.
 * As whom: whoever calls it; root for an installed house, the ordinary user for a private one.
 * What it trusts: its caller and the texts in the configuration directory.
 * What it reads: posthouse.conf, *.map, certs/, keys/ (to see that they fit, and to copy them).
 * What it writes: the maps (with their comments), STATEDIR/generations; to the running house it
 * speaks over RUNDIR/control, which master guards by peer credentials.
 * What somebody who owns it gains: everything its caller can do; it is not set-uid and listens to
 * nobody.
 */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/command.h"
#include "conf/model.h"
#include "lib/base/shown.h"
#include "lib/base/version.h"
#include "lib/conf/maptext.h"

struct row {
	const char *name;
	command_function *run;
	const char *words, *help;
};

static command_function command_help, command_version;

static const struct row rows[] = {
	{ "build", command_build, "[--reload]",
	  "check and compile the configuration, make it current" },
	{ "rollback", command_rollback, "[NUMBER]", "return to an earlier generation" },
	{ "generations", command_generations, "", "list the generations that can be returned to" },
	{ "settings", command_settings, "[KEY]", "show settings and where they come from" },
	{ "start", command_start, "", "start the server" },
	{ "stop", command_stop, "", "stop it when sessions have finished" },
	{ "reload", command_reload, "", "have the running server use the current generation" },
	{ "status", command_status, "", "show what is running, and in which version" },
	{ "who", command_who, "[USER]", "list the sessions of those who have logged in" },
	{ "kick", command_kick, "USER | SESSION", "end a user's sessions, or one" },
	{ "check", command_check, "",
	  "look for problems: configuration, permissions, certificates, ports, disk" },
	{ "map", command_map, "VERB MAP ...", "get, set, del, dump, check, edit, diff a map" },
	{ "user", command_user, "VERB ...", "add, del, list, show, set, passwd mailboxes" },
	{ "domain", command_domain, "VERB ...", "add, del, list, show domains" },
	{ "alias", command_alias, "VERB ...", "add, set, del, list, show aliases" },
	{ "queue", command_queue, "VERB ...",
	  "list, show, retry, hold, release, remove messages; check their files" },
	{ "password", command_password, "", "hash a password from standard input" },
	{ "version", command_version, "", "show the version of this command" },
	{ "help", command_help, "", "this list" },
};

enum { ROWS = sizeof rows / sizeof rows[0] };

static int command_help(const struct command *c, int argc, char **argv)
{
	(void)c, (void)argc, (void)argv;
	printf("usage: posthouse [-c CONFIGURATION-DIRECTORY] COMMAND ...\n");
	for (size_t i = 0; i < ROWS; i++)
		printf("  %-11s %-13s %s\n", rows[i].name, rows[i].words, rows[i].help);
	return EXIT_DONE;
}

static int command_version(const struct command *c, int argc, char **argv)
{
	(void)c, (void)argc, (void)argv;
	printf("posthouse %s\n", version_text);
	return EXIT_DONE;
}

void command_join(int argc, char **argv, const char *between, struct text *out)
{
	text_init(out, MAPTEXT_FILE_MAX);
	for (int i = 0; i < argc; i++)
		text_format(out, "%s%s", i ? between : "", argv[i]);
}

int command_fail(int code, const struct reason *why)
{
	struct text shown;

	text_init(&shown, 4 * REASON_MAX);
	text_add_shown(&shown, view_of(why->text));
	fprintf(stderr, "posthouse: %s\n", text_string(&shown));
	text_free(&shown);
	return code;
}

int command_usage(const struct command *c, const char *usage)
{
	fprintf(stderr, "usage: posthouse %s %s\n", c->name, usage);
	return EXIT_PERMANENT;
}

/* Takes --only-mine off the words, wherever it stands. */
static bool take_only_mine(int *argc, char **argv)
{
	int kept = 0;

	for (int i = 0; i < *argc; i++)
		if (strcmp(argv[i], "--only-mine") != 0)
			argv[kept++] = argv[i];
	bool found = kept < *argc;

	*argc = kept;
	return found;
}

static int verb_usage(const struct command *c, const struct verb *v)
{
	fprintf(stderr, "usage: posthouse %s %s%s\n", c->name, v->usage,
	        v->edits ? " [--only-mine]" : "");
	return EXIT_PERMANENT;
}

int command_verb(const struct command *c, const struct verb *verbs, int argc, char **argv)
{
	for (const struct verb *v = verbs; argc > 0 && v->name != NULL; v++) {
		if (strcmp(v->name, argv[0]) != 0)
			continue;
		struct command own = *c;

		argc--, argv++;
		own.only_mine = v->edits && take_only_mine(&argc, argv);
		if (argc < v->least || (v->most >= 0 && argc > v->most))
			return verb_usage(c, v);
		return v->run(&own, argc, argv);
	}
	if (argc > 0)
		fprintf(stderr, "posthouse: there is no \"%s %s\"\n", c->name, argv[0]);
	for (const struct verb *v = verbs; v->name != NULL; v++)
		verb_usage(c, v);
	return EXIT_PERMANENT;
}

int command_settings_read(const struct command *c, struct model *m)
{
	model_read_settings(m, c->confdir, NULL);
	if (m->problems.errors == 0)
		return EXIT_DONE;
	problems_print(&m->problems);
	return EXIT_PERMANENT;
}

static bool is_standard(const char *confdir)
{
	char standard[PATH_MAX];

	return realpath(SYSCONFDIR, standard) != NULL && strcmp(confdir, standard) == 0;
}

/* Another directory than the standard one is of another house: where its text does not say where
 * that is, the standard places would be those of the system's house. */
static bool names_no_house(const struct command *c, const struct model *m)
{
	static const char *const places[] = { "directory.run", "directory.state",
		                              "queue.directory" };

	if (m->problems.errors == 0 || is_standard(c->confdir))
		return false;
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
		if (model_setting_line(m, places[i]) == 0)
			return true;
	return false;
}

int command_places_read(const struct command *c, struct model *m)
{
	model_read_settings(m, c->confdir, NULL);
	bool unknown = names_no_house(c, m);

	if (!m->conf.unreadable && !unknown)
		return EXIT_DONE;
	problems_print(&m->problems);
	if (unknown && !m->conf.unreadable && !m->conf.missing)
		fprintf(stderr,
		        "posthouse: %s does not say which server it is of (directory.run, "
		        "directory.state, queue.directory) and has errors; correct them first\n",
		        m->conf.path);
	return m->conf.unreadable ? EXIT_TEMPORARY : EXIT_PERMANENT;
}

/* An absolute path, so that it means the same in the compiled settings. */
static int find_confdir(const char *given, char out[PATH_MAX], struct reason *why)
{
	const char *chosen = given != NULL ? given : getenv("POSTHOUSE_CONF");

	if (chosen == NULL || chosen[0] == '\0')
		chosen = SYSCONFDIR;
	if (realpath(chosen, out) == NULL)
		return fail_errno(why, "configuration directory %s", chosen);
	return 0;
}

static int run(const char *given_confdir, int argc, char **argv)
{
	char confdir[PATH_MAX];
	struct reason why;

	for (size_t i = 0; i < ROWS; i++) {
		struct command c = { confdir, rows[i].name, false };

		if (strcmp(rows[i].name, argv[0]) != 0)
			continue;
		if (rows[i].run != command_help && rows[i].run != command_version &&
		    rows[i].run != command_password &&
		    find_confdir(given_confdir, confdir, &why) != 0)
			return command_fail(EXIT_PERMANENT, &why);
		return rows[i].run(&c, argc - 1, argv + 1);
	}
	fprintf(stderr, "posthouse: there is no command \"%s\"; posthouse help lists them\n",
	        argv[0]);
	return EXIT_PERMANENT;
}

int main(int argc, char **argv)
{
	const char *confdir = NULL;
	int option;

	log_open("posthouse");
	log_plain();
	signal(SIGCHLD, SIG_DFL); /* a caller may have had us ignore what becomes of ours */
	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "--version") == 0))
		argv[1] += 2;
	/* "+": options behind the command are the command's own. */
	while ((option = getopt(argc, argv, "+c:h")) != -1) {
		if (option == 'c')
			confdir = optarg;
		else
			return option == 'h' ? command_help(NULL, 0, NULL) : EXIT_PERMANENT;
	}
	if (optind == argc) {
		command_help(NULL, 0, NULL);
		return EXIT_PERMANENT;
	}
	int code = run(confdir, argc - optind, argv + optind);

	if (fflush(stdout) != 0 || ferror(stdout)) {
		perror("posthouse: standard output");
		return EXIT_TEMPORARY;
	}
	return code;
}
