/* SPDX-License-Identifier: ISC */
#include "lib/wire/master.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"

/* ---- ready, and still turning ---- */

static struct {
	struct loop *loop;
	struct timer due;
	int64_t interval_ms, said_ms; /* 0: master, or a test in its place, wants none */
} beat;

/* Without waiting: a master that does not read has its own reasons, and counts none that it could
 * not have heard. A worker, which has no wire, is silent. */
static void say_beat(void)
{
	static struct wire_out out;
	int fd = program_fd("master");

	beat.said_ms = clock_ms();
	master_beat_put(&out, (int)getpid());
	if (fd >= 0)
		wire_send_now(fd, &out);
}

static void beat_due(struct timer *t)
{
	say_beat();
	loop_timer_set(beat.loop, t, beat.said_ms + beat.interval_ms);
}

void master_tell_busy(void)
{
	if (beat.interval_ms && clock_ms() - beat.said_ms >= beat.interval_ms)
		say_beat();
}

static void start_beats(struct loop *loop)
{
	const char *text = getenv("POSTHOUSE_BEAT_MS");
	uint64_t interval_ms;

	if (text == NULL || !view_number(view_of(text), INT32_MAX, &interval_ms) ||
	    interval_ms == 0)
		return;
	beat.loop = loop;
	beat.due.due = beat_due;
	beat.interval_ms = (int64_t)interval_ms;
	beat_due(&beat.due);
}

void master_tell_ready(struct loop *loop)
{
	struct wire_out out = { 0 };
	int fd = program_fd("master");

	if (program_is_trial())
		_exit(EXIT_DONE);
	wire_begin(&out, MASTER_READY);
	enum wire_result r = fd >= 0 ? wire_send(fd, &out) : WIRE_OK;

	if (r == WIRE_CLOSED)
		log_warn("event=ready-unheard reason=\"%m\"");
	else if (r != WIRE_OK)
		log_fatal("telling master that all is in place: %m");
	wire_out_free(&out);
	start_beats(loop);
}

/* ---- messages ---- */

void master_file_put(struct wire_out *out, enum master_type type, int fd)
{
	wire_begin(out, (unsigned char)type);
	wire_put_fd(out, fd);
}

bool master_file_get(struct wire_in *in, int *fd)
{
	*fd = wire_get_last_fd(in);
	return *fd >= 0;
}

void master_map_put(struct wire_out *out, const char *file, int fd)
{
	wire_begin(out, MASTER_MAP);
	wire_put_string(out, file);
	wire_put_fd(out, fd);
}

bool master_map_get(struct wire_in *in, char file[MASTER_FILE_MAX], int *fd)
{
	wire_get_string(in, file, MASTER_FILE_MAX);
	*fd = wire_get_last_fd(in);
	return *fd >= 0;
}

void master_round_put(struct wire_out *out, int pid, uint32_t round)
{
	wire_begin(out, MASTER_MAPS);
	wire_put_u32(out, (uint32_t)pid);
	wire_put_u32(out, round);
}

bool master_round_get(struct wire_in *in, int *pid, uint32_t *round)
{
	*pid = (int)wire_get_u32(in);
	*round = wire_get_u32(in);
	return *pid > 0 && wire_end(in);
}

void master_taken_put(struct wire_out *out, int pid, uint32_t round, bool taken)
{
	wire_begin(out, MASTER_TAKEN);
	wire_put_u32(out, (uint32_t)pid);
	wire_put_u32(out, round);
	wire_put_byte(out, taken);
}

bool master_taken_get(struct wire_in *in, int *pid, uint32_t *round, bool *taken)
{
	*pid = (int)wire_get_u32(in);
	*round = wire_get_u32(in);
	*taken = wire_get_bool(in);
	return in->type == MASTER_TAKEN && *pid > 0 && wire_end(in);
}

void master_pipe_put(struct wire_out *out, const char *program, int fd)
{
	wire_begin(out, MASTER_LOG_PIPE);
	wire_put_string(out, program);
	wire_put_fd(out, fd);
}

bool master_pipe_get(struct wire_in *in, char program[PROGRAM_NAME_MAX], int *fd)
{
	wire_get_string(in, program, PROGRAM_NAME_MAX);
	*fd = wire_get_last_fd(in);
	return *fd >= 0;
}

void master_parent_put(struct wire_out *out, const char *program, int pid)
{
	wire_begin(out, MASTER_PARENT);
	wire_put_string(out, program);
	wire_put_u32(out, (uint32_t)pid);
}

bool master_parent_get(struct wire_in *in, char program[PROGRAM_NAME_MAX], int *pid)
{
	wire_get_string(in, program, PROGRAM_NAME_MAX);
	*pid = (int)wire_get_u32(in);
	return in->type == MASTER_PARENT && *pid >= 0 && wire_end(in);
}

void master_output_put(struct wire_out *out, bool is_system, int fd)
{
	wire_begin(out, MASTER_LOG_OUTPUT);
	wire_put_byte(out, is_system);
	wire_put_fd(out, fd);
}

bool master_output_get(struct wire_in *in, bool *is_system, int *fd)
{
	*is_system = wire_get_bool(in);
	*fd = wire_get_last_fd(in);
	return *fd >= 0;
}

void master_keyless_put(struct wire_out *out, const char *file)
{
	wire_begin(out, MASTER_KEYLESS);
	wire_put_string(out, file);
}

bool master_keyless_get(struct wire_in *in, char file[PATH_MAX])
{
	wire_get_string(in, file, PATH_MAX);
	return in->type == MASTER_KEYLESS && file[0] != '\0' && wire_end(in);
}

void master_beat_put(struct wire_out *out, int pid)
{
	wire_begin(out, MASTER_BEAT);
	wire_put_u32(out, (uint32_t)pid);
}

bool master_beat_get(struct wire_in *in, int *pid)
{
	*pid = (int)wire_get_u32(in);
	return in->type == MASTER_BEAT && *pid > 0 && wire_end(in);
}

void master_left_put(struct wire_out *out, uint64_t lines)
{
	wire_begin(out, MASTER_LOG_LEFT);
	wire_put_u64(out, lines);
}

bool master_left_get(struct wire_in *in, uint64_t *lines)
{
	*lines = wire_get_u64(in);
	return wire_end(in);
}
