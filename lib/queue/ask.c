/* SPDX-License-Identifier: ISC */
#include "lib/queue/ask.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/base/log.h"

/* A queued that does not answer within so long hangs, or waits for its disk; to bring a file back
 * it may read a whole message. */
enum { ANSWER_TIMEOUT_MS = 5000, RESTORE_TIMEOUT_MS = 60000 };

/* What follows it; one that stops in the middle is not waited for either. */
static int take_next(int fd, struct wire_in *in, struct reason *why)
{
	if (file_wait(fd, POLLIN, ANSWER_TIMEOUT_MS) > 0 && wire_receive(fd, in) == WIRE_OK)
		return 0;
	return fail(why, "queued stopped responding"), -EXIT_TEMPORARY;
}

/* Sends a request, which is freed, and takes the first answer. */
static int call(int fd, struct wire_out *out, int timeout_ms, struct wire_in *in,
                struct reason *why)
{
	enum wire_result r = wire_call(fd, out, in, timeout_ms);

	wire_out_free(out);
	return r == WIRE_OK ? 0 : (fail(why, "queued does not respond"), -EXIT_TEMPORARY);
}

static int ask(int fd, enum control_type type, const char *filter, struct wire_in *in,
               struct reason *why)
{
	struct wire_out out = { 0 };

	wire_begin(&out, (unsigned char)type);
	if (filter)
		wire_put_string(&out, filter);
	return call(fd, &out, ANSWER_TIMEOUT_MS, in, why);
}

/* Who asks for what the start has not read yet is told how far it is, until it has. */
static int pass_reading(int fd, struct wire_in *in, struct reason *why)
{
	uint32_t read, all;
	int code = 0;

	while (code == 0 && in->type == CONTROL_QUEUE_READING) {
		if (control_reading_get(in, &read, &all))
			fprintf(stderr, "queued is still reading the queue: %u of %u\n", read, all);
		wire_in_close(in);
		code = take_next(fd, in, why);
	}
	return code;
}

/* An end: 0, or why not. */
static int take_end(struct wire_in *in, char text[CONTROL_LINE_MAX], struct reason *why)
{
	uint8_t code;

	if (in->type != CONTROL_END || !control_end_get(in, &code, text)) {
		fail(why, "invalid response: the command and queued are of different versions");
		return -EXIT_TEMPORARY;
	}
	return code == EXIT_DONE ? 0 : (fail(why, "%s", text), -(int)code);
}

int queue_ask_open(const char *rundir, struct reason *why)
{
	char text[CONTROL_LINE_MAX];
	struct wire_in in;
	int fd = control_connect(rundir, why);

	if (fd < 0)
		return -control_exit_code(errno);
	int code = ask(fd, CONTROL_QUEUE, NULL, &in, why);

	if (code == 0) {
		code = take_end(&in, text, why);
		wire_in_close(&in);
	}
	if (code == 0)
		return fd;
	close(fd);
	return code;
}

int queue_ask_list(int fd, const char *filter,
                   void (*each)(void *context, const struct control_entry *e), void *context,
                   struct reason *why)
{
	static struct control_entry e;
	char text[CONTROL_LINE_MAX];
	struct wire_in in;

	int code = ask(fd, CONTROL_QUEUE_LIST, filter, &in, why);

	if (code == 0)
		code = pass_reading(fd, &in, why);
	if (code < 0)
		return code;
	while (in.type == CONTROL_QUEUE_ENTRY) {
		bool good = true;

		while (in.rest.len && (good = control_entry_get(&in, &e)))
			each(context, &e);
		wire_in_close(&in);
		if (!good)
			return fail(why, "invalid entry in the list"), -EXIT_TEMPORARY;
		code = take_next(fd, &in, why);
		if (code < 0)
			return code;
	}
	code = take_end(&in, text, why);
	wire_in_close(&in);
	return code;
}

int queue_ask_counts(int fd, struct control_counts *counts)
{
	struct reason why;
	struct wire_in in;

	*counts = (struct control_counts){ 0 };
	if (ask(fd, CONTROL_QUEUE_COUNTS, NULL, &in, &why) < 0)
		return -1;
	bool told = in.type == CONTROL_QUEUE_COUNTS && control_counts_get(&in, counts);

	wire_in_close(&in);
	return told ? 0 : -1;
}

int queue_ask_restore(int fd, const char *name, bool unverified, struct reason *why)
{
	char text[CONTROL_LINE_MAX];
	struct wire_out out = { 0 };
	struct wire_in in;

	wire_begin(&out, CONTROL_QUEUE_RESTORE);
	wire_put_string(&out, name);
	wire_put_byte(&out, unverified);
	int code = call(fd, &out, RESTORE_TIMEOUT_MS, &in, why);

	if (code < 0)
		return code;
	code = take_end(&in, text, why);
	wire_in_close(&in);
	return code;
}

long queue_ask_change(int fd, enum control_type what, const char *filter, struct reason *why)
{
	char text[CONTROL_LINE_MAX];
	struct wire_in in;
	uint64_t count;

	int code = ask(fd, what, filter, &in, why);

	if (code == 0)
		code = pass_reading(fd, &in, why);
	if (code < 0)
		return code;
	code = take_end(&in, text, why);
	wire_in_close(&in);
	if (code < 0)
		return code;
	return view_number(view_of(text), 1 << 30, &count) ? (long)count : 0;
}

/* The line that says where in the file the message is. */
static bool take_place(const char *line, uint64_t *offset, uint64_t *bytes)
{
	struct view rest = view_of(line), word;

	if (!view_starts(rest, VIEW("message: offset ")))
		return false;
	rest = view_skip(rest, strlen("message: offset "));
	if (!view_cut(&rest, ' ', &word) || !view_number(word, INT64_MAX, offset) ||
	    !view_starts(rest, VIEW("bytes ")))
		return false;
	return view_number(view_skip(rest, strlen("bytes ")), INT64_MAX, bytes);
}

int queue_ask_show(int fd, const char *id, FILE *out, int *file, uint64_t *offset, uint64_t *bytes,
                   struct reason *why)
{
	char line[CONTROL_LINE_MAX];
	struct wire_in in;

	*file = -1;
	*offset = *bytes = 0;
	int code = ask(fd, CONTROL_QUEUE_SHOW, id, &in, why);

	if (code < 0)
		return code;
	while (in.type == CONTROL_LINE && control_line_get(&in, line)) {
		if (!take_place(line, offset, bytes)) {
			queue_list_clean(out, view_of(line));
			fputc('\n', out);
		}
		wire_in_close(&in);
		code = take_next(fd, &in, why);
		if (code < 0)
			return code;
	}
	code = take_end(&in, line, why);
	if (code == 0 && in.fd_count == 1)
		*file = wire_get_fd(&in);
	wire_in_close(&in);
	return code;
}
