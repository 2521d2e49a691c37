/* SPDX-License-Identifier: ISC */
/* An answer that is longer than the socket holds: it goes as it is read, whole and in order. */
#include "lib/wire/control.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "t/tap.h"

enum { LINES = 5000 };

static unsigned take(int fd, unsigned seen, bool *in_order)
{
	char line[CONTROL_LINE_MAX], wanted[32];
	struct wire_in in;

	while (wire_receive_now(fd, &in) == WIRE_OK) {
		snprintf(wanted, sizeof wanted, "line %u", seen++);
		*in_order = *in_order && in.type == CONTROL_LINE && control_line_get(&in, line) &&
		            strcmp(line, wanted) == 0;
		wire_in_close(&in);
	}
	return seen;
}

int main(void)
{
	struct control_answer answer = { 0 };
	struct wire_out out = { 0 };
	enum wire_result r;
	int ends[2];
	unsigned seen = 0, waits = 0;
	bool in_order = true;

	if (wire_pair(ends) < 0)
		return 1;
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	ok(control_answer_send(&answer, ends[0]) == WIRE_OK, "nothing is sent at once");
	for (unsigned n = 0; n < LINES; n++) {
		char text[32];

		snprintf(text, sizeof text, "line %u", n);
		control_line_put(&out, text);
		control_answer_add(&answer, &out);
	}
	while ((r = control_answer_send(&answer, ends[0])) == WIRE_AGAIN) {
		waits++;
		seen = take(ends[1], seen, &in_order);
	}
	seen = take(ends[1], seen, &in_order);
	ok(r == WIRE_OK && waits > 0, "a long one waits for its reader, %u times", waits);
	ok(seen == LINES && in_order, "who has every line, in order");
	control_answer_add(&answer, &out);
	close(ends[1]);
	ok(control_answer_send(&answer, ends[0]) == WIRE_CLOSED, "a reader who has left is told");
	control_answer_free(&answer);
	wire_out_free(&out);
	close(ends[0]);
	return tap_done();
}
