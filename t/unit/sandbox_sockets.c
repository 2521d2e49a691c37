/* SPDX-License-Identifier: ISC */
/* The sandbox: sockets that a program may make and those that it was given, and pipes. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include "t/unit/sandboxed.h"

static struct sockaddr_in listener_address;
static int listener;

/* ---- what is tried: 0 or -1 ---- */

static int try_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static int try_connect(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd < 0 ? -1
	              : connect(fd, (struct sockaddr *)&listener_address, sizeof listener_address);
}

static int try_listen(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET,
		                   .sin_port = htons(20000 + (in_port_t)(getpid() % 10000)) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof any) < 0 ? -1 : listen(fd, 1);
}

static int try_local_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static int try_packet_socket(void)
{
	return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static int try_accept(void)
{
	fcntl(listener, F_SETFL, O_NONBLOCK);
	/* The attempt to connect may have left somebody waiting. */
	return accept(listener, NULL, NULL) >= 0 || errno == EAGAIN ? 0 : -1;
}

/* The kernel would send it when the descriptor becomes ready. */
static int try_signal_by_descriptor(void)
{
	return fcntl(given_pair[0], F_SETOWN, getppid());
}

static int try_choose_signal(void)
{
	return fcntl(listener, F_SETSIG, SIGKILL);
}

static int try_filter(void)
{
	int on = 1;

	return setsockopt(given_pair[0], SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof on);
}

static int set_option(int level, int option)
{
	int on[4] = { 0 };

	return setsockopt(given_pair[0], level, option, on, sizeof on) < 0 && errno == ENOSYS ? -1
	                                                                                      : 0;
}

/* Who receives the socket would wait in close(). */
static int try_linger(void)
{
	return set_option(SOL_SOCKET, SO_LINGER);
}

static int try_process_descriptors(void)
{
	return set_option(SOL_SOCKET, 76 /* SO_PASSPIDFD */);
}

static int try_upper_protocol(void)
{
	return set_option(IPPROTO_TCP, 31 /* TCP_ULP */);
}

static int try_no_delay(void)
{
	return set_option(IPPROTO_TCP, TCP_NODELAY);
}

static int try_packet_options(void)
{
	return set_option(IPPROTO_IP, IP_TOS);
}

static int try_other_protocol(void)
{
	return socket(AF_INET, SOCK_STREAM, 262 /* IPPROTO_MPTCP */);
}

static int try_socket_options(void)
{
	struct timeval t = { 1, 0 };

	return fcntl(given_pair[0], F_SETFL, O_NONBLOCK) == 0 &&
	                       setsockopt(given_pair[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t) == 0
	               ? 0
	               : -1;
}

/* A pipe that siblings write to as well. */
static int set_flags(int flags)
{
	int ends[2];

	return pipe2(ends, O_NONBLOCK) == 0 ? fcntl(ends[1], F_SETFL, flags) : 0;
}

static int try_wait_again(void)
{
	return set_flags(0);
}

static int try_packets(void)
{
	return set_flags(O_NONBLOCK | O_DIRECT);
}

static int try_signals(void)
{
	return set_flags(O_NONBLOCK | O_ASYNC);
}

static int try_wait_by_control(void)
{
	int ends[2], off = 0;

	return pipe2(ends, O_NONBLOCK) == 0 ? ioctl(ends[1], FIONBIO, &off) : 0;
}

static int try_smaller_pipe(void)
{
	int ends[2];

	return pipe2(ends, O_NONBLOCK) == 0 ? fcntl(ends[1], F_SETPIPE_SZ, 4096) : 0;
}

static int try_pair(void)
{
	int pair[2];

	return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair);
}

static int try_pair_narrowed(void)
{
	static const struct sandbox_profile wider = { 0 };

	sandbox_enter(&wider);
	return try_pair();
}

static const struct attempt attempts[] = {
	{ "make a socket", try_socket, SET(CONNECTS), FAILED },
	{ "connect", try_connect, SET(CONNECTS), FAILED },
	{ "listen", try_listen, 0, FAILED },
	{ "make a local socket", try_local_socket, 0, FAILED },
	{ "make a raw socket", try_packet_socket, 0, FAILED },
	{ "accept", try_accept, SET(ACCEPTS), FAILED },
	{ "signal another by a descriptor", try_signal_by_descriptor, 0, FAILED },
	{ "choose that signal", try_choose_signal, 0, FAILED },
	{ "lock a socket's filter", try_filter, 0, FAILED },
	{ "let a socket linger", try_linger, SET(LINGERS), FAILED },
	{ "ask for descriptors of processes", try_process_descriptors, 0, FAILED },
	{ "put a protocol above TCP", try_upper_protocol, 0, FAILED },
	{ "send without delay", try_no_delay, ALL, FAILED },
	{ "set options of packets", try_packet_options, SET(CONNECTS), FAILED },
	{ "make a socket of another protocol", try_other_protocol, 0, FAILED },
	{ "set a socket's options", try_socket_options, ALL, FAILED },
	{ "make a pipe wait that does not", try_wait_again, SET(CONNECTS), FAILED },
	{ "make it wait by ioctl", try_wait_by_control, 0, FAILED },
	{ "make it one of packets", try_packets, 0, FAILED },
	{ "make it send signals", try_signals, 0, FAILED },
	{ "make it smaller", try_smaller_pipe, 0, FAILED },
	{ "make a pair of sockets", try_pair, ALL & ~SET(WORKS), FAILED },
	{ "make one after narrowing", try_pair_narrowed, ALL & ~SET(WORKS), FAILED },
};

static void prepare_listener(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET,
		                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof listener_address;

	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bind(listener, (struct sockaddr *)&any, sizeof any);
	listen(listener, 1);
	getsockname(listener, (struct sockaddr *)&listener_address, &len);
}

int main(void)
{
	if (!begin())
		return 0;
	prepare_listener();
	TRY_ALL(attempts);
	clean();
	return tap_done();
}
