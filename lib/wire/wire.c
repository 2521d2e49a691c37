/* SPDX-License-Identifier: ISC */
#include "lib/wire/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/base/file.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"

void wire_begin(struct wire_out *out, unsigned char type)
{
	if (out->bytes.raw == NULL)
		text_init(&out->bytes, WIRE_MESSAGE_MAX);
	text_clear(&out->bytes);
	out->fd_count = 0;
	wire_put_byte(out, type);
}

static void put_number(struct wire_out *out, uint64_t n, unsigned bytes)
{
	char b[8];

	number_put_little(b, n, bytes);
	text_add(&out->bytes, (struct view){ b, bytes });
}

void wire_put_byte(struct wire_out *out, uint8_t n)
{
	put_number(out, n, 1);
}

void wire_put_u16(struct wire_out *out, uint16_t n)
{
	put_number(out, n, 2);
}

void wire_put_u32(struct wire_out *out, uint32_t n)
{
	put_number(out, n, 4);
}

void wire_put_u64(struct wire_out *out, uint64_t n)
{
	put_number(out, n, 8);
}

void wire_put_view(struct wire_out *out, struct view v)
{
	wire_put_u32(out, (uint32_t)v.len);
	text_add(&out->bytes, v);
}

void wire_put_string(struct wire_out *out, const char *s)
{
	wire_put_view(out, view_of(s));
}

void wire_put_fd(struct wire_out *out, int fd)
{
	if (out->fd_count == WIRE_FDS_MAX)
		log_panic("a message with more than %d descriptors", WIRE_FDS_MAX);
	out->fds[out->fd_count++] = fd;
}

void wire_out_free(struct wire_out *out)
{
	if (out->bytes.raw != NULL)
		text_free(&out->bytes);
	*out = (struct wire_out){ 0 };
}

static uint64_t get_number(struct wire_in *in, unsigned bytes)
{
	if (in->bad || in->rest.len < bytes) {
		in->bad = true;
		return 0;
	}
	uint64_t n = number_get_little(in->rest.data, bytes);

	in->rest = view_skip(in->rest, bytes);
	return n;
}

uint8_t wire_get_byte(struct wire_in *in)
{
	return (uint8_t)get_number(in, 1);
}

uint16_t wire_get_u16(struct wire_in *in)
{
	return (uint16_t)get_number(in, 2);
}

uint32_t wire_get_u32(struct wire_in *in)
{
	return (uint32_t)get_number(in, 4);
}

uint64_t wire_get_u64(struct wire_in *in)
{
	return get_number(in, 8);
}

bool wire_get_bool(struct wire_in *in)
{
	uint8_t n = wire_get_byte(in);

	if (n > 1)
		in->bad = true;
	return n == 1;
}

struct view wire_get_view(struct wire_in *in, size_t max)
{
	uint32_t len = wire_get_u32(in);

	if (in->bad || len > max || len > in->rest.len) {
		in->bad = true;
		return (struct view){ "", 0 };
	}
	struct view v = view_take(in->rest, len);

	in->rest = view_skip(in->rest, len);
	return v;
}

void wire_get_string(struct wire_in *in, char *out, size_t size)
{
	struct view v = wire_get_view(in, size - 1);

	if ((v.len && memchr(v.data, '\0', v.len) != NULL) || !string_copy(out, size, v)) {
		in->bad = true;
		out[0] = '\0';
	}
}

int wire_get_fd(struct wire_in *in)
{
	if (in->bad || in->fds_taken == in->fd_count) {
		in->bad = true;
		return -1;
	}
	return in->fds[in->fds_taken++];
}

bool wire_get_last_fds(struct wire_in *in, int *fds, unsigned count)
{
	if (in->rest.len != 0 || in->fd_count - in->fds_taken != count)
		in->bad = true;
	for (unsigned i = 0; i < count; i++)
		fds[i] = in->bad ? -1 : in->fds[in->fds_taken++];
	return !in->bad;
}

int wire_get_last_fd(struct wire_in *in)
{
	int fd;

	wire_get_last_fds(in, &fd, 1);
	return fd;
}

bool wire_end(const struct wire_in *in)
{
	return !in->bad && in->rest.len == 0 && in->fds_taken == in->fd_count;
}

void wire_close_given(int fd)
{
	struct linger l = { 0 };
	socklen_t len = sizeof l;

	/* Asked first: the filter lets no program set it that gets no strangers' sockets, and
	 * hardly any socket lingers. */
	if (getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len) == 0 && l.l_onoff) {
		l = (struct linger){ 0 };
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
	}
	close(fd);
}

void wire_in_close(struct wire_in *in)
{
	while (in->fds_taken < in->fd_count)
		wire_close_given(in->fds[in->fds_taken++]);
}

void wire_out_wipe(struct wire_out *out)
{
	if (out->bytes.raw != NULL && out->bytes.cap)
		explicit_bzero(out->bytes.raw, out->bytes.len);
}

const char *wire_reason(enum wire_result result)
{
	switch (result) {
	case WIRE_CLOSED: return "connection closed";
	case WIRE_AGAIN: return "timeout";
	case WIRE_ERROR: return errno == EBADMSG ? "invalid response" : strerror(errno);
	default: return "invalid response";
	}
}

enum { SEND_ROOM = 4 * WIRE_MESSAGE_MAX, PASS_RIGHTS = 83 /* SO_PASSRIGHTS */ };

int wire_pair(int ends[2])
{
	int room = SEND_ROOM;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	for (int i = 0; i < 2; i++)
		setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	return 0;
}

int wire_maker(int fd)
{
#ifdef SO_PEERCRED
	struct ucred peer;
	socklen_t len = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
		return (int)peer.pid;
#endif
	(void)fd;
	return 0;
}

static bool is_wire(int fd)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof domain;

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET;
}

void wire_reset(int fd)
{
	/* Those that add to messages or withhold something; older headers lack some names. */
	static const int options_off[] = { 16 /* SO_PASSCRED */,
		                           29 /* SO_TIMESTAMP_OLD */,
		                           34 /* SO_PASSSEC */,
		                           35 /* SO_TIMESTAMPNS_OLD */,
		                           37 /* SO_TIMESTAMPING_OLD */,
		                           40 /* SO_RXQ_OVFL */,
		                           63 /* SO_TIMESTAMP_NEW */,
		                           64 /* SO_TIMESTAMPNS_NEW */,
		                           65 /* SO_TIMESTAMPING_NEW */,
		                           76 /* SO_PASSPIDFD */ };
	int off = 0, on = 1, room = SEND_ROOM, from_the_first = -1;
	struct timeval never = { 0 };

	if (!is_wire(fd))
		return;
	fcntl(fd, F_SETFL, 0);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &never, sizeof never);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &never, sizeof never);
	setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &on, sizeof on);
#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__))
	for (unsigned i = 0; i < sizeof options_off / sizeof options_off[0]; i++)
		setsockopt(fd, SOL_SOCKET, options_off[i], &off, sizeof off);
	setsockopt(fd, SOL_SOCKET, PASS_RIGHTS, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &from_the_first, sizeof from_the_first);
	setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &off, sizeof off);
#else
	(void)options_off, (void)off, (void)from_the_first;
#endif
}

bool wire_is_shut(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };

	/* Most are not, and then what it is needs no look. */
	return poll(&p, 1, 0) == 1 && p.revents & (POLLRDHUP | POLLHUP) && is_wire(fd);
}

static enum wire_result send_with(int fd, const struct wire_out *out, int flags)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int) * WIRE_FDS_MAX)];
	} control = { 0 };
	struct iovec bytes = { out->bytes.raw, out->bytes.len };
	struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1 };
	ssize_t n;

	if (out->bytes.full)
		log_panic("message type %d over %d bytes", out->bytes.raw[0], WIRE_MESSAGE_MAX);
	if (out->fd_count) {
		message.msg_control = control.room;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * out->fd_count);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int) * out->fd_count);
		memcpy(CMSG_DATA(&control.head), out->fds, sizeof(int) * out->fd_count);
	}
	do
		n = sendmsg(fd, &message, flags | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return WIRE_OK;
	if (errno == EAGAIN)
		return WIRE_AGAIN;
	/* ECONNREFUSED: before Linux 6.2, of one that ends at this moment. */
	return errno == EPIPE || errno == ECONNRESET || errno == ECONNREFUSED ? WIRE_CLOSED
	                                                                      : WIRE_ERROR;
}

enum wire_result wire_send(int fd, const struct wire_out *out)
{
	return send_with(fd, out, 0);
}

enum wire_result wire_send_now(int fd, const struct wire_out *out)
{
	return send_with(fd, out, MSG_DONTWAIT);
}

/* A descriptor of the sender's process (Linux 6.5), for whoever's end was set to ask for it: also
 * by who made the pair. The same number on all machines; older headers lack the name. */
enum { PIDFD_MESSAGE = 4 }; /* SCM_PIDFD */
/* Beside it whoever has or had an end that we read can make the kernel add the sender's number, the
 * time, a label. There is room for these, so that they do not crowd out descriptors that were sent.
 */
enum { UNASKED_BYTES = 1024 };

/* Collects descriptors; true when none was lost. */
static bool take_fds(struct msghdr *message, struct wire_in *in)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != SOL_SOCKET ||
		    (c->cmsg_type != SCM_RIGHTS && c->cmsg_type != PIDFD_MESSAGE))
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (c->cmsg_type == SCM_RIGHTS && in->fd_count < WIRE_FDS_MAX)
				in->fds[in->fd_count++] = fd;
			else if (fd >= 0)
				wire_close_given(fd);
		}
	}
	return (message->msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
}

static char buffer[WIRE_MESSAGE_MAX];
static size_t buffer_used;

void wire_receive_wipe(void)
{
	explicit_bzero(buffer, buffer_used);
}

/* Nothing was read: the end, or a packet without a byte, which no program of ours sends. Taken for
 * the end it would let a captured program make its hub deaf to all others on the same wire. */
static enum wire_result nothing_left(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };

	if (poll(&p, 1, 0) != 0) {
		errno = 0;
		return WIRE_CLOSED;
	}
	errno = EBADMSG;
	return WIRE_ERROR;
}

static enum wire_result receive(int fd, struct wire_in *in, int flags)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int) * WIRE_FDS_MAX) + UNASKED_BYTES];
	} control;
	struct iovec bytes = { buffer, sizeof buffer };
	struct msghdr message = { .msg_iov = &bytes,
		                  .msg_iovlen = 1,
		                  .msg_control = control.room,
		                  .msg_controllen = sizeof control.room };
	ssize_t n;

	*in = (struct wire_in){ .rest = { buffer, 0 } };
	do
		n = recvmsg(fd, &message, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN       ? WIRE_AGAIN
		       : errno == ECONNRESET ? WIRE_CLOSED
		                             : WIRE_ERROR;
	if (!take_fds(&message, in)) {
		/* Those for which there was no number are gone. */
		if (message.msg_flags & MSG_CTRUNC)
			limit_reached(LIMIT_DESCRIPTORS);
		wire_in_close(in);
		errno = EMSGSIZE;
		return WIRE_ERROR;
	}
	if (n == 0) {
		wire_in_close(in);
		return nothing_left(fd);
	}
	buffer_used = (size_t)n;
	in->type = (unsigned char)buffer[0];
	in->rest = (struct view){ buffer + 1, (size_t)n - 1 };
	return WIRE_OK;
}

enum wire_result wire_receive(int fd, struct wire_in *in)
{
	return receive(fd, in, 0);
}

/* A packet goes, its descriptors too; the buffer keeps what the caller may still read. false: there
 * was none. With SO_PASSCRED an empty one differs from the end. */
static bool discard(int fd, unsigned char *first)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int) * WIRE_FDS_MAX) +
		          CMSG_SPACE(sizeof(int) * 4 /* credentials */)];
	} control;
	unsigned char byte;
	struct iovec bytes = { &byte, 1 };
	struct msghdr message = { .msg_iov = &bytes,
		                  .msg_iovlen = 1,
		                  .msg_control = control.room,
		                  .msg_controllen = sizeof control.room };
	struct wire_in in = { 0 };
	ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	/* That its peer has gone without having read all comes first, once. */
	if (n < 0 && (errno == EINTR || errno == ECONNRESET))
		return true;
	if (n < 0) {
		if (errno != EAGAIN && *first == 0)
			*first = WIRE_UNREAD;
		return false;
	}
	if (n > 0 && *first == 0)
		*first = byte;
	take_fds(&message, &in);
	wire_in_close(&in);
	return n > 0 || message.msg_controllen > 0;
}

unsigned char wire_hang_up(int fd)
{
	unsigned char first = 0;
	int on = 1;

	/* After this no more can be sent to it. */
	shutdown(fd, SHUT_RDWR);
#ifdef SO_PASSCRED
	setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
#else
	(void)on;
#endif
	while (discard(fd, &first))
		;
	close(fd);
	return first;
}

enum wire_result wire_receive_now(int fd, struct wire_in *in)
{
	return receive(fd, in, MSG_DONTWAIT);
}

static enum wire_result wait_readable(int fd, int timeout_ms)
{
	int ready = file_wait(fd, POLLIN, timeout_ms);

	return ready > 0 ? WIRE_OK : ready == 0 ? WIRE_AGAIN : WIRE_ERROR;
}

enum wire_result wire_receive_within(int fd, struct wire_in *in, int timeout_ms)
{
	enum wire_result r = wait_readable(fd, timeout_ms);

	*in = (struct wire_in){ 0 };
	return r == WIRE_OK ? wire_receive(fd, in) : r;
}

enum wire_result wire_call(int fd, const struct wire_out *out, struct wire_in *in, int timeout_ms)
{
	enum wire_result r = wire_send(fd, out);

	*in = (struct wire_in){ 0 };
	return r == WIRE_OK ? wire_receive_within(fd, in, timeout_ms) : r;
}

static int dial_with(int shared_fd, const char *protocol, uint32_t worker, int flags)
{
	struct wire_out out = { 0 };
	int ends[2];

	if (wire_pair(ends) < 0)
		return -1;
	wire_begin(&out, WIRE_GREETING);
	wire_put_string(&out, protocol);
	wire_put_byte(&out, WIRE_VERSION);
	wire_put_u32(&out, worker);
	wire_put_fd(&out, ends[1]);
	enum wire_result r = send_with(shared_fd, &out, flags);

	wire_out_free(&out);
	close(ends[1]);
	if (r != WIRE_OK) {
		close(ends[0]);
		return -1;
	}
	return ends[0];
}

int wire_dial(int shared_fd, const char *protocol, uint32_t worker)
{
	return dial_with(shared_fd, protocol, worker, 0);
}

int wire_dial_now(int shared_fd, const char *protocol, uint32_t worker)
{
	return dial_with(shared_fd, protocol, worker, MSG_DONTWAIT);
}

/* The greeting may come from a captured program: what is no socket cannot be waited for. */
int wire_accept(struct wire_in *in, const char *protocol, uint32_t *worker)
{
	char named[32];

	if (in->type != WIRE_GREETING)
		return -1;
	wire_get_string(in, named, sizeof named);
	uint8_t version = wire_get_byte(in);
	*worker = wire_get_u32(in);
	if (in->bad || strcmp(named, protocol) != 0 || version != WIRE_VERSION ||
	    in->fd_count != 1 || !is_wire(in->fds[0]))
		return -1;
	return wire_get_last_fd(in);
}
