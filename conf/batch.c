/* SPDX-License-Identifier: ISC */
#include "conf/batch.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/conf/maptext.h"

struct batch {
	struct text input;
	struct arena arena; /* of values with continuations */
	struct problems problems;
	batch_line *line;
	void *context;
};

bool batch_is_asked(int argc, char **argv)
{
	return argc == 1 && strcmp(argv[0], "-") == 0;
}

/* An exit code. */
static int read_input(struct text *out, struct reason *why)
{
	enum file_result result = file_read_rest(STDIN_FILENO, out);

	if (result == FILE_WHOLE)
		return EXIT_DONE;
	if (result == FILE_TOO_LARGE) {
		fail(why, "standard input has more than %d bytes; give it in parts",
		     BATCH_BYTES_MAX);
		return EXIT_PERMANENT;
	}
	fail(why, "read standard input: %s", file_result_text(result));
	return EXIT_TEMPORARY;
}

static int do_lines(struct edits *e, void *context, struct reason *why)
{
	struct batch *b = context;
	struct maptext text;
	struct maptext_entry entry;
	int more;

	e->many = true;
	maptext_init(&text, text_view(&b->input));
	while ((more = maptext_next(&text, &b->arena, &entry, why)) != 0) {
		e->line = entry.line;
		if (more < 0 || b->line(e, b->context, entry.key, entry.value, why) != 0)
			problem_error(&b->problems, EDITS_INPUT, entry.line, "%s", why->text);
	}
	if (b->problems.errors == 0)
		return EXIT_DONE;
	problems_print(&b->problems);
	return fail(why, "nothing was changed");
}

int batch_run(const struct command *c, batch_line *line, void *context)
{
	struct batch b = { .line = line, .context = context };
	struct reason why;

	text_init(&b.input, BATCH_BYTES_MAX);
	problems_init(&b.problems);
	int code = read_input(&b.input, &why);

	code = code == EXIT_DONE ? edits_run(c, do_lines, &b) : command_fail(code, &why);
	problems_free(&b.problems);
	text_free(&b.input);
	arena_clear(&b.arena);
	return code;
}
