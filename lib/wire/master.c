/* SPDX-License-Identifier: ISC */
#include "lib/wire/master.h"

#include "lib/base/log.h"

void master_tell_ready(void)
{
	struct wire_out out = { 0 };
	int fd = program_fd("master");

	wire_begin(&out, MASTER_READY);
	if (fd >= 0 && wire_send(fd, &out) != WIRE_OK)
		log_warn("event=ready-unheard reason=\"%m\"");
	wire_out_free(&out);
}

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
