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
 * what they had no room for.
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
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/base/list.h"
#include "lib/base/loop.h"
#include "lib/base/program.h"
#include "lib/conf/settings.h"
#include "lib/wire/master.h"
#include "lib/wire/wire.h"
#include "master/logd/lines.h"

enum {
	READ_BYTES = 65536,  /* from one pipe before others have their turn */
	BATCH_BYTES = 65536, /* written out when so much has come together */
	BATCH_MAX = 4 << 20, /* more than one read can become */
	GATHER_MS = 10, /* after a quiet time a line is written at once, under load those of so long
	                   together */
	RETRY_MS = 500, /* while the log takes nothing */
	TELL_MS = 1000, /* of what was dropped */
	LAST_READS = 64, /* of one pipe at the end: more than it holds */
	DESCRIPTORS = 16384
};

struct source {
	struct watch watch;
	struct link all, waiting; /* waiting: has something, and is not watched until the next
	                             round */
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
	struct lines own;
} logd = { .system = -1 };

/* ---- out ---- */

/* Whether what did not go can be tried again at once: logd may wait, mail does not pass here. */
static bool has_room_again(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return errno == EINTR || (errno == EAGAIN && poll(&p, 1, RETRY_MS) > 0);
}

/* The bytes of the batch that were taken. */
static size_t write_bytes(void)
{
	size_t done = 0;

	while (done < logd.batch.len) {
		ssize_t n = write(STDERR_FILENO, logd.batch.data + done, logd.batch.len - done);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || !has_room_again(STDERR_FILENO))
			break;
	}
	return done;
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
	if (done < logd.batch.len && errno != EAGAIN && errno != ENOBUFS)
		ask_for_another_socket();
	return done;
}

/* false: the log does not take all of it, and is tried again later. */
static bool flush(void)
{
	if (logd.batch.len == 0)
		return true;
	text_drop_front(&logd.batch, logd.system >= 0 ? send_datagrams() : write_bytes());
	if (logd.batch.len)
		loop_timer_set(logd.loop, &logd.round, logd.moment.now_ms + RETRY_MS);
	return logd.batch.len == 0;
}

/* ---- in ---- */

static void begin_round(void)
{
	logd.moment.now_ms = logd.round_ms = loop_now_ms(logd.loop);
	logd.moment.form = logd.system >= 0 ? LINES_SYSTEM : LINES_FILE;
	log_stamp(logd.moment.stamp, sizeof logd.moment.stamp, clock_wall_us());
}

static void tell_dropped(struct source *s)
{
	struct text line;

	if (s->lines.dropped == 0)
		return;
	text_init(&line, LOG_LINE_MAX);
	text_format(&line, "<%d>[%ld] warning: event=log-dropped program=%s lines=%llu\n",
	            LOG_WARNING, (long)getpid(), s->lines.program,
	            (unsigned long long)s->lines.dropped);
	lines_take(&logd.own, text_view(&line), &logd.moment, &logd.batch);
	text_free(&line);
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
	ssize_t n = file_read_some(s->watch.fd, bytes, sizeof bytes);

	if (n < 0 && errno == EAGAIN)
		return NOTHING_THERE;
	if (n <= 0) {
		source_end(s);
		return ENDED;
	}
	lines_take(&s->lines, (struct view){ bytes, (size_t)n }, &logd.moment, &logd.batch);
	if (s->lines.dropped && !loop_timer_is_set(&logd.tell))
		loop_timer_set(logd.loop, &logd.tell, logd.moment.now_ms + TELL_MS);
	return TAKEN;
}

/* Those that wait have their turn, as long as the log takes what comes of it. */
static void round_due(struct timer *t)
{
	struct link *first;

	(void)t;
	begin_round();
	bool takes = flush();

	while (takes && (first = list_take_first(&logd.waiting)) != NULL) {
		struct source *s = list_owner(first, struct source, waiting);

		if (take(s) != ENDED)
			loop_watch(logd.loop, &s->watch, LOOP_READ);
		takes = logd.batch.len < BATCH_BYTES || flush();
	}
	if (takes)
		flush();
}

static void source_ready(struct watch *w, unsigned events)
{
	struct source *s = loop_owner(w, struct source, watch);
	int64_t next_ms = logd.round_ms + GATHER_MS;

	(void)events;
	if (!loop_timer_is_set(&logd.round) && loop_now_ms(logd.loop) >= next_ms) {
		begin_round();
		take(s);
		flush();
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

/* Everybody else has ended: what stands in the pipes is the rest. */
static void drain(void)
{
	bool takes = true;

	begin_round();
	LIST_EACH(s, &logd.sources, struct source, all)
		for (int n = 0; takes && n < LAST_READS && take(s) == TAKEN; n++)
			takes = logd.batch.len < BATCH_BYTES || flush();
	LIST_EACH(s, &logd.sources, struct source, all)
		tell_dropped(s);
	flush();
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

static void set_output(int fd, bool is_system)
{
	begin_round();
	if (!flush() && is_system != (logd.system >= 0)) {
		/* Lines in the form of a log that takes none any more. */
		log_warn("event=log-dropped program=logd bytes=%zu", logd.batch.len);
		text_clear(&logd.batch);
	}
	if (logd.system >= 0)
		close(logd.system);
	logd.system = is_system ? fd : -1;
	log_to_socket(logd.system, false);
	if (!is_system) {
		dup2(fd, STDERR_FILENO);
		close(fd);
	}
	flush();
}

static void take_output(struct wire_in *in)
{
	bool is_system;
	int fd;

	if (master_output_get(in, &is_system, &fd))
		set_output(fd, is_system);
}

static void from_master(struct watch *w, unsigned events)
{
	struct wire_in in;
	enum wire_result r = wire_receive_now(w->fd, &in);

	(void)events;
	if (r == WIRE_CLOSED) {
		loop_unwatch(logd.loop, w);
		if (logd.sources.count == 0)
			loop_stop(logd.loop);
	}
	if (r != WIRE_OK)
		return;
	if (in.type == MASTER_LOG_PIPE)
		add_source(&in);
	else if (in.type == MASTER_LOG_OUTPUT)
		take_output(&in);
	else if (in.type == MASTER_LOG_END && wire_end(&in))
		drain();
	if (!wire_end(&in))
		log_warn("event=bad-message peer=master type=%d", in.type);
	wire_in_close(&in);
}

int main(void)
{
	static const struct sandbox_profile profile = { .promises = 0,
		                                        .descriptors_max = DESCRIPTORS };
	struct settings settings;

	/* master ends it by a message, when all others have ended: they still have to speak. */
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	program_start("logd");
	settings_inherit(&settings); /* for log.debug only */
	settings_free(&settings);
	logd.system = program_fd("log.system");
	program_confine(&profile);
	logd.loop = loop_new();
	logd.round.due = round_due;
	logd.tell.due = tell_due;
	text_init(&logd.batch, BATCH_MAX);
	lines_start(&logd.own, VIEW("logd"));
	logd.master.fd = program_need_fd("master");
	logd.master.ready = from_master;
	loop_watch(logd.loop, &logd.master, LOOP_READ);
	master_tell_ready();
	loop_run(logd.loop);
	return EXIT_DONE;
}
