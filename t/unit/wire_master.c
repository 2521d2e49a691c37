/* SPDX-License-Identifier: ISC */
/* The messages between master and the programs: there and back, cut at every byte, a byte more,
 * with descriptors that are missing or too many. */
#include "lib/wire/master.h"

#include <string.h>
#include <unistd.h>

#include "t/torn.h"

static bool get_file(struct wire_in *in)
{
	int fd;

	return master_file_get(in, &fd) && fd == STDIN_FILENO;
}

static bool get_pipe(struct wire_in *in)
{
	char program[PROGRAM_NAME_MAX];
	int fd;

	return master_pipe_get(in, program, &fd) && fd == STDIN_FILENO &&
	       strcmp(program, "imap-login") == 0;
}

static bool get_output(struct wire_in *in)
{
	bool is_system;
	int fd;

	return master_output_get(in, &is_system, &fd) && fd == STDIN_FILENO && is_system;
}

static bool get_beat(struct wire_in *in)
{
	int pid;

	return master_beat_get(in, &pid) && pid == 4711;
}

static bool get_keyless(struct wire_in *in)
{
	char file[PATH_MAX];

	return master_keyless_get(in, file) && strcmp(file, "/etc/certs/one.pem") == 0;
}

/* Of a message with any other number of descriptors than one, none is taken. */
static void numbers_of_descriptors(const char *name, const struct wire_out *whole,
                                   bool (*get)(struct wire_in *in))
{
	bool refused = true;

	for (unsigned n = 0; n <= WIRE_FDS_MAX; n++) {
		struct wire_in in = { .type = (unsigned char)whole->bytes.raw[0],
			              .rest = view_skip(text_view(&whole->bytes), 1),
			              .fd_count = n };

		refused = refused && (n == 1 || (!get(&in) && in.bad && in.fds_taken == 0));
	}
	ok(refused, "%s is refused with no descriptor, or several, and keeps them", name);
}

static void message(const char *name, const struct wire_out *whole, bool (*get)(struct wire_in *in))
{
	torn(name, whole, get);
	numbers_of_descriptors(name, whole, get);
}

int main(void)
{
	struct wire_out out = { 0 };
	char long_name[PROGRAM_NAME_MAX + 1];

	master_file_put(&out, MASTER_RELOAD, STDIN_FILENO);
	ok(out.bytes.raw[0] == MASTER_RELOAD, "a file goes with the type that was asked for");
	message("a file", &out, get_file);
	master_pipe_put(&out, "imap-login", STDIN_FILENO);
	message("a program's pipe", &out, get_pipe);
	master_output_put(&out, true, STDIN_FILENO);
	message("the log", &out, get_output);
	struct wire_out beat = { 0 };

	master_beat_put(&beat, 4711);
	torn("a beat", &beat, get_beat);
	master_keyless_put(&beat, "/etc/certs/one.pem");
	torn("a certificate without its key", &beat, get_keyless);
	wire_out_free(&beat);
	out.bytes.raw[1] = 2;
	struct wire_in in = { .rest = view_skip(text_view(&out.bytes), 1), .fd_count = 1 };

	ok(!get_output(&in) && in.fds_taken == 0,
	   "a log that is neither file nor socket is refused");
	memset(long_name, 'p', PROGRAM_NAME_MAX);
	long_name[PROGRAM_NAME_MAX] = '\0';
	master_pipe_put(&out, long_name, STDIN_FILENO);
	in = (struct wire_in){ .rest = view_skip(text_view(&out.bytes), 1), .fd_count = 1 };
	ok(!get_pipe(&in) && in.fds_taken == 0, "a program's name that is too long is refused");
	wire_out_free(&out);
	return tap_done();
}
