/* SPDX-License-Identifier: ISC */
/*
 * The listening sockets: which service each is for, and when clients are accepted from it.
 *
 * A service's sockets rest until acceptors_open: until then clients wait in the kernel's queue.
 */
#ifndef MASTER_PORTER_ACCEPTOR_H
#define MASTER_PORTER_ACCEPTOR_H

#include "lib/base/loop.h"
#include "lib/wire/connection.h"

struct acceptor {
	struct watch watch;
	enum connection_service service;
	bool tls;                 /* TLS from the first byte */
	struct net_address local; /* port 0: bound to every address */
};

/* Who connects: fd is the callee's, and blocks; the acceptor stays for ever. */
typedef void acceptor_accepted(const struct acceptor *a, int fd, const struct net_address *client);

/* Before the jail: the descriptors "listen.SERVICE.N". */
void acceptors_take(void);
/* shared: other processes accept from them, too. */
void acceptors_start(struct loop *loop, acceptor_accepted *accepted, bool shared);
/* The services that have a socket, as bits 1 << enum connection_service. */
unsigned acceptors_services(void);
/* This service's clients can be greeted from now on. */
void acceptors_open(enum connection_service service);
/* While full, clients of sockets with TLS from the first byte are left to another process, where
 * there are others; those that none of them takes for a second are accepted all the same. */
void acceptors_set_tls_full(bool full);
/* For good: nothing is accepted any more. */
void acceptors_close(void);

#endif
