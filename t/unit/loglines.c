/* SPDX-License-Identifier: ISC */
/* From pipes to the log: whose line it is, what stays of it, and how many there may be. */
#include "master/logd/lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "t/tap.h"

static struct lines lines;
static struct text out;
static struct lines_moment moment;

static void is_count(uint64_t got, uint64_t want, const char *name)
{
	ok(got == want, "%s: %llu", name, (unsigned long long)got);
}

static const char *given(enum lines_form form, struct view bytes, size_t piece)
{
	moment.form = form;
	text_clear(&out);
	lines_start(&lines, VIEW("smtpd"));
	for (; bytes.len; bytes = view_skip(bytes, piece))
		lines_take(&lines, view_take(bytes, piece), &moment, &out);
	lines_end(&lines, &moment, &out);
	lines_free(&lines);
	return out.raw;
}

static void each(const char *name, struct view bytes, const char *file, const char *system)
{
	bool same = true;

	is_string(given(LINES_FILE, bytes, bytes.len), file, "%s", name);
	is_string(given(LINES_SYSTEM, bytes, bytes.len), system, "%s", name);
	for (size_t piece = 1; piece < bytes.len; piece++)
		same = same && strcmp(given(LINES_FILE, bytes, piece), file) == 0;
	ok(same, "%s, in pieces", name);
}

static void forms(void)
{
	each("a line", VIEW("<6>[42] event=x\n"), "T smtpd[42]: event=x\n",
	     "<22>smtpd[42]: event=x\n");
	each("two", VIEW("<4>[1] a\n<7>[2] b\n"), "T smtpd[1]: a\nT smtpd[2]: b\n",
	     "<20>smtpd[1]: a\n<23>smtpd[2]: b\n");
	each("no head", VIEW("==1==ERROR: x\n"), "T smtpd: ==1==ERROR: x\n",
	     "<20>smtpd: ==1==ERROR: x\n");
	each("no end", VIEW("abort"), "T smtpd: abort\n", "<20>smtpd: abort\n");
	each("empty lines", VIEW("\n\n\n"), "", "");
	each("another's name and time", VIEW("2026-01-01T00:00:00.000Z master[1]: event=stopped\n"),
	     "T smtpd: 2026-01-01T00:00:00.000Z master[1]: event=stopped\n",
	     "<20>smtpd: 2026-01-01T00:00:00.000Z master[1]: event=stopped\n");
	each("another priority", VIEW("<0>[1] x\n<19>x[1]: y\n"),
	     "T smtpd[1]: x\nT smtpd: <19>x[1]: y\n", "<18>smtpd[1]: x\n<20>smtpd: <19>x[1]: y\n");
	each("no priority at all", VIEW("<8>[1] x\n<9>[1] y\n"),
	     "T smtpd: <8>[1] x\nT smtpd: <9>[1] y\n",
	     "<20>smtpd: <8>[1] x\n<20>smtpd: <9>[1] y\n");
	each("not quite a head", VIEW("<6>[] x\n<6>[1]x\n<6>[12345678901] x\n<6>[1\n"),
	     "T smtpd: <6>[] x\nT smtpd: <6>[1]x\nT smtpd: <6>[12345678901] x\nT smtpd: <6>[1\n",
	     "<20>smtpd: <6>[] x\n<20>smtpd: <6>[1]x\n<20>smtpd: <6>[12345678901] x\n<20>smtpd: <6>[1\n");
	each("what a terminal obeys", VIEW("<6>[1] \x1b[2J\r\x9b\x7f\0.\n"),
	     "T smtpd[1]: \\x1b[2J\\x0d\\x9b\\x7f\\x00.\n",
	     "<22>smtpd[1]: \\x1b[2J\\x0d\\x9b\\x7f\\x00.\n");
}

/* What a sibling leaves in the pipe without an end takes no head along. */
static void fragment(void)
{
	char bytes[1024], want[128];
	int ends[2], kept = dup(STDERR_FILENO);

	if (pipe(ends) < 0)
		abort();
	dup2(ends[1], STDERR_FILENO);
	log_to_pipe(STDERR_FILENO);
	if (write(STDERR_FILENO, "fragment", 8) != 8)
		abort();
	log_info("event=x");
	ssize_t n = read(ends[0], bytes, sizeof bytes);

	log_to_pipe(-1);
	dup2(kept, STDERR_FILENO);
	close(kept);
	close(ends[0]);
	close(ends[1]);
	snprintf(want, sizeof want, "T smtpd: fragment\nT smtpd[%ld]: event=x\n", (long)getpid());
	is_string(given(LINES_FILE, (struct view){ bytes, n < 0 ? 0 : (size_t)n }, sizeof bytes),
	          want, "a line behind another's fragment");
}

/* What never ends comes in lines of the longest length. */
static void endless(void)
{
	static char bytes[3 * LOG_LINE_MAX + 10];
	unsigned count = 0;
	size_t longest = 0;

	memset(bytes, 'x', sizeof bytes);
	for (size_t piece = 100; piece <= sizeof bytes; piece += 1000) {
		struct view rest, line;

		given(LINES_FILE, (struct view){ bytes, sizeof bytes }, piece);
		rest = text_view(&out);
		count = 0;
		while (view_cut(&rest, '\n', &line)) {
			longest = line.len > longest ? line.len : longest;
			count++;
		}
		is_count(count, 4, "pieces of a line without end");
	}
	is_count(longest, LOG_LINE_MAX + 9, "of the longest length");
}

static uint64_t lines_of(struct lines *l, unsigned count, struct view line)
{
	uint64_t before = l->dropped;

	for (unsigned n = 0; n < count; n++) {
		text_clear(&out);
		lines_take(l, line, &moment, &out);
	}
	return count - (l->dropped - before);
}

static void bounds(void)
{
	struct view line = VIEW("<6>[1] x\n");
	static char big[LOG_LINE_MAX];
	struct lines l;

	lines_start(&l, VIEW("queued"));
	is_count(lines_of(&l, LINES_PER_SECOND * LINES_BURST_SECONDS + 1000, line),
	         LINES_PER_SECOND * LINES_BURST_SECONDS, "a burst of lines, and no more");
	is_count(l.dropped, 1000, "the others are counted");
	moment.now_ms += 500;
	is_count(lines_of(&l, LINES_PER_SECOND, line), LINES_PER_SECOND / 2,
	         "half a second gives half a second's");
	moment.now_ms += 3600 * 1000;
	is_count(lines_of(&l, LINES_PER_SECOND * 4, line), LINES_PER_SECOND * LINES_BURST_SECONDS,
	         "an hour no more than the burst");
	moment.now_ms += 3600 * 1000;
	memset(big, 'x', sizeof big);
	big[sizeof big - 1] = '\n';
	uint64_t went = lines_of(&l, 10000, (struct view){ big, sizeof big });

	ok(went > 3500 && went < LINES_BYTES_PER_SECOND * LINES_BURST_SECONDS / sizeof big,
	   "long lines: by their bytes (%llu)", (unsigned long long)went);
	moment.now_ms += 3600 * 1000;
	memset(big, '\x1b', sizeof big - 1);
	uint64_t bytes = 0;

	for (unsigned n = 0; n < 10000; n++) {
		text_clear(&out);
		lines_take(&l, (struct view){ big, sizeof big }, &moment, &out);
		bytes += out.len;
	}
	ok(bytes > LINES_BYTES_PER_SECOND && bytes <= LINES_BYTES_PER_SECOND * LINES_BURST_SECONDS,
	   "those that are escaped: by the bytes that are written (%llu)",
	   (unsigned long long)bytes);
	lines_free(&l);
}

static void is_taken(struct lines *l, struct view bytes, const char *want, const char *name)
{
	text_clear(&out);
	lines_take(l, bytes, &moment, &out);
	is_string(out.raw, want, "%s", name);
}

/* The writer's time, where it can be true. */
static void stamps(void)
{
	struct lines l;

	moment.form = LINES_FILE;
	moment.wall_ms = 1800000000000;
	lines_start(&l, VIEW("smtpd"));
	is_taken(&l, VIEW("<6>[42 1799999999999] x\n"), "2027-01-15T07:59:59.999Z smtpd[42]: x\n",
	         "a line that waited");
	is_taken(&l, VIEW("<6>[1 1799999998000] x\n<6>[1 1799999997000] y\n"),
	         "2027-01-15T07:59:58.000Z smtpd[1]: x\n2027-01-15T07:59:57.000Z smtpd[1]: y\n",
	         "the order is that of arrival");
	is_taken(&l, VIEW("<6>[42 1800000000001] x\n"), "T smtpd[42]: x\n", "not later than now");
	is_taken(&l, VIEW("<6>[42 1799996400000] x\n"), "2027-01-15T07:00:00.000Z smtpd[42]: x\n",
	         "an hour old");
	is_taken(&l, VIEW("<6>[42 1799996399999] x\n"), "T smtpd[42]: x\n",
	         "older in a pipe that we do not know");
	lines_are_all(&l, &moment);
	is_taken(&l, VIEW("<6>[42 1799999999999] x\n"), "T smtpd[42]: x\n",
	         "from before the pipe was empty");
	moment.wall_ms += 5 * 3600 * 1000;
	is_taken(&l, VIEW("<6>[42 1800000000001] x\n"), "2027-01-15T08:00:00.001Z smtpd[42]: x\n",
	         "hours old, and the pipe was not empty since");
	moment.form = LINES_SYSTEM;
	is_taken(&l, VIEW("<6>[42 1800000000001] x\n"), "<22>smtpd[42]: x\n", "the system's log");
	lines_free(&l);
	moment.form = LINES_FILE;
	each("not quite a stamp",
	     VIEW("<6>[1 ] a\n<6>[1  2] b\n<6>[ 2] c\n<6>[1 1234567890123456] d\n<6>[1 2 3] e\n"),
	     "T smtpd: <6>[1 ] a\nT smtpd: <6>[1  2] b\nT smtpd: <6>[ 2] c\n"
	     "T smtpd: <6>[1 1234567890123456] d\nT smtpd: <6>[1 2 3] e\n",
	     "<20>smtpd: <6>[1 ] a\n<20>smtpd: <6>[1  2] b\n<20>smtpd: <6>[ 2] c\n"
	     "<20>smtpd: <6>[1 1234567890123456] d\n<20>smtpd: <6>[1 2 3] e\n");
}

int main(void)
{
	strcpy(moment.stamp, "T");
	text_init(&out, 1 << 20);
	moment.now_ms = 1000;
	forms();
	stamps();
	endless();
	fragment();
	bounds();
	text_free(&out);
	return tap_done();
}
