/* SPDX-License-Identifier: ISC */
/*
 * logd: writes the log.
 *
 * Every other program of the house has a pipe for its lines and nothing of the log itself. logd
 * reads all of them and is the only one, beside master, that holds the file (or the socket of the
 * system's log). From the pipe it knows who speaks; it puts time and program before each line,
 * makes control characters visible, and holds each program to its bound (lines.h). Many lines go
 * out with one write.
 *
 * It is started first and ends last, when master says so, with all pipes read; should master die,
 * when the last pipe's writers are gone. While the log takes nothing (a full disk, a system log
 * that is being started again) it reads nothing: the pipes hold what they can, and writers count
 * what they had no room for. A file may take a part of a line: the whole line stays with us until
 * it is there, so that another file, when the log is moved meanwhile, gets all of it.
 *
 * It runs as _phlogd in an empty jail, promises itself no more than reading and writing what it is
 * given, and opens nothing: a log that was renamed, or a system log that was started again, is
 * opened anew by master and handed over. Trusted are master's messages; what comes out of the pipes
 * is text, whatever stands in it.
 *
 * Who owns it can write any line and keep back any; the file is opened for appending, but what it
 * holds it can also empty. It reaches no mail, no file and no other program.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/list.h"
#include "lib/base/loop.h"
#include "lib/base/program.h"
#include "lib/conf/bounds.h"
#include "lib/conf/settings.h"
#include "lib/wire/master.h"
#include "lib/wire/wire.h"
#include "master/logd/lines.h"

enum {
	READ_BYTES = 65536,  /* from one pipe before others have their turn */
	BATCH_BYTES = 65536, /* written out when so much has come together */
	BATCH_MAX = 4 << 20, /* more than one read can become */
	GATHER_MS = 25, /* after a quiet time a line is written at once, under load those of so long
	                   together */
	RETRY_MS = 500, /* while the log takes nothing */
	TELL_MS = 1000, /* of what was dropped */
	FULL_READS = 4, /* of one pipe when the log takes lines again: what it holds */
	LAST_READS = 64 /* at the end: more than that */
};

struct source {
	struct watch watch;
	struct link all, waiting; /* waiting: has something, or had in the last round, and is not
	                             watched */
	struct lines lines;
};

static struct {
	struct loop *loop;
	struct watch master;
	struct list sources, waiting;
	struct timer round, tell;
	int64_t round_ms; /* when the last one was */
	int system;       /* the system log's socket; -1: the log is descriptor 2 */
	struct lines_moment moment;
	struct text batch; /* between rounds: what the log did not take */
	size_t torn;       /* bytes of its first line that the file has already */
	struct lines own;
	struct {
		int64_t since_ms, wall_ms; /* 0: it takes all */
		int reason;
		bool told;
		uint64_t lines; /* that waited */
	} full;
} logd = { .system = -1 };

/* ---- out ---- */

/* Whether what did not go can be tried again at once: logd may wait, mail does not pass here. */
static bool has_room_again(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return errno == EINTR || (errno == EAGAIN && poll(&p, 1, RETRY_MS) > 0);
}

static uint64_t lines_in(struct view bytes)
{
	uint64_t count = 0;

	/* Not the empty ones, which are none. */
	for (size_t i = 1; i < bytes.len; i++)
		count += bytes.data[i] == '\n' && bytes.data[i - 1] != '\n';
	return count;
}

/* The bytes of the batch's lines that were taken whole. */
static size_t write_bytes(void)
{
	size_t done = logd.torn, whole;

	while (done < logd.batch.len) {
		ssize_t n = write(STDERR_FILENO, logd.batch.raw + done, logd.batch.len - done);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || !has_room_again(STDERR_FILENO))
			break;
	}
	logd.full.reason = errno;
	for (whole = done; whole && logd.batch.raw[whole - 1] != '\n';)
		whole--;
	logd.torn = done - whole;
	return whole;
}

/* The system's log was started again: master finds it where we cannot. */
static void ask_for_another_socket(void)
{
	struct wire_out out = { 0 };

	wire_begin(&out, MASTER_LOG_BROKEN);
	wire_send_now(logd.master.fd, &out);
	wire_out_free(&out);
}

static bool send_line(struct view line)
{
	while (send(logd.system, line.data, line.len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		if (!has_room_again(logd.system))
			return errno == EMSGSIZE;
	return true;
}

static size_t send_datagrams(void)
{
	struct view rest = text_view(&logd.batch), line;
	size_t done = 0;

	while (view_cut(&rest, '\n', &line) && send_line(line))
		done += line.len + 1;
	logd.full.reason = errno;
	if (done < logd.batch.len && errno != EAGAIN && errno != ENOBUFS)
		ask_for_another_socket();
	return done;
}

static void look_at_clock(void)
{
	int64_t wall_us = clock_wall_us();

	logd.moment.wall_ms = wall_us / 1000;
	log_stamp(logd.moment.stamp, sizeof logd.moment.stamp, wall_us);
}

static void begin_round(void)
{
	logd.moment.now_ms = logd.round_ms = loop_now_ms(logd.loop);
	logd.moment.form = logd.system >= 0 ? LINES_SYSTEM : LINES_FILE;
	look_at_clock();
}

/* A line of our own, behind those of the batch. */
__attribute__((format(printf, 3, 4))) static void say(int severity, int64_t wall_ms,
                                                      const char *format, ...)
{
	struct text line;
	va_list list;

	text_init(&line, LOG_LINE_MAX);
	text_format(&line, "<%d>[%ld %lld] %s", severity, (long)getpid(), (long long)wall_ms,
	            severity == LOG_WARNING ? "warning: " : "");
	va_start(list, format);
	text_format_list(&line, format, list);
	va_end(list);
	text_add_byte(&line, '\n');
	lines_take(&logd.own, text_view(&line), &logd.moment, &logd.batch);
	text_free(&line);
}

static void say_full(void)
{
	logd.full.told = true;
	say(LOG_WARNING, logd.full.wall_ms, "event=log-full reason=\"%s\"",
	    strerror(logd.full.reason));
}

/* A system log that is back at the next attempt was only started again. */
static void note_full(void)
{
	if (logd.full.since_ms == 0) {
		logd.full.since_ms = logd.moment.now_ms;
		logd.full.wall_ms = clock_wall_ms();
		logd.full.lines = lines_in(text_view(&logd.batch));
	}
	if (!logd.full.told &&
	    (logd.system < 0 || logd.moment.now_ms >= logd.full.since_ms + RETRY_MS))
		say_full();
}

static void forget_full(void)
{
	logd.full.since_ms = 0;
	logd.full.told = false;
}

/* false: the log does not take all of it, and is tried again later. */
static bool flush(void)
{
	if (logd.batch.len == 0)
		return true;
	text_drop_front(&logd.batch, logd.system >= 0 ? send_datagrams() : write_bytes());
	if (logd.batch.len) {
		note_full();
		loop_timer_set(logd.loop, &logd.round, logd.moment.now_ms + RETRY_MS);
	} else if (!logd.full.told) {
		forget_full();
	}
	return logd.batch.len == 0;
}

static void say_again(void)
{
	say(LOG_INFO, clock_wall_ms(), "event=log-again duration_ms=%lld lines=%llu",
	    (long long)(clock_ms() - logd.full.since_ms), (unsigned long long)logd.full.lines);
	forget_full();
	flush();
}

/* ---- in ---- */

static void tell_dropped(struct source *s)
{
	if (s->lines.dropped)
		say(LOG_WARNING, logd.moment.wall_ms, "event=log-dropped program=%s lines=%llu",
		    s->lines.program, (unsigned long long)s->lines.dropped);
	s->lines.dropped = 0;
}

static void source_end(struct source *s)
{
	lines_end(&s->lines, &logd.moment, &logd.batch);
	tell_dropped(s);
	loop_unwatch(logd.loop, &s->watch);
	list_remove(&s->all);
	list_remove(&s->waiting);
	close(s->watch.fd);
	lines_free(&s->lines);
	free(s);
	if (logd.sources.count == 0 && !loop_is_watched(&logd.master))
		loop_stop(logd.loop); /* master died, and now everybody has gone */
}

enum taken { TAKEN, NOTHING_THERE, ENDED };

static enum taken take(struct source *s)
{
	static char bytes[READ_BYTES];

	look_at_clock();
	ssize_t n = file_read_some(s->watch.fd, bytes, sizeof bytes);

	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		source_end(s);
		return ENDED;
	}
	struct view got = { bytes, n < 0 ? 0 : (size_t)n };

	lines_take(&s->lines, got, &logd.moment, &logd.batch);
	if (got.len < sizeof bytes)
		lines_are_all(&s->lines, &logd.moment);
	if (logd.full.told)
		logd.full.lines += lines_in(got);
	if (n < 0)
		return NOTHING_THERE;
	if (s->lines.dropped && !loop_timer_is_set(&logd.tell))
		loop_timer_set(logd.loop, &logd.tell, logd.moment.now_ms + TELL_MS);
	return TAKEN;
}

static void hear_master(void);

/* What was read since master spoke of another log belongs there: a program's line that follows a
 * reload is in the new one. */
static bool write_out(void)
{
	hear_master();
	return flush();
}

/* The log takes lines again: all that waited in the pipes comes before we say so. */
static bool take_what_waited(void)
{
	bool takes = true;

	LIST_EACH(s, &logd.sources, struct source, all)
		for (int n = 0; takes && n < FULL_READS && take(s) == TAKEN; n++)
			takes = logd.batch.len < BATCH_BYTES || flush();
	takes = takes && flush();
	if (takes)
		say_again();
	return takes;
}

/* Those that wait have their turn, as long as the log takes what comes of it. Who had lines is
 * asked again in the next round, without being watched in between: a program that writes all the
 * time costs a read in each, and wakes nobody. */
static void round_due(struct timer *t)
{
	struct link *first;

	(void)t;
	begin_round();
	bool takes = flush();

	if (takes && logd.full.told)
		takes = take_what_waited();
	for (size_t n = logd.waiting.count;
	     takes && n-- && (first = list_take_first(&logd.waiting)) != NULL;) {
		struct source *s = list_owner(first, struct source, waiting);
		enum taken taken = take(s);

		if (taken == TAKEN)
			list_add_last(&logd.waiting, &s->waiting);
		else if (taken == NOTHING_THERE)
			loop_watch(logd.loop, &s->watch, LOOP_READ);
		takes = logd.batch.len < BATCH_BYTES || write_out();
	}
	if (takes)
		write_out();
	if (logd.waiting.count && !loop_timer_is_set(&logd.round))
		loop_timer_set(logd.loop, &logd.round, logd.round_ms + GATHER_MS);
}

static void source_ready(struct watch *w, unsigned events)
{
	struct source *s = loop_owner(w, struct source, watch);
	int64_t next_ms = logd.round_ms + GATHER_MS;

	(void)events;
	if (!loop_timer_is_set(&logd.round) && loop_now_ms(logd.loop) >= next_ms) {
		begin_round();
		take(s);
		write_out();
		return;
	}
	loop_unwatch(logd.loop, w);
	list_add_last(&logd.waiting, &s->waiting);
	if (!loop_timer_is_set(&logd.round))
		loop_timer_set(logd.loop, &logd.round, next_ms);
}

static void tell_due(struct timer *t)
{
	if (logd.batch.len) { /* the log takes nothing at the moment */
		loop_timer_set(logd.loop, t, loop_now_ms(logd.loop) + TELL_MS);
		return;
	}
	begin_round();
	LIST_EACH(s, &logd.sources, struct source, all)
		tell_dropped(s);
	flush();
}

/* What the log has not taken goes with us: master is told, who also counts what is in the pipes. */
static void tell_left(void)
{
	struct wire_out out = { 0 };

	master_left_put(&out, lines_in(text_view(&logd.batch)));
	wire_send_now(logd.master.fd, &out);
	wire_out_free(&out);
}

/* Everybody else has ended: what stands in the pipes is the rest. */
static void drain(void)
{
	begin_round();
	bool takes = flush();

	LIST_EACH(s, &logd.sources, struct source, all)
		for (int n = 0; takes && n < LAST_READS && take(s) == TAKEN; n++)
			takes = logd.batch.len < BATCH_BYTES || flush();
	LIST_EACH(s, &logd.sources, struct source, all) {
		lines_end(&s->lines, &logd.moment, &logd.batch);
		tell_dropped(s);
	}
	if (!flush())
		tell_left();
	else if (logd.full.told)
		say_again();
	loop_stop(logd.loop);
}

/* ---- master ---- */

static void add_source(struct wire_in *in)
{
	char program[PROGRAM_NAME_MAX];
	int fd;

	if (!master_pipe_get(in, program, &fd))
		return;
	struct source *s = memory_get(sizeof *s);

	s->watch.fd = fd;
	s->watch.ready = source_ready;
	lines_start(&s->lines, view_of(program));
	list_add_last(&logd.sources, &s->all);
	loop_watch(logd.loop, &s->watch, LOOP_READ);
}

/* Lines in the form of a log that takes none any more: how many there were. */
static uint64_t drop_batch(void)
{
	uint64_t lines = flush() ? 0 : lines_in(text_view(&logd.batch));

	text_clear(&logd.batch);
	logd.torn = 0;
	return lines;
}

static bool is_present_log(int fd)
{
	struct stat new, present;

	return fstat(fd, &new) == 0 && fstat(STDERR_FILENO, &present) == 0 &&
	       new.st_dev == present.st_dev &&new.st_ino == present.st_ino;
}

static void set_output(int fd, bool is_system)
{
	bool was_system = logd.system >= 0;

	begin_round();
	uint64_t dropped = is_system != was_system ? drop_batch() : 0;

	if (was_system)
		close(logd.system);
	logd.system = is_system ? fd : -1;
	log_to_socket(logd.system, false);
	if (!is_system && !is_present_log(fd))
		logd.torn = 0; /* the line that the old one has a part of */
	/* /dev/null, which every program has there: the file is to be let go. */
	dup2(is_system ? STDIN_FILENO : fd, STDERR_FILENO);
	if (!is_system)
		close(fd);
	begin_round();
	if (dropped && logd.full.told)
		say_full();
	if (dropped)
		say(LOG_WARNING, logd.moment.wall_ms, "event=log-dropped program=logd lines=%llu",
		    (unsigned long long)dropped);
	if (logd.full.told)
		loop_timer_set(logd.loop, &logd.round, logd.moment.now_ms);
	else
		flush();
}

static void take_output(struct wire_in *in)
{
	bool is_system;
	int fd;

	if (master_output_get(in, &is_system, &fd))
		set_output(fd, is_system);
}

static bool hear_one(void)
{
	struct wire_in in;
	enum wire_result r = wire_receive_now(logd.master.fd, &in);

	if (r == WIRE_CLOSED) {
		loop_unwatch(logd.loop, &logd.master);
		if (logd.sources.count == 0)
			loop_stop(logd.loop);
	}
	if (r != WIRE_OK)
		return false;
	if (in.type == MASTER_LOG_PIPE)
		add_source(&in);
	else if (in.type == MASTER_LOG_OUTPUT)
		take_output(&in);
	else if (in.type == MASTER_LOG_END && wire_end(&in))
		drain();
	if (!wire_end(&in))
		log_warn("event=bad-message peer=master type=%d", in.type);
	wire_in_close(&in);
	return true;
}

static void hear_master(void)
{
	while (loop_is_watched(&logd.master) && hear_one())
		;
}

static void from_master(struct watch *w, unsigned events)
{
	(void)w;
	(void)events;
	hear_master();
}

int main(void)
{
	static const struct sandbox_profile profile = { .promises = 0 };
	struct settings settings;

	/* master ends it by a message, when all others have ended: they still have to speak. */
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	program_start("logd");
	settings_inherit(&settings); /* for log.debug and bounds.h */
	logd.system = program_fd("log.system");
	bounds_confine("logd", &settings, &profile);
	settings_free(&settings);
	logd.loop = loop_new();
	logd.round.due = round_due;
	logd.tell.due = tell_due;
	text_init(&logd.batch, BATCH_MAX);
	lines_start(&logd.own, VIEW("logd"));
	logd.master.fd = program_need_fd("master");
	logd.master.ready = from_master;
	loop_watch(logd.loop, &logd.master, LOOP_READ);
	master_tell_ready(logd.loop);
	loop_run(logd.loop);
	return EXIT_DONE;
}
