/* SPDX-License-Identifier: ISC */
/* posthouse queue: what waits in the queue, and an operator's hand on it. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "conf/command.h"
#include "conf/model.h"
#include "lib/base/file.h"
#include "lib/queue/ask.h"

/* The connection to queued, or -1 after saying why; *code is then the exit code. */
static int open_queue(const struct command *c, int *code)
{
	struct model m;
	struct reason why;

	*code = command_settings_read(c, &m);
	int fd = *code == EXIT_DONE ? queue_ask_open(m.settings.directory_run, &why) : -1;

	model_free(&m);
	if (fd < 0 && *code == EXIT_DONE)
		*code = command_fail(-fd, &why);
	return fd;
}

static int queue_list(const struct command *c, int argc, char **argv)
{
	struct control_counts counts;
	struct queue_list list = { .out = stdout };
	struct reason why;
	int code, fd = open_queue(c, &code);

	if (fd < 0)
		return code;
	code = -queue_ask_list(fd, argc ? argv[0] : "", queue_list_print, &list, &why);
	if (code != EXIT_DONE)
		command_fail(code, &why);
	else if (list.count == 0 && argc)
		printf("no message matches %s\n", argv[0]);
	else
		queue_list_print_end(&list);
	if (code == EXIT_DONE && queue_ask_counts(fd, &counts) == 0)
		queue_list_print_counts(&counts, stdout);
	close(fd);
	return code;
}

/* The header of the message alone: bodies are nobody's business unless asked for with --body. */
static int print_message(int file, uint64_t offset, uint64_t bytes, bool body, struct reason *why)
{
	char buffer[16384];
	bool line_start = true, over = false;

	while (bytes && !over) {
		size_t n = bytes < sizeof buffer ? (size_t)bytes : sizeof buffer;
		enum file_result result = file_read_at(file, buffer, n, offset);

		if (result != FILE_WHOLE)
			return fail(why, "the message's file: %s", file_result_text(result));
		for (size_t i = 0; i < n && !over; i++) {
			char byte = buffer[i];

			if (byte == '\r')
				continue;
			over = !body && byte == '\n' && line_start;
			line_start = byte == '\n';
			if (!over)
				putchar((unsigned char)byte < ' ' && byte != '\n' && byte != '\t'
				                ? '?'
				                : byte);
		}
		offset += n;
		bytes -= n;
	}
	return 0;
}

static int queue_show(const struct command *c, int argc, char **argv)
{
	bool body = argc > 1 && strcmp(argv[1], "--body") == 0;
	uint64_t offset, bytes;
	struct reason why;
	int code, file, fd;

	if (argc > 1 && !body)
		return command_usage(c, "show ID [--body]");
	fd = open_queue(c, &code);
	if (fd < 0)
		return code;
	code = -queue_ask_show(fd, argv[0], stdout, &file, &offset, &bytes, &why);
	if (code != EXIT_DONE)
		command_fail(code, &why);
	close(fd);
	if (file >= 0) {
		putchar('\n');
		if (print_message(file, offset, bytes, body, &why) != 0)
			code = command_fail(EXIT_TEMPORARY, &why);
		close(file);
	}
	return code;
}

/* Acting on everything has to be said. */
static int change(const struct command *c, enum control_type what, const char *filter,
                  const char *done)
{
	struct reason why;
	int code, fd = open_queue(c, &code);
	long count;

	if (fd < 0)
		return code;
	count = queue_ask_change(fd, what, strcmp(filter, "all") == 0 ? "" : filter, &why);
	close(fd);
	if (count < 0)
		return command_fail((int)-count, &why);
	printf("%ld message%s %s\n", count, count == 1 ? "" : "s", done);
	return EXIT_DONE;
}

static int queue_retry(const struct command *c, int argc, char **argv)
{
	return change(c, CONTROL_QUEUE_RETRY, argc ? argv[0] : "all", "tried again");
}

static int queue_hold(const struct command *c, int argc, char **argv)
{
	(void)argc;
	return change(c, CONTROL_QUEUE_HOLD, argv[0], "held");
}

static int queue_release(const struct command *c, int argc, char **argv)
{
	return change(c, CONTROL_QUEUE_RELEASE, argc ? argv[0] : "all", "released");
}

static int queue_remove(const struct command *c, int argc, char **argv)
{
	(void)argc;
	return change(c, CONTROL_QUEUE_REMOVE, argv[0], "removed");
}

#define FILTER "ID | from:ADDRESS | to:ADDRESS | domain:NAME"

static const struct verb verbs[] = {
	{ "list", 0, 1, "list [" FILTER "]", queue_list, false },
	{ "show", 1, 2, "show ID [--body]", queue_show, false },
	{ "retry", 0, 1, "retry [all | " FILTER "]", queue_retry, false },
	{ "hold", 1, 1, "hold all | " FILTER, queue_hold, false },
	{ "release", 0, 1, "release [all | " FILTER "]", queue_release, false },
	{ "remove", 1, 1, "remove all | " FILTER, queue_remove, false },
	{ "check", 0, -1, "check [--repair] [--unverified ID|waiting ...]", command_queue_check,
	  false },
	{ NULL, 0, 0, NULL, NULL, false },
};

int command_queue(const struct command *c, int argc, char **argv)
{
	return command_verb(c, verbs, argc, argv);
}
