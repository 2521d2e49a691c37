/* SPDX-License-Identifier: ISC */
/*
 * The log, and how a program ends.
 *
 * One event a line, key=value, the queue id first when there is one:
 *     id=1gkq... event=deliver to=<a@b.test> status=2.0.0 delay_ms=12
 * A line is cut at LOG_LINE_MAX bytes, then ends with "...", and goes out with a single write. A
 * program of the house writes to descriptor 2, a pipe of its own to logd, which alone holds the log
 * and itself puts time and program before the line. logd, and master while there is no logd, write
 * to the log (a file opened O_APPEND, a terminal, the system's log socket). Bytes that strangers
 * chose are passed through log_quote, which leaves nothing that could end a line or fake a key.
 *
 * In a pipe a line is "\n<SEVERITY>[PID MS] TEXT\n", in which the first newline
 * ends what a sibling left without one, and MS are the wall's milliseconds when it
 * was written; what has no such head (a C library's last words, a sanitizer's
 * report) is text of that program too. Writing never waits: a line that finds the
 * pipe full, or a log that takes nothing, is dropped, counted, and told of by the
 * next that finds room (event=log-lost lines=N).
 *
 * Levels: debug (only with log.debug), info (what happened), warn (what an
 * operator should look at), fatal (the world is wrong: exits 111), panic (we
 * are wrong: aborts).
 */
#ifndef LIB_BASE_LOG_H
#define LIB_BASE_LOG_H

#include "lib/base/bytes.h"
#include "lib/base/reason.h"

enum {
	LOG_LINE_MAX = 2048, /* below PIPE_BUF: a pipe takes it whole or not at all */
	LOG_STAMP_MAX = 64
};

/* As syslog numbers them. */
enum {
	LOG_CRIT = 2,
	LOG_WARNING = 4,
	LOG_INFO = 6,
	LOG_DEBUG = 7,
	LOG_FACILITY = 2 << 3 /* mail */
};

enum exit_code { EXIT_DONE = 0, EXIT_PERMANENT = 100, EXIT_TEMPORARY = 111 };

/* name: the program's word, kept by reference.  Without log_open, lines carry "posthouse". */
void log_open(const char *name);
/* A socket connected to the system's log, /dev/log; -1 with a reason that says what to do. */
int log_system_socket(struct reason *why);
/* Datagrams to this connected socket (RFC 3164 form) instead of descriptor 2; -1: to descriptor 2
 * again. reconnects: by somebody in no jail, who finds /dev/log anew when the system's log was
 * restarted. */
void log_to_socket(int fd, bool reconnects);
/* What the setting log.to says, opened: "syslog", "stderr", or a file, which takes the place of
 * descriptor 2 (so that a rotation moves our own lines too). Without a file descriptor 2 is what it
 * was before the first call; with "syslog" too, for what others write there. The system log's
 * socket comes to stand in *system_socket, -1 for none; what stood there is closed. After a failure
 * all is as before. */
int log_set_output(const char *to, int *system_socket, struct reason *why);
/* For who was started by a command that has ended: unless log.to says stderr, the first descriptor
 * 2 is kept only if it is a file; a pipe or a terminal would keep waiting whoever reads to its end.
 */
void log_let_starter_go(const char *to);
/* This descriptor is a pipe to logd; -1: lines go to the log again. */
void log_to_pipe(int fd);
void log_set_debug(bool on);
/* For commands at a terminal: plain "name: text" lines, no time or pid. */
void log_plain(void);
/* What log_fatal exits with instead, where callers know other codes. */
void log_set_fatal_code(int code);
/* In a child after fork: its lines bear its own pid (loop_fork says it). */
void log_forked(void);

void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_fatal(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void log_panic(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* What a byte that no line may hold is written as, \xNN: LOG_ESCAPED bytes at out; the place behind
 * them. */
enum { LOG_ESCAPED = 4 };
char *log_escape(char *out, unsigned char byte);

/* One of eight rotating static buffers: v with spaces, quotes, controls and
 * 8-bit bytes written as \xNN, cut at 200 bytes with "...".  For log lines only. */
const char *log_quote(struct view v);
/* The same with its spaces left alone: for what stands between double quotes. */
const char *log_text(struct view v);
/* "2026-11-27T12:00:00.000Z"; its length. */
size_t log_stamp(char *out, size_t size, int64_t wall_us);
/* Another millisecond of the same second. */
void log_stamp_set_ms(char *stamp, int ms);

#endif
