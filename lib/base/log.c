/* SPDX-License-Identifier: ISC */
#include "lib/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/clock.h"

static struct {
	const char *name;
	int socket, pipe;
	int first_stderr; /* what descriptor 2 was before a file took its place */
	bool debug, plain, reconnects;
	long pid;           /* asked for once; 0: not yet */
	unsigned long lost; /* lines that found no room, and nobody was told of yet */
	int fatal_code;     /* 0: EXIT_TEMPORARY */
} log_state = { .name = "posthouse", .socket = -1, .pipe = -1, .first_stderr = -1 };

void log_open(const char *name)
{
	log_state.name = name;
}

int log_system_socket(struct reason *why)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof un) == 0)
		return fd;
	fail_errno(why,
	           "connecting to /dev/log (is a system log running? else set log.to to a file)");
	if (fd >= 0)
		close(fd);
	return -1;
}

void log_to_socket(int fd, bool reconnects)
{
	log_state.socket = fd;
	log_state.reconnects = reconnects;
}

/* Kept before a file takes its place; /dev/null when we were started without one. */
static int keep_first_stderr(void)
{
	if (log_state.first_stderr < 0)
		log_state.first_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (log_state.first_stderr < 0)
		log_state.first_stderr = open("/dev/null", O_WRONLY | O_CLOEXEC);
	return log_state.first_stderr;
}

void log_let_starter_go(const char *to)
{
	struct stat st;
	int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (nothing >= 0 && strcmp(to, "stderr") != 0 && log_state.first_stderr >= 0 &&
	    fstat(log_state.first_stderr, &st) == 0 && !S_ISREG(st.st_mode)) {
		dup3(nothing, log_state.first_stderr, O_CLOEXEC);
		if (strcmp(to, "syslog") == 0)
			dup2(nothing, STDERR_FILENO);
	}
	if (nothing >= 0)
		close(nothing);
}

int log_set_output(const char *to, int *system_socket, struct reason *why)
{
	bool is_system = strcmp(to, "syslog") == 0;
	bool is_file = !is_system && strcmp(to, "stderr") != 0;
	int first = keep_first_stderr();
	int system_log = is_system ? log_system_socket(why) : -1;

	if (is_system && system_log < 0)
		return -1;
	/* O_NONBLOCK: a pipe that nobody reads is told of, not waited for. */
	int fd = is_file ? open(to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0640)
	                 : first;

	if (fd < 0 || (is_file && fcntl(fd, F_SETFL, O_APPEND) < 0) || dup2(fd, STDERR_FILENO) < 0)
		return fail_errno(why, "opening the log %s", to);
	if (is_file)
		close(fd);
	if (*system_socket >= 0)
		close(*system_socket);
	*system_socket = system_log;
	log_to_socket(system_log, true);
	return 0;
}

void log_to_pipe(int fd)
{
	log_state.pipe = fd;
}

void log_set_debug(bool on)
{
	log_state.debug = on;
}

void log_forked(void)
{
	log_state.pid = 0;
	log_state.lost = 0; /* the parent tells of its own */
}

void log_plain(void)
{
	log_state.plain = true;
}

void log_set_fatal_code(int code)
{
	log_state.fatal_code = code;
}

size_t log_stamp(char *out, size_t size, int64_t wall_us)
{
	/* Not gmtime_r, which takes a lock: a line may be written in a signal handler. */
	int64_t wall_s = wall_us / 1000000;
	struct clock_day day = clock_day_from(wall_s / 86400);
	int second = (int)(wall_s % 86400);
	int n = snprintf(out, size, "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", (int)day.year, day.month,
	                 day.day, second / 3600, second / 60 % 60, second % 60,
	                 (int)(wall_us % 1000000 / 1000));

	return n < 0 ? 0 : (size_t)n;
}

void log_stamp_set_ms(char *stamp, int ms)
{
	char *digits = strchr(stamp, '.') + 1;

	for (int i = 2; i >= 0; i--, ms /= 10)
		digits[i] = (char)('0' + ms % 10);
}

/* The part before the text; its length. */
static size_t log_head(char *line, size_t size, int severity)
{
	char stamp[LOG_STAMP_MAX];
	int n;

	if (log_state.pid == 0)
		log_state.pid = (long)getpid();
	if (log_state.plain) {
		n = snprintf(line, size, "%s: ", log_state.name);
	} else if (log_state.pipe >= 0) {
		n = snprintf(line, size, "\n<%d>[%ld %lld] ", severity, log_state.pid,
		             (long long)clock_wall_ms());
	} else if (log_state.socket >= 0) {
		n = snprintf(line, size, "<%d>%s[%ld]: ", LOG_FACILITY | severity, log_state.name,
		             log_state.pid);
	} else {
		log_stamp(stamp, sizeof stamp, clock_wall_us());
		n = snprintf(line, size, "%s %s[%ld]: ", stamp, log_state.name, log_state.pid);
	}
	return n < 0 ? 0 : (size_t)n;
}

/* The system's log was started again: the socket that we knew has nobody at its other end. */
static bool log_reconnect(void)
{
	struct reason why;
	bool is_gone = errno == ECONNREFUSED || errno == ENOTCONN || errno == ECONNRESET;
	int fd = is_gone && log_state.reconnects ? log_system_socket(&why) : -1;
	bool found = fd >= 0 && dup3(fd, log_state.socket, O_CLOEXEC) >= 0;

	if (fd >= 0)
		close(fd);
	return found;
}

static int log_fd(void)
{
	return log_state.pipe >= 0     ? log_state.pipe
	       : log_state.socket >= 0 ? log_state.socket
	                               : STDERR_FILENO;
}

static bool log_datagram(const char *line, size_t len)
{
	enum { FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL };

	return send(log_state.socket, line, len, FLAGS) >= 0 ||
	       (log_reconnect() && send(log_state.socket, line, len, FLAGS) >= 0);
}

/* One write, so that the lines of siblings never mix; a full pipe takes none of it. The newline at
 * the end is none of the system log's. */
static bool log_put(const char *line, size_t len)
{
	if (log_state.pipe < 0 && log_state.socket >= 0)
		return log_datagram(line, len - 1);
	return write(log_fd(), line, len) >= 0;
}

/* logd empties a pipe every few milliseconds: a burst finds room again where it waits for that, for
 * once. Whoever found none in this time does not wait again until there was some. */
static bool log_put_patiently(const char *line, size_t len)
{
	enum { ROOM_MS = 50, TRIES = 4 };
	struct pollfd room = { .fd = log_fd(), .events = POLLOUT };
	bool done = log_put(line, len);

	for (int i = 0; i < TRIES && !done && errno == EAGAIN && !log_state.lost; i++)
		done = poll(&room, 1, ROOM_MS / TRIES) >= 0 && log_put(line, len);
	return done;
}

/* Before the next line that finds room. */
static void log_tell_lost(void)
{
	char line[LOG_STAMP_MAX + 160];
	size_t len = log_head(line, sizeof line, LOG_WARNING);
	int n = snprintf(line + len, sizeof line - len, "warning: event=log-lost lines=%lu\n",
	                 log_state.lost);

	if (n > 0 && log_put(line, len + (size_t)n))
		log_state.lost = 0;
}

__attribute__((format(printf, 3, 0))) static void log_line(int severity, const char *level,
                                                           const char *format, va_list list)
{
	char line[LOG_LINE_MAX + 1];
	int kept_errno = errno;
	size_t len = log_head(line, sizeof line, severity);
	int n = snprintf(line + len, sizeof line - len, "%s", log_state.plain ? "" : level);

	len += n < 0 ? 0 : (size_t)n;
	errno = kept_errno; /* for %m */
	n = vsnprintf(line + len, sizeof line - len, format, list);
	len += n < 0 ? 0 : (size_t)n;
	if (len > LOG_LINE_MAX - 1) {
		len = LOG_LINE_MAX - 1;
		memcpy(line + len - 3, "...", 3);
	}
	line[len] = '\n';
	/* A full or lost log must not stop mail. */
	if (log_state.lost)
		log_tell_lost();
	if (log_state.lost || !log_put_patiently(line, len + 1))
		log_state.lost += !log_state.plain;
	errno = kept_errno;
}

void log_debug(const char *format, ...)
{
	va_list list;

	if (!log_state.debug)
		return;
	va_start(list, format);
	log_line(LOG_DEBUG, "debug: ", format, list);
	va_end(list);
}

void log_info(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	log_line(LOG_INFO, "", format, list);
	va_end(list);
}

void log_warn(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	log_line(LOG_WARNING, "warning: ", format, list);
	va_end(list);
}

void log_fatal(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	log_line(LOG_CRIT, "fatal: ", format, list);
	va_end(list);
	exit(log_state.fatal_code ? log_state.fatal_code : EXIT_TEMPORARY);
}

void log_panic(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	log_line(LOG_CRIT, "panic: ", format, list);
	va_end(list);
	abort();
}

char *log_escape(char *out, unsigned char byte)
{
	*out++ = '\\';
	*out++ = 'x';
	*out++ = hex_digits[byte >> 4];
	*out++ = hex_digits[byte & 15];
	return out;
}

enum { QUOTE_MAX = 200, TEXT_MAX = 480 /* a host's reply, whole */ };

static const char *quote(struct view v, unsigned char last_escaped, size_t keep)
{
	enum { ROOM = 4 * TEXT_MAX + 4 };
	static char buffers[8][ROOM];
	static unsigned turn;
	char *out = buffers[turn++ % 8], *p = out;

	for (size_t i = 0; i < v.len && i < keep; i++) {
		unsigned char c = (unsigned char)v.data[i];

		if (c <= last_escaped || c >= 0x7f || c == '"' || c == '\\')
			p = log_escape(p, c);
		else
			*p++ = (char)c;
	}
	memcpy(p, v.len > keep ? "..." : "", v.len > keep ? 4 : 1);
	return out;
}

const char *log_quote(struct view v)
{
	return quote(v, ' ', QUOTE_MAX);
}

const char *log_text(struct view v)
{
	return quote(v, ' ' - 1, TEXT_MAX);
}
