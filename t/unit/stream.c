/* SPDX-License-Identifier: ISC */
#include "lib/net/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "t/tap.h"

enum { TIMEOUT_MS = 5000, SHORT_MS = 30, LINE_MAX_BYTES = 10 };

static int peer;

static struct stream open_pair(int timeout_ms)
{
	struct stream s;
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) < 0)
		abort();
	peer = fd[1];
	stream_open(&s, fd[0], timeout_ms);
	return s;
}

static void give(struct view v)
{
	if (write(peer, v.data, v.len) != (ssize_t)v.len)
		abort();
}

static void close_pair(struct stream *s)
{
	stream_close(s);
	close(peer);
}

/* Each result as a word; a line as itself. */
static void show(struct text *to, enum stream_result result, struct view line)
{
	static const char *const words[] = { "",       "<closed>", "<timeout>", "<long>",
		                             "<bare>", "<nul>",    "<error>" };

	if (result == STREAM_OK)
		text_format(to, "[%.*s]", VIEW_ARG(line));
	else
		text_add_string(to, words[result]);
}

static const struct {
	struct view in;
	const char *out;
} cases[] = {
	{ VIEW("a\r\nbc\r\n"), "[a][bc]<closed>" },
	{ VIEW("\r\n\r\n"), "[][]<closed>" },
	{ VIEW(""), "<closed>" },
	{ VIEW("partial"), "<closed>" },
	{ VIEW("partial\r"), "<closed>" },
	{ VIEW("0123456789\r\nx\r\n"), "[0123456789][x]<closed>" },
	{ VIEW("0123456789a\r\nx\r\n"), "<long>[x]<closed>" },
	{ VIEW("0123456789abcdefghijklmnopqrstuvwxyz\r\nx\r\n"), "<long>[x]<closed>" },
	{ VIEW("0123456789abcdefghijklmnopqrstuvwxyz"), "<closed>" },
	{ VIEW("0123456789abcdefghijk\rlmno\r\nx\r\n"), "<long>[x]<closed>" },
	{ VIEW("a\rb\r\nx\r\n"), "<bare>[x]<closed>" },
	{ VIEW("a\r\r\nx\r\n"), "<bare>[x]<closed>" },
	{ VIEW("\r\r\n"), "<bare><closed>" },
	{ VIEW("a\nb\r\nx\r\n"), "<bare>[x]<closed>" },
	{ VIEW("a\nb\nc\r\nx\r\n"), "<bare><bare>[x]<closed>" },
	{ VIEW("\nQUIT\n"), "<bare><bare><closed>" },
	{ VIEW("a\n\r\nx\r\n"), "<bare>[x]<closed>" },
	{ VIEW("a\0b\r\nx\r\n"), "<nul>[x]<closed>" },
	{ VIEW("0123456789abcdef\n0123456789abcdef\r\nx\r\n"), "<bare>[x]<closed>" },
	{ VIEW("a\n0123456789abcdef0123456789abcdef\r\n\r\nx\r\n"), "<bare>[][x]<closed>" },
};

static void run_case(size_t i, bool dripped)
{
	struct stream s = open_pair(TIMEOUT_MS);
	struct text got;
	struct view line;
	enum stream_result result;
	pid_t child = 0;

	text_init(&got, 4096);
	if (dripped && (child = fork()) == 0) {
		for (size_t k = 0; k < cases[i].in.len; k++)
			give(view_take(view_skip(cases[i].in, k), 1));
		_exit(0);
	} else if (!dripped) {
		give(cases[i].in);
	}
	shutdown(peer, dripped ? SHUT_RD : SHUT_WR);
	if (dripped) {
		close(peer);
		peer = -1;
	}
	do {
		result = stream_line(&s, LINE_MAX_BYTES, &line);
		show(&got, result, line);
	} while (result != STREAM_CLOSED && result != STREAM_TIMEOUT && result != STREAM_ERROR);
	is_string(got.raw, cases[i].out, "case %zu%s", i, dripped ? ", a byte at a time" : "");
	if (child)
		waitpid(child, NULL, 0);
	text_free(&got);
	close_pair(&s);
}

/* Each line has its answer, and none behind a bare LF is taken for a command. */
static void check_told_rest(void)
{
	struct stream s = open_pair(TIMEOUT_MS);
	struct text got;
	struct view line;
	enum stream_result result;

	text_init(&got, 4096);
	s.tells_rest = true;
	give(VIEW("a\nb\r\nc\r\nd\n\r\ne\r\nf\ng\nh\r\ni\r\n"));
	shutdown(peer, SHUT_WR);
	while ((result = stream_line(&s, LINE_MAX_BYTES, &line)) != STREAM_CLOSED) {
		show(&got, result, line);
		if (result == STREAM_BARE)
			text_format(&got, "%.*s ", VIEW_ARG(line));
	}
	is_string(got.raw, "<bare>a <bare>b [c]<bare>d [e]<bare>f <bare>g <bare>h [i]",
	          "each line behind a bare LF is told");
	text_free(&got);
	close_pair(&s);
}

/* A line over its limit is known by its beginning and its end, however it comes. */
static void check_ends_of_long(void)
{
	enum { LINE_BYTES = 70000, LIMIT = 65536 };
	static char big[LINE_BYTES + 2];
	struct view line;

	for (size_t piece = 1000; piece <= sizeof big; piece *= 4) {
		struct stream s = open_pair(TIMEOUT_MS);
		pid_t child;

		memset(big, 'x', LINE_BYTES);
		memcpy(big, "tag1 ", 5);
		memcpy(big + LINE_BYTES - 5, "{17+}\r\n", 7);
		child = fork();
		if (child == 0) {
			for (size_t at = 0; at < sizeof big; at += piece)
				give(view_take((struct view){ big + at, sizeof big - at }, piece));
			give(VIEW("z\r\n"));
			_exit(0);
		}
		ok(stream_line(&s, LIMIT, &line) == STREAM_TOO_LONG &&
		           line.len >= STREAM_HEAD_BYTES && view_starts(line, VIEW("tag1 xxx")) &&
		           view_ends_nocase(s.refused_end, VIEW("x{17+}")),
		   "in pieces of %zu: a line of %d", piece, LINE_BYTES);
		ok(stream_line(&s, LIMIT, &line) == STREAM_OK && view_equal(line, VIEW("z")),
		   "and the one behind it");
		waitpid(child, NULL, 0);
		close_pair(&s);
	}
	for (size_t len = STREAM_BUFFER_BYTES; len <= LIMIT; len += LIMIT / 4) {
		struct stream s = open_pair(TIMEOUT_MS);
		pid_t child = fork();

		memset(big, 'y', len);
		memcpy(big + len, "\r\n", 2);
		if (child == 0) {
			give((struct view){ big, len + 2 });
			_exit(0);
		}
		ok(stream_line(&s, LIMIT, &line) == STREAM_OK && line.len == len &&
		           line.data[len - 1] == 'y',
		   "a line of %zu within a limit that is larger than the buffer", len);
		waitpid(child, NULL, 0);
		close_pair(&s);
	}
}

static void check_longest_line(void)
{
	static char big[STREAM_BUFFER_BYTES + 10];
	struct view line;

	for (int over = 0; over < 2; over++) {
		size_t len = STREAM_BUFFER_BYTES - 1 + (size_t)over;
		struct stream s = open_pair(TIMEOUT_MS);

		memset(big, 'x', len);
		memcpy(big + len, "\r\n", 2);
		give((struct view){ "first\r\n", 7 });
		give((struct view){ big, len + 2 });
		give((struct view){ "z\r\n", 3 });
		ok(stream_line(&s, STREAM_BUFFER_BYTES - 1, &line) == STREAM_OK && line.len == 5,
		   "a line before");
		if (over)
			ok(stream_line(&s, STREAM_BUFFER_BYTES - 1, &line) == STREAM_TOO_LONG,
			   "one over the largest");
		else
			ok(stream_line(&s, STREAM_BUFFER_BYTES - 1, &line) == STREAM_OK &&
			           line.len == len,
			   "the largest line fits");
		ok(stream_line(&s, 10, &line) == STREAM_OK && view_equal(line, VIEW("z")),
		   "the line behind it");
		close_pair(&s);
	}
}

static void check_timeouts(void)
{
	struct stream s = open_pair(SHORT_MS);
	struct view line;

	ok(stream_line(&s, 10, &line) == STREAM_TIMEOUT, "nothing comes: timeout");
	give(VIEW("half"));
	ok(stream_line(&s, 10, &line) == STREAM_TIMEOUT, "half a line: timeout");
	fcntl(s.fd, F_SETFL, fcntl(s.fd, F_GETFL) | O_NONBLOCK);
	ok(stream_line(&s, 10, &line) == STREAM_TIMEOUT,
	   "a socket left non-blocking times out by the clock");
	give(VIEW(" a\r\n"));
	ok(stream_line(&s, 10, &line) == STREAM_OK && view_equal(line, VIEW("half a")),
	   "the line is whole after all");
	ok(stream_some(&s, 10, &line) == STREAM_TIMEOUT, "stream_some times out");
	stream_write(&s, VIEW("x"));
	for (int i = 0; i < 1000 && !s.write_failed; i++)
		stream_format(&s, "%01000d", i);
	ok(s.write_failed, "a reader that does not read times out");
	ok(stream_line(&s, 10, &line) == STREAM_CLOSED && stream_flush(&s) == STREAM_CLOSED,
	   "and the stream is over");
	close_pair(&s);
}

/* The socket keeps the shorter time; the longer one counts all the same, and a shorter one again.
 */
static void check_longer_timeout(void)
{
	struct stream s = open_pair(SHORT_MS);
	struct view line;
	pid_t child;

	stream_set_timeout(&s, 60000);
	child = fork();
	if (child == 0) {
		poll(NULL, 0, SHORT_MS * 5);
		_exit(send(peer, "late\r\n", 6, MSG_NOSIGNAL) != 6);
	}
	ok(stream_line(&s, 10, &line) == STREAM_OK && view_equal(line, VIEW("late")),
	   "a line that comes within a time made longer");
	waitpid(child, NULL, 0);
	stream_set_timeout(&s, SHORT_MS);
	ok(stream_line(&s, 10, &line) == STREAM_TIMEOUT, "made short again, it times out");
	stream_set_timeout(&s, SHORT_MS / 2);
	ok(stream_line(&s, 10, &line) == STREAM_TIMEOUT, "and shorter still");
	close_pair(&s);
}

/* What is left of the time for logging in is shorter than what a command has. */
static void check_shorter_timeout(void)
{
	enum { LONG_MS = 60000 };
	struct stream s = open_pair(LONG_MS);
	int64_t began_ms = clock_ms();
	struct view line;

	stream_set_timeout(&s, SHORT_MS);
	ok(stream_line(&s, 10, &line) == STREAM_TIMEOUT && clock_ms() - began_ms < LONG_MS,
	   "a time made shorter before anything was read is the shorter one");
	close_pair(&s);
	s = open_pair(LONG_MS);
	began_ms = clock_ms();
	stream_set_timeout(&s, SHORT_MS);
	for (int i = 0; i < 1000 && !s.write_failed; i++)
		stream_format(&s, "%01000d", i);
	ok(s.write_failed && s.write_timeout && clock_ms() - began_ms < LONG_MS,
	   "for what is written as well");
	close_pair(&s);
}

static void speak(void *times)
{
	++*(unsigned *)times;
	send(peer, "late\r\n", 6, MSG_NOSIGNAL);
}

static void check_quiet(void)
{
	struct stream s = open_pair(SHORT_MS);
	struct view line;
	unsigned told = 0;

	stream_set_quiet(&s, 60000, SHORT_MS, speak, &told);
	send(peer, "now\r\n", 5, MSG_NOSIGNAL);
	ok(stream_line(&s, 10, &line) == STREAM_OK && told == 0, "what is there is not waited for");
	ok(stream_line(&s, 10, &line) == STREAM_OK && told == 1 && view_equal(line, VIEW("late")),
	   "a read that has waited says so once, and waits on");
	stream_set_quiet(&s, SHORT_MS, 60000, speak, &told);
	ok(stream_line(&s, 10, &line) == STREAM_TIMEOUT && told == 1,
	   "one that has no more time does not");
	close_pair(&s);
}

/* A byte now and then, and the end of the line. */
static pid_t drip(void)
{
	pid_t child = fork();

	if (child == 0) {
		for (int i = 0; i < 400; i++) {
			send(peer, "x", 1, MSG_NOSIGNAL);
			poll(NULL, 0, 5);
		}
		send(peer, "\r\n", 2, MSG_NOSIGNAL);
		_exit(0);
	}
	return child;
}

static void count(void *times)
{
	++*(unsigned *)times;
}

static void check_drip(void)
{
	struct stream s = open_pair(SHORT_MS);
	struct view line;
	unsigned told = 0;
	pid_t child = drip();

	ok(stream_line(&s, 1000, &line) == STREAM_TIMEOUT,
	   "a drip of bytes does not hold a line open");
	kill(child, SIGTERM);
	waitpid(child, NULL, 0);
	close_pair(&s);
	s = open_pair(SHORT_MS);
	stream_set_quiet(&s, 60000, SHORT_MS, count, &told);
	child = drip();
	ok(stream_line(&s, 1000, &line) == STREAM_OK && told > 0,
	   "nor hide that its client is slow");
	waitpid(child, NULL, 0);
	close_pair(&s);
}

static void check_output(void)
{
	struct stream s = open_pair(TIMEOUT_MS);
	static char got[70000];
	struct view line;
	size_t len = 0;

	stream_write(&s, VIEW("250 a\r\n"));
	stream_format(&s, "250 %d\r\n", 7);
	ok(recv(peer, got, sizeof got, MSG_DONTWAIT) < 0, "nothing leaves before it must");
	give(VIEW("one\r\ntwo\r\n"));
	ok(stream_line(&s, 10, &line) == STREAM_OK, "a read that may block");
	ok(recv(peer, got, sizeof got, 0) == 14 && memcmp(got, "250 a\r\n250 7\r\n", 14) == 0,
	   "sends both answers in one packet");
	stream_write(&s, VIEW("x"));
	ok(stream_has_input(&s) && view_equal(stream_pending(&s), VIEW("two\r\n")),
	   "what was read ahead");
	ok(stream_line(&s, 10, &line) == STREAM_OK && recv(peer, got, sizeof got, MSG_DONTWAIT) < 0,
	   "a read from the buffer flushes nothing");
	ok(!stream_has_input(&s), "no more input");
	stream_format(&s, "%0*d", 40000, 5);
	stream_write(&s, VIEW("end"));
	stream_flush(&s);
	while (len < 40004)
		len += (size_t)recv(peer, got + len, sizeof got - len, 0);
	ok(got[0] == 'x' && memcmp(got + len - 4, "5end", 4) == 0,
	   "more than the buffer holds arrives in order");
	ok(s.bytes_out == 14 + 40004 && s.bytes_in == 10, "counted");
	close(peer);
	stream_write(&s, VIEW("lost"));
	ok(stream_flush(&s) == STREAM_CLOSED && s.write_failed, "the peer is gone");
	stream_close(&s);
}

static void check_file(uint64_t size)
{
	struct stream s = open_pair(TIMEOUT_MS);
	char name[] = "/tmp/stream-test-XXXXXX";
	int file = mkstemp(name);
	char *all = memory_get(size + 100);
	size_t len = 0, want = (size_t)size - 2 + 8;
	pid_t child;

	unlink(name);
	for (size_t i = 0; i < size; i++)
		all[i] = (char)('a' + i % 23);
	if (write(file, all, size) != (ssize_t)size)
		abort();
	if ((child = fork()) == 0) {
		stream_write(&s, VIEW("head:"));
		stream_send_file(&s, file, 1, size - 2);
		stream_write(&s, VIEW("end"));
		_exit(stream_flush(&s) == STREAM_OK ? 0 : 1);
	}
	char *got = memory_get(want + 100);

	while (len < want) {
		ssize_t n = read(peer, got + len, want + 100 - len);

		if (n <= 0)
			break;
		len += (size_t)n;
	}
	ok(len == want && memcmp(got, "head:", 5) == 0 && memcmp(got + 5, all + 1, size - 2) == 0 &&
	           memcmp(got + len - 3, "end", 3) == 0,
	   "a file of %llu bytes", (unsigned long long)size);
	waitpid(child, NULL, 0);
	ok(stream_send_file(&s, file, 0, size + 1) == STREAM_ERROR || size > 20000,
	   "a file shorter than promised");
	ok(size > 20000 || (s.write_failed && errno == EIO), "ends the stream");
	free(all);
	free(got);
	close(file);
	close_pair(&s);
}

static void check_pipe(void)
{
	struct stream s;
	struct view line;
	int fd[2];

	if (pipe(fd) < 0)
		abort();
	stream_open(&s, fd[0], SHORT_MS);
	peer = fd[1];
	ok(stream_line(&s, 10, &line) == STREAM_TIMEOUT, "a pipe times out too");
	give(VIEW("x\r\n"));
	ok(stream_line(&s, 10, &line) == STREAM_OK && line.len == 1, "and is read");
	close_pair(&s);
}

static void check_preload(void)
{
	struct stream s = open_pair(TIMEOUT_MS);
	struct view got;

	stream_preload(&s, VIEW("EHLO x\r\nbody"));
	ok(stream_line(&s, 10, &got) == STREAM_OK && view_equal(got, VIEW("EHLO x")),
	   "a preloaded line");
	ok(stream_some(&s, 3, &got) == STREAM_OK && view_equal(got, VIEW("bod")),
	   "stream_some keeps to its maximum");
	ok(stream_some(&s, 3, &got) == STREAM_OK && view_equal(got, VIEW("y")),
	   "and gives what is there");
	shutdown(peer, SHUT_WR);
	ok(stream_some(&s, 3, &got) == STREAM_CLOSED, "closed");
	close_pair(&s);
}

/* In pieces cut anywhere it is the same. */
static void check_stuffing(void)
{
	const struct view text = VIEW(".a\r\n..\r\nb.c\r\n.\r\n"),
			  want = VIEW("..a\r\n...\r\nb.c\r\n..\r\n");
	unsigned wrong = 0;

	for (size_t cut = 0; cut <= text.len; cut++) {
		struct stream s = open_pair(TIMEOUT_MS);
		bool line_start = true;
		char got[64];

		stream_write_stuffed(&s, view_take(text, cut), &line_start);
		stream_write_stuffed(&s, view_skip(text, cut), &line_start);
		stream_flush(&s);
		ssize_t n = read(peer, got, sizeof got);

		wrong += n < 0 || !view_equal((struct view){ got, (size_t)n }, want) || !line_start;
		close_pair(&s);
	}
	ok(wrong == 0, "a dot that begins a line is doubled, wherever the pieces are cut");
	ok(stream_needs_stuffing(VIEW(".")) && stream_needs_stuffing(VIEW("a.\r\n.b")) &&
	           stream_needs_stuffing(VIEW("a..\n.")) &&
	           !stream_needs_stuffing(VIEW("a.b\r\n")) &&
	           !stream_needs_stuffing(VIEW("a..\n")) && !stream_needs_stuffing(VIEW("")),
	   "and known");
}

int main(void)
{
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		run_case(i, false);
		fflush(stdout);
		run_case(i, true);
	}
	check_longest_line();
	check_told_rest();
	check_ends_of_long();
	check_timeouts();
	fflush(stdout);
	check_longer_timeout();
	check_shorter_timeout();
	check_quiet();
	fflush(stdout);
	check_drip();
	check_output();
	check_preload();
	check_stuffing();
	check_pipe();
	fflush(stdout);
	check_file(5000);
	check_file(3000000);
	return tap_done();
}
