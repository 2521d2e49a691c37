/* SPDX-License-Identifier: ISC */
/* Words to the service manager: sd_notify(3)'s datagram, without its library. */
#ifndef LIB_BASE_NOTIFY_H
#define LIB_BASE_NOTIFY_H

#include "lib/base/reason.h"

/* Sends to $NOTIFY_SOCKET (a path, or an abstract name behind "@"); 0 also when nobody asked for
 * it. */
int notify_manager(const char *word, struct reason *why);

#endif
