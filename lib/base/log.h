/* SPDX-License-Identifier: ISC */
/*
 * The log, and how a program ends.
 *
 * One event a line, key=value, the queue id first when there is one:
 *     id=1gkq... event=deliver to=<a@b.test> status=2.0.0 delay_ms=12
 * A line goes out with a single write to descriptor 2 (a file opened O_APPEND,
 * a terminal) or as a datagram to the system's log socket, and is cut at
 * LOG_LINE_MAX bytes.  Bytes that strangers chose are passed through
 * log_quote, which leaves nothing that could end a line or fake a key.
 *
 * Levels: debug (only with log.debug), info (what happened), warn (what an
 * operator should look at), fatal (the world is wrong: exits 111), panic (we
 * are wrong: aborts).
 */
#ifndef LIB_BASE_LOG_H
#define LIB_BASE_LOG_H

#include "lib/base/bytes.h"
#include "lib/base/reason.h"

enum { LOG_LINE_MAX = 2048 };

enum exit_code { EXIT_DONE = 0, EXIT_PERMANENT = 100, EXIT_TEMPORARY = 111 };

/* name: the program's word, kept by reference.  Without log_open, lines carry "posthouse". */
void log_open(const char *name);
/* A socket connected to the system's log, /dev/log; -1 with a reason that says what to do. */
int log_system_socket(struct reason *why);
/* Datagrams to this connected socket (RFC 3164 form) instead of descriptor 2. */
void log_to_socket(int fd);
void log_set_debug(bool on);
/* For commands at a terminal: plain "name: text" lines, no time or pid. */
void log_plain(void);
/* In a child after fork: its lines bear its own pid (loop_fork says it). */
void log_forked(void);

void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_fatal(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void log_panic(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* One of eight rotating static buffers: v with spaces, quotes, controls and
 * 8-bit bytes written as \xNN, cut at 200 bytes with "...".  For log lines only. */
const char *log_quote(struct view v);
/* The same with its spaces left alone: for what stands between double quotes. */
const char *log_text(struct view v);

#endif
