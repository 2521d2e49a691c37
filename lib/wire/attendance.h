/* SPDX-License-Identifier: ISC */
/*
 * Who is there: the open sessions of a session program (smtpd, pop3d, imapd), as its parent knows
 * them (worker.h).
 *
 * It tells them to whoever asks over the control socket, and ends them on the same order
 * (MASTER_SESSIONS, control.h) or when authd says so. authd is told of every session, once, and
 * again as soon as it has been replaced or has another map: of as many as a packet holds in one
 * round of the loop. The line to it the parent makes where it has a wire, and
 * else asks master for (MASTER_DIAL).
 *
 * A session that is to end is told so (SIGUSR1), and killed when it is still there
 * after a while, as one is whose client does not read.
 */
#ifndef LIB_WIRE_ATTENDANCE_H
#define LIB_WIRE_ATTENDANCE_H

#include <sys/types.h>

#include "lib/base/loop.h"
#include "lib/wire/session.h"

struct attendance;
struct attendant; /* one session */

struct attendance *attendance_new(struct loop *loop);

struct attendant *attendance_enter(struct attendance *a, const struct session_facts *facts,
                                   pid_t worker);
/* It is over; harmless when there is none. */
void attendance_leave(struct attendance *a, struct attendant **s);

/* MASTER_SESSIONS, MASTER_DIALLED; whatever else it is has a line in the log. */
void attendance_master_said(struct attendance *a, struct wire_in *in);

#endif
