/* SPDX-License-Identifier: ISC */
/* Sockets that are listened on; close-on-exec and without waiting. */
#ifndef LIB_NET_LISTEN_H
#define LIB_NET_LISTEN_H

#include <stdbool.h>
#include <sys/types.h>

#include "lib/base/reason.h"
#include "lib/net/address.h"

/* Streams at an address and its port; -1 with the reason. */
int net_listen(const struct net_address *address, struct reason *why);
/* A SOCK_SEQPACKET socket at DIRECTORY/NAME, replacing one that an earlier life left; gid -1: the
 * process's own. -1 with the reason. */
int net_listen_local(const char *directory, const char *name, unsigned mode, gid_t gid,
                     struct reason *why);

/* Who holds the other end of this local socket cannot send descriptors to it (Linux 6.16); of a
 * listener (net_listen_local has done it): of those that it accepts. For all ends that get none:
 * they would have to be closed, which may take long (wire_close_given), and while they lie there
 * unread the kernel counts them against every process of the sender's uid. false: this kernel
 * cannot. */
bool net_take_no_descriptors(int fd);

#endif
