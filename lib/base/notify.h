/* SPDX-License-Identifier: ISC */
/* Words to those who wait for a start: who started us, over a descriptor of theirs, and the service
 * manager, by sd_notify(3)'s datagram without its library. */
#ifndef LIB_BASE_NOTIFY_H
#define LIB_BASE_NOTIFY_H

#include "lib/base/reason.h"

/* Sends to $NOTIFY_SOCKET (a path, or an abstract name behind "@"); 0 also when nobody asked for
 * it. */
int notify_manager(const char *word, struct reason *why);
/* "ready" to both; *starter (-1: none) is closed. Nobody being there is only logged. */
void notify_ready(int *starter);

#endif
