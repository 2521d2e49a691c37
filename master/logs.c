/* SPDX-License-Identifier: ISC */
/*
 * The log as master has it: where it is, the pipe that each program's lines go through, and logd's
 * wire, over which it is given all of them.
 *
 * master keeps both ends of every pipe, so that a logd that is started again finds what was written
 * meanwhile. The wire is laid anew when logd ends: what it had not read would come to its successor
 * a second time, and two readers of one pipe tear lines.
 *
 * master's own lines go through such a pipe too while logd reads: while the log takes nothing they
 * wait there and are counted like everybody's.
 */
#include "master/logs.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/wire/master.h"
#include "master/master.h"
#include "master/residents.h"

static bool has_told_end;
static struct {
	int ends[2];
	bool told;
} own = { .ends = { -1, -1 } };
static uint64_t left_lines; /* that logd had read and could not write when it ended */

int logs_open(const struct settings *s, struct reason *why)
{
	if (log_set_output(s->log_to, &master.log_socket, why) < 0)
		return -1;
	log_set_debug(s->log_debug);
	return 0;
}

static struct wire_out out;

static enum wire_result send_out(void)
{
	return wire_send(resident_of(HOUSE_LOGD, 0)->wire.fd, &out);
}

void logs_start(void)
{
	if (instance_make_pipe(own.ends, true) < 0)
		log_fatal("making a pipe: %m");
}

void logs_tell_output(void)
{
	bool is_system = master.log_socket >= 0;

	master_output_put(&out, is_system, is_system ? master.log_socket : STDERR_FILENO);
	if (send_out() != WIRE_OK)
		log_warn("event=reload-untold program=logd");
}

void logs_tell(void)
{
	enum wire_result r = WIRE_OK;

	/* It has no wire, and gets one when it is started. */
	if (!loop_is_watched(&resident_of(HOUSE_LOGD, 0)->wire))
		return;
	if (!own.told) {
		master_pipe_put(&out, "master", own.ends[0]);
		r = send_out();
		own.told = r == WIRE_OK;
	}
	for (struct instance *i = master.instances; r == WIRE_OK && i != NULL; i = i->next)
		if (!i->log_told && !i->trial && i->log[0] >= 0) {
			master_pipe_put(&out, i->row->name, i->log[0]);
			r = send_out();
			i->log_told = r == WIRE_OK;
			if (r == WIRE_ERROR)
				log_warn("event=log-untold program=%s reason=\"%m\"", i->row->name);
		}
	if (r == WIRE_OK && master.stage == STAGE_LOG && !has_told_end) {
		wire_begin(&out, MASTER_LOG_END);
		r = send_out();
		has_told_end = r == WIRE_OK;
	}
	loop_change(master.loop, &resident_of(HOUSE_LOGD, 0)->wire,
	            r == WIRE_AGAIN ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

void logs_reader_ready(void)
{
	logs_tell();
	log_to_pipe(own.ends[1]);
}

void logs_reader_hangs(void)
{
	log_to_pipe(-1);
}

void logs_take_left(struct wire_in *in)
{
	master_left_get(in, &left_lines);
}

/* Its last word may still lie on the wire. */
static void hear_what_is_left(struct watch *wire)
{
	struct wire_in in;

	while (wire_receive_now(wire->fd, &in) == WIRE_OK) {
		if (in.type == MASTER_LOG_LEFT)
			logs_take_left(&in);
		wire_in_close(&in);
	}
}

void logs_reader_ended(void)
{
	log_to_pipe(-1);
	hear_what_is_left(&resident_of(HOUSE_LOGD, 0)->wire);
	own.told = false;
	for (struct instance *i = master.instances; i != NULL; i = i->next)
		i->log_told = false;
	instance_lay_wire_again(resident_of(HOUSE_LOGD, 0));
	logs_tell();
}

void logs_reconnect(void)
{
	struct reason why;
	int fd = master.log_socket >= 0 ? log_system_socket(&why) : -1;

	/* None yet: logd asks again. */
	if (fd < 0)
		return;
	dup3(fd, master.log_socket, O_CLOEXEC);
	close(fd);
	logs_tell_output();
}

/* The bytes in this pipe. */
static unsigned long left_in(int fd)
{
	int bytes = 0;

	return fd >= 0 && ioctl(fd, FIONREAD, &bytes) == 0 ? (unsigned long)bytes : 0;
}

void logs_tell_left(void)
{
	unsigned long bytes = left_in(own.ends[0]);

	for (const struct instance *i = master.instances; i != NULL; i = i->next)
		bytes += left_in(i->log[0]);
	if (bytes || left_lines)
		log_warn("event=log-lost lines=%llu bytes=%lu", (unsigned long long)left_lines,
		         bytes);
}
