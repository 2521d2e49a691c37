/* SPDX-License-Identifier: ISC */
/* posthouse map: any map by key. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf/command.h"
#include "conf/changes.h"
#include "conf/edits.h"
#include "conf/load.h"
#include "lib/base/file.h"
#include "lib/conf/generation.h"
#include "lib/conf/maptext.h"

/* What one verb does with the open text; as edits_run's work. */
typedef int map_work(struct edits *e, struct edit *f, int argc, char **argv, struct reason *why);

struct request {
	enum map_id id;
	map_work *work;
	int argc;
	char **argv;
};

static int work_with_map(struct edits *e, void *context, struct reason *why)
{
	const struct request *r = context;
	struct edit *f = edits_open(e, r->id, why);

	return f != NULL ? r->work(e, f, r->argc, r->argv, why) : EXIT_TEMPORARY;
}

static int with_map(const struct command *c, int argc, char **argv, map_work *work)
{
	struct request r = { .work = work, .argc = argc - 1, .argv = argv + 1 };
	struct reason why;
	int id = maptable_find(argv[0], &why);

	if (id < 0)
		return command_fail(EXIT_PERMANENT, &why);
	r.id = (enum map_id)id;
	return edits_run(c, work_with_map, &r);
}

static int work_get(struct edits *e, struct edit *f, int argc, char **argv, struct reason *why)
{
	struct text value;

	(void)argc;
	text_init(&value, 1 << 20);
	int found = edit_get(e, f, view_of(argv[0]), &value, why);

	if (found > 0)
		printf("%s\n", text_string(&value));
	text_free(&value);
	if (found == 0)
		return edit_missing(f, view_of(argv[0]), why);
	return found > 0 ? EXIT_DONE : -1;
}

static int work_set(struct edits *e, struct edit *f, int argc, char **argv, struct reason *why)
{
	struct text value;

	command_join(argc - 1, argv + 1, " ", &value);
	int result = edit_set(e, f, view_of(argv[0]), text_view(&value), why);

	text_free(&value);
	return result;
}

static int work_del(struct edits *e, struct edit *f, int argc, char **argv, struct reason *why)
{
	(void)argc;
	int found = edit_delete(e, f, view_of(argv[0]), why);

	if (found == 0)
		return edit_missing(f, view_of(argv[0]), why);
	return found > 0 ? EXIT_DONE : -1;
}

static int map_get_value(const struct command *c, int argc, char **argv)
{
	return with_map(c, argc, argv, work_get);
}

static int map_set(const struct command *c, int argc, char **argv)
{
	return with_map(c, argc, argv, work_set);
}

static int map_del(const struct command *c, int argc, char **argv)
{
	return with_map(c, argc, argv, work_del);
}

/* ---- edit ---- */

static int run_editor(const char *path, struct reason *why)
{
	const char *editor = getenv("VISUAL");
	int status;

	if (editor == NULL || editor[0] == '\0')
		editor = getenv("EDITOR");
	if (editor == NULL || editor[0] == '\0')
		editor = "vi";
	fflush(stdout);
	pid_t pid = fork();

	if (pid < 0)
		return fail_errno(why, "fork");
	if (pid == 0) {
		/* The usual contract of EDITOR: a shell command that gets the file's name. */
		execl("/bin/sh", "sh", "-c", "eval \"$0 \\\"\\$1\\\"\"", editor, path,
		      (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return fail_errno(why, "wait for %s", editor);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0
	               ? 0
	               : fail(why, "%s failed; nothing was changed", editor);
}

static int read_back(const char *path, struct text *out, struct reason *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return fail_errno(why, "open %s", path);
	enum file_result result = file_read_rest(fd, out);

	if (result != FILE_WHOLE)
		fail(why, "read %s: %s", path, file_result_text(result));
	close(fd);
	return result == FILE_WHOLE ? 0 : -1;
}

struct copy {
	enum map_id id;
	struct text before, edited;
	bool missing; /* there was no file */
};

/* The text as it is, and a copy of it in a file that the caller alone can read. */
static int make_copy(const char *confdir, struct copy *copy, char *path, struct reason *why)
{
	struct model m;
	struct source source;
	char name[MAPTABLE_FILE_NAME_MAX];

	maptable_text_file(copy->id, name);
	model_read_settings(&m, confdir, NULL);
	unsigned before = m.problems.errors;

	model_read_source(&m, name, NULL, &source);
	bool good = m.problems.errors == before;

	text_add(&copy->before, source.text);
	copy->missing = source.missing;
	free(source.memory);
	model_free(&m);
	if (!good)
		return fail(why, "%s/%s cannot be read", confdir, name);
	int fd = mkstemp(path);

	if (fd < 0)
		return fail_errno(why, "make a copy of %s", name);
	int result = write_whole(fd, text_string(&copy->before), copy->before.len);

	if (result != 0) {
		fail_errno(why, "write a copy of %s", name);
		unlink(path);
	}
	close(fd);
	return result;
}

/* The edited text in the place of the one that was copied; of another one it is no edit. */
static int put_back(struct edits *e, void *context, struct reason *why)
{
	const struct copy *copy = context;
	struct edit *f = edits_open(e, copy->id, why);

	if (f == NULL)
		return EXIT_TEMPORARY;
	if (!view_equal(text_view(&f->text), text_view(&copy->before))) {
		fail(why, "%s was changed by someone else in the meantime; nothing was changed",
		     f->name);
		return EXIT_TEMPORARY;
	}
	edit_replace(f, text_view(&copy->edited));
	return EXIT_DONE;
}

static int edit_copy(const struct command *c, const char *path, struct copy *copy)
{
	struct reason why;

	if (run_editor(path, &why) != 0 || read_back(path, &copy->edited, &why) != 0)
		return command_fail(EXIT_TEMPORARY, &why);
	if (!copy->missing && view_equal(text_view(&copy->edited), text_view(&copy->before)))
		return EXIT_DONE;
	return edits_run(c, put_back, copy);
}

/* Nobody waits for an editor: the lock is taken when the text is put in.  What does not build is
 * shown, and stays in the copy. */
static int map_edit(const struct command *c, int argc, char **argv)
{
	struct copy copy;
	struct reason why;
	char path[] = "/tmp/posthouse.XXXXXX";
	int id = maptable_find(argv[0], &why), code = EXIT_TEMPORARY;

	(void)argc;
	if (id < 0)
		return command_fail(EXIT_PERMANENT, &why);
	copy.id = (enum map_id)id;
	text_init(&copy.before, MAPTEXT_FILE_MAX);
	text_init(&copy.edited, MAPTEXT_FILE_MAX);
	if (make_copy(c->confdir, &copy, path, &why) != 0)
		command_fail(code, &why);
	else if ((code = edit_copy(c, path, &copy)) == EXIT_DONE)
		unlink(path);
	else
		fprintf(stderr, "posthouse: your version is in %s\n", path);
	text_free(&copy.before);
	text_free(&copy.edited);
	return code;
}

/* ---- dump, check, diff ---- */

static void show_entry(void *context, enum map_id id, char mark, struct view key, struct view value)
{
	(void)context;
	struct text key_text, value_text;

	text_init(&key_text, 1 << 16);
	text_init(&value_text, 1 << 24);
	if (map_kinds[id].show(key, value, &key_text, &value_text)) {
		if (mark)
			printf("%c ", mark);
		printf("%s%s%s\n", text_string(&key_text), value_text.len ? " " : "",
		       text_string(&value_text));
	}
	text_free(&key_text);
	text_free(&value_text);
}

static int fail_damaged(enum map_id id)
{
	struct reason why;

	fail(&why, "%s.cdb of the current generation is damaged; run posthouse build",
	     maptable[id].name);
	return command_fail(EXIT_TEMPORARY, &why);
}

static int dump(const struct model *m, enum map_id id)
{
	struct map map;
	struct reason why;
	struct view key, value;
	enum map_result more;

	if (changes_open(m, id, &map, &why) != 0)
		return command_fail(EXIT_TEMPORARY, &why);
	while ((more = map_next(&map, &key, &value)) == MAP_FOUND)
		show_entry(NULL, id, 0, key, value);
	map_close(&map);
	return more == MAP_DAMAGED ? fail_damaged(id) : EXIT_DONE;
}

/* What is in use, every default filled in. */
static int map_dump(const struct command *c, int argc, char **argv)
{
	struct model m;
	struct reason why;
	int id = maptable_find(argv[0], &why);

	(void)argc;
	if (id < 0)
		return command_fail(EXIT_PERMANENT, &why);
	int code = command_places_read(c, &m);

	if (code == EXIT_DONE)
		code = dump(&m, (enum map_id)id);
	model_free(&m);
	return code;
}

static int map_check(const struct command *c, int argc, char **argv)
{
	struct model m;
	struct reason why;

	if (argc == 1 && maptable_find(argv[0], &why) < 0)
		return command_fail(EXIT_PERMANENT, &why);
	load_configuration(&m, c->confdir, NULL);
	problems_print(&m.problems);
	int code = m.problems.errors ? EXIT_PERMANENT : EXIT_DONE;

	model_free(&m);
	return code;
}

/* What the next build would change: "-" as it is in the current generation, "+" as it is in the
 * text. */
static int map_diff(const struct command *c, int argc, char **argv)
{
	struct model m;
	struct reason why;
	int only = argc == 1 ? maptable_find(argv[0], &why) : -1, code = EXIT_DONE;

	if (argc == 1 && only < 0)
		return command_fail(EXIT_PERMANENT, &why);
	load_configuration(&m, c->confdir, NULL);
	problems_print(&m.problems);
	for (int id = 0; id < MAPS && code == EXIT_DONE; id++) {
		struct map compiled;

		if (argc == 1 && id != only)
			continue;
		if (changes_open(&m, (enum map_id)id, &compiled, &why) != 0) {
			code = command_fail(EXIT_TEMPORARY, &why);
			continue;
		}
		if (changes_of_map(&m, (enum map_id)id, &compiled, show_entry, NULL) != 0)
			code = fail_damaged((enum map_id)id);
		map_close(&compiled);
	}
	if (m.problems.errors)
		code = EXIT_PERMANENT;
	model_free(&m);
	return code;
}

int command_map(const struct command *c, int argc, char **argv)
{
	static const struct verb verbs[] = {
		{ "get", 2, 2, "get MAP KEY", map_get_value, false },
		{ "set", 2, -1, "set MAP KEY VALUE...", map_set, true },
		{ "del", 2, 2, "del MAP KEY", map_del, true },
		{ "dump", 1, 1, "dump MAP", map_dump, false },
		{ "check", 0, 1, "check [MAP]", map_check, false },
		{ "edit", 1, 1, "edit MAP", map_edit, true },
		{ "diff", 0, 1, "diff [MAP]", map_diff, false },
		{ NULL, 0, 0, NULL, NULL, false },
	};

	return command_verb(c, verbs, argc, argv);
}
