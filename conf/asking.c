/* SPDX-License-Identifier: ISC */
#include "conf/asking.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/base/version.h"
#include "lib/conf/generation.h"
#include "lib/conf/settings.h"

/* 0: something has come. */
static int wait_on(const struct settings *s, int fd, enum control_type question, bool *said,
                   struct reason *why)
{
	while (file_wait(fd, POLLIN, ASKING_SILENCE_MS) <= 0) {
		if (question == CONTROL_STATUS)
			return fail(why, "posthouse does not respond: master hangs");
		if (ask_again(s,
		              question == CONTROL_STOP ? NULL
		                                       : "the programs of the new generation",
		              said, why) != 0)
			return -1;
	}
	return 0;
}

/* The exit code that comes at the answer's end. */
static int read_answer(const struct settings *s, int fd, enum control_type question,
                       struct hearer *h, struct reason *why)
{
	bool version_known = false, said = false;
	struct wire_in in;
	char line[CONTROL_LINE_MAX], version[VERSION_MAX];

	for (;;) {
		if (wait_on(s, fd, question, &said, why) != 0)
			return EXIT_TEMPORARY;
		if (wire_receive(fd, &in) != WIRE_OK)
			break;
		uint8_t code = EXIT_TEMPORARY;
		bool ended = in.type == CONTROL_END && control_end_get(&in, &code, line);

		/* Who is refused is not told it. */
		if (!version_known && !(ended && code != EXIT_DONE)) {
			bool told = in.type == CONTROL_VERSION && control_version_get(&in, version);

			if (h->version != NULL)
				h->version(h, told ? version : "unknown");
			version_known = true;
		}
		if (h->line != NULL && in.type == CONTROL_LINE && control_line_get(&in, line))
			h->line(h, line);
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

int ask(const struct settings *s, int fd, enum control_type question, struct hearer *h,
        struct reason *why)
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
	return read_answer(s, fd, question, h, why);
}

/* ---- whom does it wait for ---- */

struct waiting_hearer {
	struct hearer h;
	bool all;
	struct text names;
};

/* "smtpd        pid 5 uid 7 up 3s, not answering for 6s" */
static void keep_name(struct hearer *h, const char *line)
{
	struct waiting_hearer *w = (struct waiting_hearer *)h;
	struct view text = view_of(line), name = view_take(text, view_find(text, ' '));

	if (strstr(line, " pid ") == NULL ||
	    (!w->all && strstr(line, ", not answering for ") == NULL))
		return;
	text_format(&w->names, "%s%.*s", w->names.len ? ", " : "", VIEW_ARG(name));
}

int ask_again(const struct settings *s, const char *whom, bool *said, struct reason *why)
{
	struct waiting_hearer w = { .h = { .line = keep_name }, .all = whom == NULL };
	int fd = control_connect(s->directory_run, NULL);

	if (fd < 0)
		return 0; /* it has come to its end meanwhile */
	text_init(&w.names, 4096);
	if (whom != NULL)
		text_add_string(&w.names, whom);
	int result = ask(s, fd, CONTROL_STATUS, &w.h, why) == EXIT_DONE ? 0 : -1;

	if (result == 0 && !*said && w.names.len)
		fprintf(stderr, "posthouse: waiting for %.*s\n", VIEW_ARG(text_view_cut(&w.names)));
	*said = *said || result == 0;
	text_free(&w.names);
	close(fd);
	return result;
}

/* ---- what is it that runs ---- */

struct told {
	struct hearer h;
	char version[VERSION_MAX];
	long generation;   /* -1: it does not run, or does not say */
	const char *state; /* NULL: any */
	bool elsewhere;    /* `why`: its generations are not in `state` */
	struct reason why;
};

static void keep_version(struct hearer *h, const char *version)
{
	string_put(((struct told *)h)->version, VERSION_MAX, view_of(version));
}

static bool is_one_directory(const char *a, const char *b)
{
	struct stat one, other;

	return strcmp(a, b) == 0 || (stat(a, &one) == 0 && stat(b, &other) == 0 &&
	                             one.st_dev == other.st_dev && one.st_ino == other.st_ino);
}

bool status_is_elsewhere(const char *line, const char *state, struct reason *why)
{
	struct view text = view_of(line), name = view_take(text, view_find(text, ' '));
	const char *used = view_trim(view_skip(text, name.len)).data;

	if (!view_equal(name, VIEW("directory")) || is_one_directory(used, state))
		return false;
	fail(why,
	     "directory.state is %s in posthouse.conf, and the running server takes its generations "
	     "from %s: stop it first, and move what is there",
	     state, used);
	return true;
}

bool status_generation(const char *line, long *number)
{
	struct view text = view_of(line), name = view_take(text, view_find(text, ' '));
	uint64_t found;

	if (!view_equal(name, VIEW("generation")) ||
	    !view_number(view_trim(view_skip(text, name.len)), GENERATION_MAX, &found))
		return false;
	*number = (long)found;
	return true;
}

static void keep_line(struct hearer *h, const char *line)
{
	struct told *t = (struct told *)h;

	if (t->state != NULL)
		t->elsewhere |= status_is_elsewhere(line, t->state, &t->why);
	status_generation(line, &t->generation);
}

/* Its exit code; of one that does not run there is nothing else. */
static int ask_what_runs(const struct settings *s, const char *state, struct told *t,
                         struct reason *why)
{
	*t = (struct told){ .h = { keep_version, keep_line }, .generation = -1, .state = state };
	int fd = control_connect(s->directory_run, why);

	if (fd < 0)
		return control_exit_code(errno);
	int code = ask(s, fd, CONTROL_STATUS, &t->h, why);

	close(fd);
	if (code != EXIT_DONE)
		t->generation = -1;
	return code;
}

long ask_generation(const struct settings *s)
{
	struct reason why;
	struct told t;

	ask_what_runs(s, NULL, &t, &why);
	return t.generation;
}

int ask_takes_from(const struct settings *s, const char *state, long *generation,
                   struct reason *why)
{
	struct reason silent;
	struct told t;

	ask_what_runs(s, state, &t, &silent);
	*generation = t.generation;
	if (t.elsewhere)
		*why = t.why;
	return t.elsewhere ? -1 : 0;
}

/* ---- it takes another generation ---- */

/* A running master of another version would start the installed programs beside its own, which do
 * not understand each other; one with another directory of generations would take none of ours. */
static int suits(const struct settings *s, struct reason *why)
{
	struct told t;
	int code = ask_what_runs(s, s->directory_state, &t, why);

	if (code == EXIT_DONE && t.elsewhere) {
		*why = t.why;
		return EXIT_PERMANENT;
	}
	if (code != EXIT_DONE || strcmp(t.version, version_text) == 0)
		return code;
	fail(why,
	     "version %s is running and cannot start programs of version %s; run posthouse stop and "
	     "posthouse start",
	     t.version, version_text);
	return EXIT_TEMPORARY;
}

int ask_to_reload(const struct settings *s, bool *refused, struct reason *why)
{
	struct hearer h = { 0 };

	*refused = false;
	int code = suits(s, why);
	int fd = code == EXIT_DONE ? control_connect(s->directory_run, why) : -1;

	if (fd < 0)
		return code == EXIT_DONE ? control_exit_code(errno) : code;
	code = ask(s, fd, CONTROL_RELOAD, &h, why);
	close(fd);
	*refused = code != EXIT_DONE;
	return code;
}
