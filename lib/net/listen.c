/* SPDX-License-Identifier: ISC */
#include "lib/net/listen.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	BACKLOG = 4096 /* the kernel cuts it to somaxconn: a burst of clients must not wait for SYN
	                  retries */
};

/* family 0: every address of the machine, both families in one socket where there is IPv6. An IPv6
 * address is itself alone: 0.0.0.0:25 may stand beside [::]:25. */
static int open_socket(const struct net_address *address, struct sockaddr_storage *ss,
                       socklen_t *len)
{
	struct net_address wanted = *address;
	int alone = address->family == 6, fd = -1;

	if (address->family != 4) {
		wanted.family = 6;
		fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	}
	if (fd >= 0) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &alone, sizeof alone);
	} else if (address->family != 6) {
		wanted.family = 4;
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	}
	*len = net_address_to_sockaddr(&wanted, ss);
	return fd;
}

int net_listen(const struct net_address *address, struct reason *why)
{
	char text[NET_ADDRESS_TEXT_MAX];
	struct sockaddr_storage ss;
	socklen_t len;
	int on = 1, fd = open_socket(address, &ss, &len);

	net_address_text(address, text);
	if (fd < 0)
		return fail_errno(why, "a socket for %s port %u", text, address->port);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&ss, len) < 0 || listen(fd, BACKLOG) < 0) {
		fail_errno(why, "binding %s port %u (is another mail server running?)",
		           address->family ? text : "*", address->port);
		close(fd);
		return -1;
	}
	return fd;
}

bool net_take_no_descriptors(int fd)
{
	/* The same number on the machines that have a sandbox; older headers lack the name. */
#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__))
	enum { PASS_RIGHTS = 83 }; /* SO_PASSRIGHTS */
	int off = 0;

	return setsockopt(fd, SOL_SOCKET, PASS_RIGHTS, &off, sizeof off) == 0;
#else
	(void)fd;
	return false;
#endif
}

int net_listen_local(const char *directory, const char *name, unsigned mode, gid_t gid,
                     struct reason *why)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	if (!string_format(un.sun_path, sizeof un.sun_path, "%s/%s", directory, name))
		return fail(why, "%s/%s: longer than a socket's path may be (%zu bytes)", directory,
		            name, sizeof un.sun_path - 1);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return fail_errno(why, "a socket");
	net_take_no_descriptors(fd);
	unlink(un.sun_path);
	if (bind(fd, (struct sockaddr *)&un, sizeof un) < 0 || listen(fd, BACKLOG) < 0 ||
	    (gid != (gid_t)-1 && chown(un.sun_path, (uid_t)-1, gid) < 0) ||
	    chmod(un.sun_path, mode) < 0) {
		fail_errno(why, "the socket %s", un.sun_path);
		close(fd);
		return -1;
	}
	return fd;
}
