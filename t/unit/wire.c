/* SPDX-License-Identifier: ISC */
/* The wire: every field kind there and back, truncation at every byte, descriptors, private
 * lines. */
#include "lib/wire/wire.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/wire/dial.h"
#include "t/tap.h"

static void write_sample(struct wire_out *out)
{
	wire_begin(out, 17);
	wire_put_byte(out, 200);
	wire_put_u16(out, 65000);
	wire_put_u32(out, 4000000000u);
	wire_put_u64(out, UINT64_MAX);
	wire_put_byte(out, 1);
	wire_put_view(out, VIEW("a\0b"));
	wire_put_string(out, "hello");
}

static bool read_sample(struct wire_in *in)
{
	char text[6];
	bool same = wire_get_byte(in) == 200 && wire_get_u16(in) == 65000 &&
	            wire_get_u32(in) == 4000000000u && wire_get_u64(in) == UINT64_MAX &&
	            wire_get_bool(in) && view_equal(wire_get_view(in, 3), VIEW("a\0b"));

	wire_get_string(in, text, sizeof text);
	return same && strcmp(text, "hello") == 0 && wire_end(in);
}

static struct wire_in in_of(struct view packet)
{
	return (struct wire_in){ .type = (unsigned char)packet.data[0],
		                 .rest = view_skip(packet, 1) };
}

static void test_truncation(void)
{
	struct wire_out out = { 0 };
	bool refused = true;

	write_sample(&out);
	struct view whole = text_view(&out.bytes);
	struct wire_in in = in_of(whole);

	ok(read_sample(&in), "all fields come back");
	for (size_t n = 1; n < whole.len; n++) {
		in = in_of(view_take(whole, n));
		refused = refused && !read_sample(&in);
	}
	ok(refused, "a message cut at any byte is refused");
	text_add_byte(&out.bytes, 'x');
	in = in_of(text_view(&out.bytes));
	ok(!read_sample(&in), "a byte too many is refused");
	wire_out_free(&out);
}

static void test_bounds(void)
{
	struct wire_out out = { 0 };
	char small[4];

	wire_begin(&out, 16);
	wire_put_string(&out, "four");
	struct wire_in in = in_of(text_view(&out.bytes));

	wire_get_string(&in, small, sizeof small);
	ok(in.bad && small[0] == '\0', "a string larger than its buffer is bad");
	wire_begin(&out, 16);
	wire_put_view(&out, VIEW("a\0b"));
	in = in_of(text_view(&out.bytes));
	wire_get_string(&in, small, sizeof small);
	ok(in.bad, "a NUL in a string is bad");
	wire_begin(&out, 16);
	wire_put_byte(&out, 2);
	in = in_of(text_view(&out.bytes));
	wire_get_bool(&in);
	ok(in.bad, "a truth value is 0 or 1");
	ok(wire_get_fd(&in) == -1, "no descriptor where none came");
	wire_out_free(&out);
}

static void test_descriptors(void)
{
	struct wire_out out = { 0 };
	struct wire_in in;
	int ends[2], null = open("/dev/null", O_RDONLY);

	ok(wire_pair(ends) == 0, "a pair");
	wire_begin(&out, 16);
	wire_put_fd(&out, null);
	wire_put_fd(&out, null);
	ok(wire_send(ends[0], &out) == WIRE_OK && wire_receive(ends[1], &in) == WIRE_OK,
	   "sent and received");
	int first = wire_get_fd(&in);

	ok(first >= 0 && fcntl(first, F_GETFD) == FD_CLOEXEC, "a descriptor, close-on-exec");
	ok(!wire_end(&in), "a descriptor left over is not the end");
	close(wire_get_fd(&in));
	ok(wire_end(&in), "all taken is");
	ok(wire_receive_now(ends[1], &in) == WIRE_AGAIN, "nothing more");
	close(first);
	close(ends[0]);
	ok(wire_receive(ends[1], &in) == WIRE_CLOSED, "a closed end is seen");
	ok(wire_send(ends[1], &out) == WIRE_CLOSED, "and cannot be sent to");
	close(ends[1]);
	wire_out_free(&out);
	close(null);
}

/* What whoever has the other end can have the kernel add to each message (SO_PASSPIDFD and others)
 * neither stays with us nor crowds out descriptors that were sent. */
static void test_unasked(void)
{
	static const int options[] = { 16 /* SO_PASSCRED */, 29 /* SO_TIMESTAMP */,
		                       34 /* SO_PASSSEC */, 76 /* SO_PASSPIDFD */ };
	struct wire_out out = { 0 };
	struct wire_in in;
	int ends[2], on = 1;
	bool whole = true;

	wire_pair(ends);
	for (unsigned i = 0; i < sizeof options / sizeof *options; i++)
		setsockopt(ends[1], SOL_SOCKET, options[i], &on, sizeof on);
	wire_begin(&out, 20);
	for (int i = 0; i < WIRE_FDS_MAX; i++)
		wire_put_fd(&out, ends[0]);
	int next = dup(0);

	close(next);
	for (int i = 0; i < 10; i++) {
		whole = whole && wire_send(ends[0], &out) == WIRE_OK &&
		        wire_receive(ends[1], &in) == WIRE_OK && in.fd_count == WIRE_FDS_MAX;
		wire_in_close(&in);
	}
	ok(whole, "a message comes whole, whatever the kernel was told to add");
	ok(fcntl(next, F_GETFD) < 0, "and leaves no descriptor of the sender's process");
	wire_out_free(&out);
	close(ends[0]);
	close(ends[1]);
}

/* A wire outlives those who have its ends. */
static void test_reset(void)
{
	struct timeval moment = { .tv_usec = 1 };
	int ends[2], room = 1, on = 1, got = 0, fresh = 0;
	socklen_t len = sizeof got;

	wire_pair(ends);
	getsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &fresh, &len);
	setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &moment, sizeof moment);
	setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	wire_reset(ends[0]);
	getsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &got, &len);
	getsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, &len);
	len = sizeof moment;
	getsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &moment, &len);
	ok(got == fresh && on == 0 && moment.tv_usec == 0 &&
	           (fcntl(ends[0], F_GETFL) & O_NONBLOCK) == 0,
	   "what was set on an end is undone for the next who has it");
	ok(!wire_is_shut(ends[0]) && !wire_is_shut(ends[1]), "and it was not shut");
	shutdown(ends[0], SHUT_WR);
	ok(wire_is_shut(ends[1]), "one that was is known by its other end");
	close(ends[0]);
	close(ends[1]);
}

static void test_dial(void)
{
	struct wire_out out = { 0 };
	struct wire_in in;
	int ends[2];

	wire_pair(ends);
	int mine = wire_dial(ends[0], "sample", 0);

	ok(mine >= 0 && wire_receive(ends[1], &in) == WIRE_OK, "a greeting arrives");
	int theirs = wire_accept(&in, "sample", &(uint32_t){ 0 });

	ok(theirs >= 0, "and is accepted");
	wire_begin(&out, 20);
	ok(wire_call(mine, &out, &in, 1) == WIRE_AGAIN, "no answer in time");
	wire_send(theirs, &out);
	ok(wire_call(mine, &out, &in, 1000) == WIRE_OK && in.type == 20, "an answer");
	close(mine);
	close(theirs);
	mine = wire_dial(ends[0], "other", 0);
	wire_receive(ends[1], &in);
	ok(wire_accept(&in, "sample", &(uint32_t){ 0 }) == -1, "another protocol is refused");
	close(mine);
	close(ends[0]);
	close(ends[1]);
	wire_out_free(&out);
}

/* lib/wire/dial.h: there and back, and cut at every byte. */
static void test_dial_messages(void)
{
	struct wire_out out = { 0 };
	uint8_t place = 9;
	unsigned good = 0;
	int fd = -1;

	dial_ask_put(&out, 3);
	for (size_t len = 0; len < out.bytes.len; len++) {
		struct wire_in in = { .type = DIAL_ASK, .rest = { out.bytes.raw + 1, len } };

		good += dial_ask_get(&in, &place) && place == 3 && len + 1 == out.bytes.len;
	}
	ok(good == 1, "ask: only whole");
	dial_ask_put(&out, DIALS_MAX);
	struct wire_in wide = { .type = DIAL_ASK, .rest = { out.bytes.raw + 1, 1 } };

	ok(!dial_ask_get(&wide, &place), "ask: a place beyond the table");
	dial_line_put(&out, 2, 0);
	struct wire_in line = { .type = DIAL_LINE,
		                .rest = { out.bytes.raw + 1, 1 },
		                .fds = { dup(0) },
		                .fd_count = 1 };
	ok(out.fd_count == 1 && dial_line_get(&line, &place, &fd) && place == 2 && fd >= 0, "line");
	close(fd);
	struct wire_in bare = { .type = DIAL_LINE, .rest = { out.bytes.raw + 1, 1 } };
	struct wire_in cut = { .type = DIAL_LINE, .rest = { out.bytes.raw + 1, 0 } };

	ok(!dial_line_get(&bare, &place, &fd) && fd == -1, "line: without its descriptor");
	ok(!dial_line_get(&cut, &place, &fd) && fd == -1, "line: cut");
	struct wire_in more = {
		.type = DIAL_LINE, .rest = { "\2", 2 }, .fds = { dup(0) }, .fd_count = 1
	};

	ok(!dial_line_get(&more, &place, &fd) && fd == -1 && more.fds_taken == 0,
	   "line: with a byte more its descriptor is not taken");
	wire_in_close(&more);
	dial_line_put(&out, 1, -1);
	struct wire_in none = { .type = DIAL_NONE, .rest = { out.bytes.raw + 1, 1 } };

	ok(dial_line_get(&none, &place, &fd) && place == 1 && fd == -1, "no such wire");
	wire_out_free(&out);
}

/* ---- what a captured program sends ---- */

enum { HANGS_SECONDS = 60 };

/* A socket with bytes that its peer does not read, which close() would wait for. */
static int lingering(int *peer)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof address;
	struct linger an_hour = { 1, 3600 };
	static const char bytes[65536];
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	bind(listener, (struct sockaddr *)&address, sizeof address);
	listen(listener, 1);
	getsockname(listener, (struct sockaddr *)&address, &len);
	*peer = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(*peer, (struct sockaddr *)&address, sizeof address) < 0)
		abort();
	int fd = accept(listener, NULL, NULL);

	close(listener);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (write(fd, bytes, sizeof bytes) > 0)
		;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &an_hour, sizeof an_hour);
	return fd;
}

static void close_message(int ends[2])
{
	struct wire_in in;

	wire_receive(ends[1], &in);
	wire_in_close(&in);
}

static void refuse_greeting(int ends[2])
{
	struct wire_in in;

	wire_receive(ends[1], &in);
	if (wire_accept(&in, "sample", &(uint32_t){ 0 }) < 0)
		wire_in_close(&in);
}

static void hang_up(int ends[2])
{
	wire_hang_up(ends[1]);
}

/* What cannot be received may be there. */
static void unread(void)
{
	int ends[2];

	if (wire_pair(ends) < 0)
		abort();
	ok(wire_hang_up(ends[1]) == 0, "nothing had come");
	close(ends[0]);
	ok(wire_hang_up(open("/dev/null", O_RDONLY | O_CLOEXEC)) == WIRE_UNREAD,
	   "whether something had cannot be told where receiving fails");
}

/* In a process of its own, of which nobody else has descriptors. */
static void send_and_close(void (*closes)(int ends[2]))
{
	struct wire_out out = { 0 };
	int ends[2], peer;

	alarm(HANGS_SECONDS); /* else it would be an hour */
	if (wire_pair(ends) < 0)
		abort();
	int given = lingering(&peer);

	if (closes == hang_up)
		send(ends[0], "", 0, 0); /* in front of it one that looks like the end */
	wire_begin(&out, WIRE_GREETING);
	wire_put_fd(&out, given);
	wire_send(ends[0], &out);
	close(given);
	closes(ends);
	_exit(0);
}

static bool ends_at_once(void (*closes)(int ends[2]))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		send_and_close(closes);
	return waitpid(pid, &status, 0) == pid && status == 0;
}

static void test_lingering(void)
{
	ok(ends_at_once(close_message), "a socket that lingers is closed at once");
	ok(ends_at_once(refuse_greeting), "so is one in a greeting that is refused");
	ok(ends_at_once(hang_up), "and one that was never received");
}

/* Nobody asked for the descriptors of processes: who made the pair did. */
static void test_process_descriptors(void)
{
	enum { PASS_PIDFD = 76 }; /* SO_PASSPIDFD, Linux 6.5 */
	struct wire_out out = { 0 };
	struct wire_in in;
	int ends[2], on = 1;

	if (wire_pair(ends) < 0)
		abort();
	if (setsockopt(ends[1], SOL_SOCKET, PASS_PIDFD, &on, sizeof on) < 0) {
		ok(true, "descriptors of processes # SKIP this kernel sends none");
		return;
	}
	int before = dup(0);

	close(before);
	wire_begin(&out, 16);
	wire_send(ends[0], &out);
	ok(wire_receive(ends[1], &in) == WIRE_OK && wire_end(&in), "a message is received");
	int after = dup(0);

	ok(after == before, "and the descriptor of its sender that came with it is closed");
	close(after);
	close(ends[0]);
	close(ends[1]);
	wire_out_free(&out);
}

int main(void)
{
	unread();
	test_truncation();
	test_bounds();
	test_descriptors();
	test_unasked();
	test_reset();
	test_dial();
	test_dial_messages();
	test_lingering();
	test_process_descriptors();
	return tap_done();
}
