/* SPDX-License-Identifier: ISC */
/*
 * Messages between programs of the house, over SOCK_SEQPACKET pairs.
 *
 * One packet is one message: a type byte, then typed fields, descriptors
 * beside it.  Numbers are little-endian; a byte string is a 32-bit length and
 * the bytes.  A decoder takes exactly what was sent: after the last field
 * wire_end() is true only when nothing went wrong and every byte and every
 * descriptor was consumed.  What each program says to which is in the header
 * of that conversation (lib/wire/NAME.h): its types, its structs, and
 * NAME_put/NAME_get side by side in lib/wire/NAME.c.
 *
 * Integrity is not trust: the receiver still checks ranges, ids and files,
 * since a legal message from a captured program is an attack.
 */
#ifndef LIB_WIRE_WIRE_H
#define LIB_WIRE_WIRE_H

#include "lib/base/bytes.h"

enum {
	WIRE_MESSAGE_MAX = 65536, /* bytes of one packet; longer lists go in several messages */
	WIRE_FDS_MAX = 4,
	WIRE_UNREAD = 255 /* no type: of a message that could not be received */
};

struct wire_out {
	struct text bytes; /* max WIRE_MESSAGE_MAX */
	int fds[WIRE_FDS_MAX];
	unsigned fd_count;
};

struct wire_in {
	unsigned char type;
	struct view rest;
	int fds[WIRE_FDS_MAX]; /* owned by the wire_in until wire_get_fd takes them */
	unsigned fd_count, fds_taken;
	bool bad;
};

/* ---- writing ---- */
/* Begins a message in `out` (zeroed, or used before: its memory is kept). */
void wire_begin(struct wire_out *out, unsigned char type);
void wire_put_byte(struct wire_out *out, uint8_t n);
void wire_put_u16(struct wire_out *out, uint16_t n);
void wire_put_u32(struct wire_out *out, uint32_t n);
void wire_put_u64(struct wire_out *out, uint64_t n);
void wire_put_view(struct wire_out *out, struct view v);
void wire_put_string(struct wire_out *out, const char *s); /* NULL as "" */
/* The descriptor is not taken: it stays the caller's, sending duplicates it. */
void wire_put_fd(struct wire_out *out, int fd);
void wire_out_free(struct wire_out *out);

/* ---- reading ---- */
uint8_t wire_get_byte(struct wire_in *in);
uint16_t wire_get_u16(struct wire_in *in);
uint32_t wire_get_u32(struct wire_in *in);
uint64_t wire_get_u64(struct wire_in *in);
bool wire_get_bool(struct wire_in *in); /* a byte that must be 0 or 1 */
/* At most max bytes, else bad.  The view lives as long as the packet's buffer. */
struct view wire_get_view(struct wire_in *in, size_t max);
/* Into a terminated buffer of size bytes; a NUL inside or too long is bad. */
void wire_get_string(struct wire_in *in, char *out, size_t size);
/* The next descriptor, now the caller's, close-on-exec; -1 and bad when there is none. */
int wire_get_fd(struct wire_in *in);
/* The last one, which ends a message whose fields have been read; -1 and bad when more is left or
 * anything was bad: then it stays for wire_in_close. Getters take descriptors in no other way than
 * this and the next, so that who is told false has none to close. */
int wire_get_last_fd(struct wire_in *in);
/* The same for the last `count`: all of them or, set to -1, none. */
bool wire_get_last_fds(struct wire_in *in, int *fds, unsigned count);
/* All consumed and nothing bad. */
bool wire_end(const struct wire_in *in);
/* Closes what was not taken. */
void wire_in_close(struct wire_in *in);
/* Closes a descriptor that a peer sent, at once: close() of a socket that lingers (SO_LINGER) waits
 * for a peer's peer. Whoever sent it, and kept a copy, could set that again in between: the filter
 * of system calls lets no program of the house (lib/base/sandbox-seccomp.c). */
void wire_close_given(int fd);
/* Ends a line whose peer may have left descriptors in it that nobody has received, and which the
 * kernel would close with it. The type of the first message that nobody has received; 0 where there
 * is none; WIRE_UNREAD where that cannot be told. What the peer could send is there, and all else
 * that it sends fails: so it is on Linux, while other systems throw away at shutdown() what has not
 * been received. */
unsigned char wire_hang_up(int fd);
/* A message held a secret: its bytes are wiped, the descriptors in `out` stay. */
void wire_out_wipe(struct wire_out *out);
void wire_receive_wipe(void); /* what the last wire_receive left in its buffer */

/* ---- transport ---- */
enum wire_result { WIRE_OK, WIRE_CLOSED, WIRE_AGAIN, WIRE_ERROR };

/* Why whoever waited for an answer has none, for the log; WIRE_OK: one that is of no use.
 * WIRE_ERROR: errno, still that of the call. Static. */
const char *wire_reason(enum wire_result result);

/* A pair of connected ends, close-on-exec; buffers large enough for WIRE_MESSAGE_MAX. Returns 0 or
 * -1 (errno). */
int wire_pair(int ends[2]);
/* Undoes what whoever had this end before may have set on the socket, for the next who gets it. A
 * shutdown cannot be undone. What is no such end is left alone. */
void wire_reset(int fd);
bool wire_is_shut(int fd); /* by who has this end or the other */
/* The process that made the pair which this is an end of, as the kernel keeps it whoever holds the
 * ends now; 0: not known. */
int wire_maker(int fd);
/* Sends one message. On a blocking descriptor it waits; WIRE_AGAIN only on a non-blocking one. A
 * message that overflowed WIRE_MESSAGE_MAX or holds too many descriptors is a panic: bound your
 * lists. */
enum wire_result wire_send(int fd, const struct wire_out *out);
/* The same without waiting, whatever the descriptor's flags say. For whoever serves many:
 * O_NONBLOCK belongs to the open socket, and who dialled may have kept a copy of the end that was
 * sent to us, to make us wait for ever. */
enum wire_result wire_send_now(int fd, const struct wire_out *out);
/* Receives one message into a static buffer that the next wire_receive of this process overwrites.
 * A truncated or empty packet is WIRE_ERROR (its descriptors are closed). WIRE_CLOSED with errno
 * ECONNRESET: the peer has ended without having read all that was sent to it; 0: it has, or has
 * thrown it away (wire_hang_up), or the kernel does not say. */
enum wire_result wire_receive(int fd, struct wire_in *in);
/* The same, but WIRE_AGAIN when nothing has come within timeout_ms. */
enum wire_result wire_receive_within(int fd, struct wire_in *in, int timeout_ms);
/* The same without waiting. */
enum wire_result wire_receive_now(int fd, struct wire_in *in);
/* Sends, then waits at most timeout_ms for the answer. WIRE_AGAIN: no answer in time
 * (give up the conversation: a late answer would be taken for the next one's). */
enum wire_result wire_call(int fd, const struct wire_out *out, struct wire_in *in, int timeout_ms);

/* ---- private conversations ----
 * Many processes share the descriptor of a wire.  One that wants answers sends a
 * greeting with one end of a fresh pair over it and keeps the other end. */
enum { WIRE_GREETING = 0, WIRE_VERSION = 2 };

/* Returns the private end (blocking), or -1 (errno).  protocol: "spool", "resolve", ... */
/* worker: whose line it is, a number that is unique among the workers of the process that dials; 0:
 * its own. The hub ends an older line of the same worker of the same process. */
int wire_dial(int shared_fd, const char *protocol, uint32_t worker);
/* The same, but -1 instead of waiting when the hub has not taken the greetings before this one. */
int wire_dial_now(int shared_fd, const char *protocol, uint32_t worker);
/* Decodes a greeting: the private end, or -1 when it is not one of this protocol and version. */
int wire_accept(struct wire_in *in, const char *protocol, uint32_t *worker);

#endif
