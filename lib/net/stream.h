/* SPDX-License-Identifier: ISC */
/*
 * One blocking conversation of CRLF lines: the only reader and writer of lines
 * in the house (SMTP, POP3, IMAP, and remote's side of SMTP and LMTP).
 *
 * Reading is strict: a line ends with CRLF; a bare CR or bare LF inside one is
 * reported, never guessed about (smuggling: RFC 5321 section 2.3.8).
 * Writing is buffered and goes out before a read would block, so that the
 * answers to a pipelined batch leave in one packet (RFC 2920 section 3.2).
 * Timeouts are SO_RCVTIMEO/SO_SNDTIMEO plus a deadline over the whole line, so
 * that a drip of bytes does not hold a session for ever.
 */
#ifndef LIB_NET_STREAM_H
#define LIB_NET_STREAM_H

#include <sys/types.h>

#include "lib/base/bytes.h"

enum stream_result {
	STREAM_OK,
	STREAM_CLOSED,   /* end of file; a partial line before it is dropped */
	STREAM_TIMEOUT,  /* nothing, or no whole line, within the timeout */
	STREAM_TOO_LONG, /* the line passed its limit; it has been consumed up to its end */
	STREAM_BARE,     /* a CR or LF on its own; see stream_line */
	STREAM_NUL,      /* a NUL in the line; consumed up to its end */
	STREAM_ERROR     /* errno tells */
};

enum {
	STREAM_BUFFER_BYTES = 16384,
	STREAM_HEAD_BYTES = 160, /* kept of the beginning of a line that is too long: a tag */
	STREAM_END_BYTES = 32    /* and of its end: the announcement of a literal */
};

/* What stands between the lines and the descriptor: remote's TLS. Both work as read(2) and write(2)
 * do on the descriptor: bytes, 0 at the end, or -1 with errno (EAGAIN after the descriptor's
 * timeout). */
struct stream_layer {
	ssize_t (*read)(struct stream_layer *layer, char *bytes, size_t size);
	ssize_t (*write)(struct stream_layer *layer, const char *bytes, size_t size);
};

struct stream {
	int fd;
	int timeout_ms, kernel_timeout_ms; /* the socket's, at most as long */
	/* The caller's, may be NULL: a read has waited for kernel_timeout_ms, and goes on. */
	void (*quiet)(void *context);
	void *quiet_context;
	char *in; /* STREAM_BUFFER_BYTES, allocated at the first read */
	size_t in_start, in_end, in_cap;
	struct text out;
	bool skip_rest;  /* a refused line goes on: dropped up to its CRLF */
	bool tells_rest; /* the caller's: what was dropped so is reported, see stream_line */
	char head[STREAM_HEAD_BYTES];
	size_t head_len;
	struct view refused_end; /* of the line last refused: its end, valid as the line is */
	bool not_socket;         /* a pipe or terminal: waited on with poll */
	bool write_failed;       /* sticky: later writes are dropped, reads report STREAM_CLOSED */
	bool write_timeout;      /* that was because the other side took nothing in its time */
	uint64_t bytes_in, bytes_out;
	struct stream_layer *layer; /* NULL: the bare descriptor; set and owned by the caller */
};

/* Takes the descriptor; stream_close closes it.  timeout_ms > 0. */
void stream_open(struct stream *s, int fd, int timeout_ms);
void stream_close(struct stream *s);
void stream_set_timeout(struct stream *s, int timeout_ms);
/* The same; a read that waits for longer than quiet_ms says so once, to quiet, and a line that has
 * come in drops for longer does so with each. A stream opened with quiet_ms as its timeout makes no
 * call for it. */
void stream_set_quiet(struct stream *s, int timeout_ms, int quiet_ms, void (*quiet)(void *context),
                      void *context);
/* Bytes that were read from the descriptor before it came here. */
void stream_preload(struct stream *s, struct view bytes);
/* What was read ahead and not yet consumed. */
struct view stream_pending(const struct stream *s);

/* Gives the buffers back, as far as they are empty: for a session that will be silent for long. */
void stream_rest(struct stream *s);

/* One line without its CRLF, at most max bytes, to which the buffer grows; the view is valid until
 * the next read.  Flushes the output first when it would block.
 * A bare LF is reported as soon as it is read, so that a client which sends nothing
 * else gets an answer; what stands between it and the next CRLF is the rest of the
 * same refused line and is never taken for a command (each further bare LF in it is
 * reported; its end is dropped, or, where the protocol wants an answer to each line
 * and tells_rest is set, reported as STREAM_BARE when it is not empty).
 * Of a line that is refused *line is all, or at least the first STREAM_HEAD_BYTES.
 * A whole line may take timeout_ms from the moment the wait for it began, and the
 * last read of it as long again. */
enum stream_result stream_line(struct stream *s, size_t max, struct view *line);
/* Whatever is there, at least one byte and at most max; the view is valid until the next read. */
enum stream_result stream_some(struct stream *s, size_t max, struct view *bytes);
/* Gives back the last bytes of what stream_some has just given: they will be read again. */
void stream_unread(struct stream *s, size_t bytes);
/* Is there a whole unread line (or any byte) in the buffer already? */
bool stream_has_input(const struct stream *s);

/* Buffered; flushed by themselves past the buffer size.  After a failure they do nothing. */
void stream_write(struct stream *s, struct view bytes);
/* Text that a line of one dot ends: a dot that begins a line is doubled (RFC 5321 section 4.5.2,
 * RFC 1939 section 3). *line_start: does this piece begin a line? Kept from piece to piece. */
void stream_write_stuffed(struct stream *s, struct view bytes, bool *line_start);
/* Has such a text a line that begins with a dot? */
bool stream_needs_stuffing(struct view bytes);
void stream_format(struct stream *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Sends length bytes of a file from offset, behind what is buffered: by sendfile, or
 * through the buffer where they fit into it.  The file's own position does not move.
 * A file shorter than that is STREAM_ERROR (EIO) and ends the stream's writing. */
enum stream_result stream_send_file(struct stream *s, int file, uint64_t offset, uint64_t length);
enum stream_result stream_flush(struct stream *s);
/* What was written and has not left does not go out. */
void stream_drop(struct stream *s);

#endif
