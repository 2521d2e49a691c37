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

/* The request as master passes it on, and what is answered: cut anywhere, it is none. */
static void test_sessions(void)
{
	struct control_sessions q = { .end = true, .id = 7, .whom = "7" }, got;
	struct control_session s = { .facts = { .id = 7,
		                                .service = CONNECTION_POP3,
		                                .account = "anna@example.test",
		                                .tls = true },
		                     .since_s = 1700000000,
		                     .pid = 4711 },
			       told;
	struct wire_out out = { 0 };
	unsigned taken = 0;
	int fd;

	control_sessions_put(&out, &q);
	struct view whole = view_skip(text_view(&out.bytes), 1);

	for (size_t n = 0; n <= whole.len; n++) {
		struct wire_in in = { .type = CONTROL_SESSIONS,
			              .rest = view_take(whole, n),
			              .fds = { 5 },
			              .fd_count = 1 };

		taken += control_sessions_get(&in, &got, &fd) && fd == 5;
	}
	ok(taken == 1 && got.end && got.id == 7 && strcmp(got.whom, "7") == 0,
	   "which sessions are meant");
	wire_begin(&out, CONTROL_SESSION_ENTRY);
	control_session_put(&out, &s);
	whole = view_skip(text_view(&out.bytes), 1);
	taken = 0;
	for (size_t n = 0; n <= whole.len; n++) {
		struct wire_in in = { .type = CONTROL_SESSION_ENTRY, .rest = view_take(whole, n) };

		taken += control_session_get(&in, &told);
	}
	ok(taken == 1 && told.pid == 4711 && told.since_s == 1700000000 && told.facts.tls &&
	           strcmp(told.facts.account, "anna@example.test") == 0,
	   "and what is told of each");
	wire_out_free(&out);
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
	test_sessions();
	close(ends[0]);
	return tap_done();
}
