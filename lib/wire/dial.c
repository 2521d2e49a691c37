/* SPDX-License-Identifier: ISC */
#include "lib/wire/dial.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/program.h"

enum { ANSWER_MS = 10000 };

static int parent = -1;
static const struct dial *dials;

void dial_ask_put(struct wire_out *out, uint8_t place)
{
	wire_begin(out, DIAL_ASK);
	wire_put_byte(out, place);
}

bool dial_ask_get(struct wire_in *in, uint8_t *place)
{
	*place = wire_get_byte(in);
	return in->type == DIAL_ASK && *place < DIALS_MAX && wire_end(in);
}

void dial_line_put(struct wire_out *out, uint8_t place, int fd)
{
	wire_begin(out, fd >= 0 ? DIAL_LINE : DIAL_NONE);
	wire_put_byte(out, place);
	if (fd >= 0)
		wire_put_fd(out, fd);
}

bool dial_line_get(struct wire_in *in, uint8_t *place, int *fd)
{
	*place = wire_get_byte(in);
	*fd = -1;
	if (in->type == DIAL_NONE)
		return wire_end(in);
	if (in->type == DIAL_LINE)
		*fd = wire_get_last_fd(in);
	return *fd >= 0;
}

void dial_through(int line, const struct dial *table)
{
	parent = line;
	dials = table;
}

/* An answer that was given up came after all. */
static void forget_late_ones(void)
{
	struct wire_in in;

	while (wire_receive_now(parent, &in) == WIRE_OK)
		wire_in_close(&in);
}

static int ask_parent(uint8_t place)
{
	struct wire_out out = { 0 };
	struct wire_in in;
	uint8_t answered;
	int fd = -1;

	forget_late_ones();
	dial_ask_put(&out, place);
	enum wire_result r = wire_call(parent, &out, &in, ANSWER_MS);

	wire_out_free(&out);
	if (r == WIRE_OK && !dial_line_get(&in, &answered, &fd))
		errno = EBADMSG;
	else if (r == WIRE_OK && fd < 0)
		errno = ENOENT;
	wire_in_close(&in);
	if (fd >= 0 && answered != place) {
		close(fd);
		fd = -1;
		errno = EAGAIN;
	}
	return fd;
}

int dial(const char *wire, const char *protocol)
{
	if (parent < 0)
		return wire_dial(program_need_fd(wire), protocol, 0);
	for (uint8_t place = 0; place < DIALS_MAX && dials[place].wire != NULL; place++)
		if (strcmp(dials[place].wire, wire) == 0)
			return ask_parent(place);
	errno = ENOENT;
	return -1;
}
