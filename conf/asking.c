/* SPDX-License-Identifier: ISC */
#include "conf/asking.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/base/version.h"
#include "lib/conf/generation.h"
#include "lib/conf/settings.h"

/* master answers at once what it is and how; a reload or a stop takes what it takes. */
enum { STATUS_TIMEOUT_MS = 5000, FOR_EVER = -1 };

/* The exit code that comes at the answer's end. */
static int read_answer(int fd, int timeout_ms, struct hearer *h, struct reason *why)
{
	bool version_known = false;
	struct wire_in in;
	char line[CONTROL_LINE_MAX], version[VERSION_MAX];

	for (;;) {
		if (timeout_ms != FOR_EVER && file_wait(fd, POLLIN, timeout_ms) <= 0) {
			fail(why, "posthouse does not respond: master hangs");
			return EXIT_TEMPORARY;
		}
		if (wire_receive(fd, &in) != WIRE_OK)
			break;
		uint8_t code = EXIT_TEMPORARY;
		bool ended = in.type == CONTROL_END && control_end_get(&in, &code, line);

		if (!version_known) {
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

int ask(int fd, enum control_type question, struct hearer *h, struct reason *why)
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
	return read_answer(fd, question == CONTROL_STATUS ? STATUS_TIMEOUT_MS : FOR_EVER, h, why);
}

/* ---- of what version is it ---- */

struct version_hearer {
	struct hearer h;
	char version[VERSION_MAX];
};

static void keep_version(struct hearer *h, const char *version)
{
	string_put(((struct version_hearer *)h)->version, VERSION_MAX, view_of(version));
}

/* A running master of another version would start the installed programs beside its own, which do
 * not understand each other. */
static int same_version(const struct settings *s, struct reason *why)
{
	struct version_hearer v = { .h = { .version = keep_version } };
	int fd = control_connect(s->directory_run, why);
	int code = fd < 0 ? control_exit_code(errno) : ask(fd, CONTROL_STATUS, &v.h, why);

	if (fd >= 0)
		close(fd);
	if (code != EXIT_DONE || strcmp(v.version, version_text) == 0)
		return code;
	fail(why,
	     "version %s is running and cannot start programs of version %s; run posthouse stop and "
	     "posthouse start",
	     v.version, version_text);
	return EXIT_TEMPORARY;
}

int ask_to_reload(const struct settings *s, bool *refused, struct reason *why)
{
	struct hearer h = { 0 };

	*refused = false;
	int code = same_version(s, why);
	int fd = code == EXIT_DONE ? control_connect(s->directory_run, why) : -1;

	if (fd < 0)
		return code == EXIT_DONE ? control_exit_code(errno) : code;
	code = ask(fd, CONTROL_RELOAD, &h, why);
	close(fd);
	*refused = code != EXIT_DONE;
	return code;
}

/* ---- which generation does it use ---- */

struct generation_hearer {
	struct hearer h;
	long number;
};

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

static void keep_generation(struct hearer *h, const char *line)
{
	status_generation(line, &((struct generation_hearer *)h)->number);
}

long ask_generation(const struct settings *s)
{
	struct generation_hearer g = { .h = { .line = keep_generation }, .number = -1 };
	struct reason why;
	int fd = control_connect(s->directory_run, NULL);

	if (fd < 0)
		return -1;
	if (ask(fd, CONTROL_STATUS, &g.h, &why) != EXIT_DONE)
		g.number = -1;
	close(fd);
	return g.number;
}
