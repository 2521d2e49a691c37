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

static bool get_map(struct wire_in *in)
{
	char file[MASTER_FILE_MAX];
	int fd;

	return master_map_get(in, file, &fd) && fd == STDIN_FILENO &&
	       strcmp(file, "users.cdb") == 0;
}

static bool get_round(struct wire_in *in)
{
	uint32_t round;
	int pid;

	return master_round_get(in, &pid, &round) && pid == 4711 && round == 3;
}

static bool get_taken(struct wire_in *in)
{
	uint32_t round;
	bool taken;
	int pid;

	return master_taken_get(in, &pid, &round, &taken) && pid == 4711 && round == 3 && taken;
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
	struct wire_out map = { 0 };

	master_map_put(&map, "users.cdb", STDIN_FILENO);
	message("a map", &map, get_map);
	wire_out_free(&map);
	struct wire_out beat = { 0 };

	master_beat_put(&beat, 4711);
	torn("a beat", &beat, get_beat);
	master_keyless_put(&beat, "/etc/certs/one.pem");
	torn("a certificate without its key", &beat, get_keyless);
	master_round_put(&beat, 4711, 3);
	torn("the word to take maps", &beat, get_round);
	master_taken_put(&beat, 4711, 3, true);
	torn("the word that they are taken", &beat, get_taken);
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
