/* SPDX-License-Identifier: ISC */
#include "lib/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/clock.h"

enum {
	SYSLOG_MAIL = 2 << 3,
	SYSLOG_CRIT = 2,
	SYSLOG_WARNING = 4,
	SYSLOG_INFO = 6,
	SYSLOG_DEBUG = 7
};

static struct {
	const char *name;
	int socket;
	bool debug, plain;
	long pid; /* asked for once; 0: not yet */
} log_state = { .name = "posthouse", .socket = -1 };

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

void log_to_socket(int fd)
{
	log_state.socket = fd;
}

void log_set_debug(bool on)
{
	log_state.debug = on;
}

void log_forked(void)
{
	log_state.pid = 0;
}

void log_plain(void)
{
	log_state.plain = true;
}

/* The part before the text; its length. */
static size_t log_head(char *line, size_t size, int severity)
{
	int n;

	if (log_state.pid == 0)
		log_state.pid = (long)getpid();
	if (log_state.plain) {
		n = snprintf(line, size, "%s: ", log_state.name);
	} else if (log_state.socket >= 0) {
		n = snprintf(line, size, "<%d>%s[%ld]: ", SYSLOG_MAIL | severity, log_state.name,
		             log_state.pid);
	} else {
		/* Not gmtime_r, which takes a lock: a line may be written in a signal handler. */
		int64_t now_us = clock_wall_us(), now_s = now_us / 1000000;
		struct clock_day day = clock_day_from(now_s / 86400);
		int second = (int)(now_s % 86400);

		n = snprintf(line, size,
		             "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ %s[%ld]: ", (int)day.year,
		             day.month, day.day, second / 3600, second / 60 % 60, second % 60,
		             (int)(now_us % 1000000 / 1000), log_state.name, log_state.pid);
	}
	return n < 0 ? 0 : (size_t)n;
}

__attribute__((format(printf, 3, 0))) static void log_line(int severity, const char *level,
                                                           const char *format, va_list list)
{
	char line[LOG_LINE_MAX + 1];
	int kept_errno = errno;
	size_t len = log_head(line, sizeof line, severity);
	int n = snprintf(line + len, sizeof line - len, "%s", log_state.plain ? "" : level);

	len += n < 0 ? 0 : (size_t)n;
	n = vsnprintf(line + len, sizeof line - len, format, list);
	len += n < 0 ? 0 : (size_t)n;
	if (len > LOG_LINE_MAX - 1)
		len = LOG_LINE_MAX - 1;
	line[len] = '\n';
	/* A full or lost log must not stop mail; there is nobody left to tell. */
	ssize_t done = log_state.socket >= 0
	                       ? send(log_state.socket, line, len, MSG_DONTWAIT | MSG_NOSIGNAL)
	                       : write(STDERR_FILENO, line, len + 1);
	(void)done;
	errno = kept_errno;
}

void log_debug(const char *format, ...)
{
	va_list list;

	if (!log_state.debug)
		return;
	va_start(list, format);
	log_line(SYSLOG_DEBUG, "debug: ", format, list);
	va_end(list);
}

void log_info(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	log_line(SYSLOG_INFO, "", format, list);
	va_end(list);
}

void log_warn(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	log_line(SYSLOG_WARNING, "warning: ", format, list);
	va_end(list);
}

void log_fatal(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	log_line(SYSLOG_CRIT, "fatal: ", format, list);
	va_end(list);
	exit(EXIT_TEMPORARY);
}

void log_panic(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	log_line(SYSLOG_CRIT, "panic: ", format, list);
	va_end(list);
	abort();
}

static const char *quote(struct view v, unsigned char last_escaped)
{
	enum { ROOM = 832, KEEP = 200 };
	static char buffers[8][ROOM];
	static unsigned turn;
	static const char hex[] = "0123456789abcdef";
	char *out = buffers[turn++ % 8];
	size_t n = 0;

	for (size_t i = 0; i < v.len && i < KEEP; i++) {
		unsigned char c = (unsigned char)v.data[i];

		if (c <= last_escaped || c >= 0x7f || c == '"' || c == '\\') {
			out[n++] = '\\';
			out[n++] = 'x';
			out[n++] = hex[c >> 4];
			out[n++] = hex[c & 15];
		} else {
			out[n++] = (char)c;
		}
	}
	memcpy(out + n, v.len > KEEP ? "..." : "", v.len > KEEP ? 4 : 1);
	return out;
}

const char *log_quote(struct view v)
{
	return quote(v, ' ');
}

const char *log_text(struct view v)
{
	return quote(v, ' ' - 1);
}
