/* SPDX-License-Identifier: ISC */
/*
 * The log as master has it: where it is, the pipe that each program's lines go through, and logd's
 * wire, over which it is given all of them.
 *
 * master keeps both ends of every pipe, so that a logd that is started again finds what was written
 * meanwhile. The wire is laid anew when logd ends: what it had not read would come to its successor
 * a second time, and two readers of one pipe tear lines.
 */
#include "master/logs.h"

#include <fcntl.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/wire/master.h"
#include "master/master.h"
#include "master/residents.h"

static bool has_told_end;

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

	for (struct instance *i = master.instances; r == WIRE_OK && i != NULL; i = i->next)
		if (!i->log_told && i->log[0] >= 0) {
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

void logs_reader_ended(void)
{
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
