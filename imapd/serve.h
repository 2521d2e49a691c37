/* SPDX-License-Identifier: ISC */
/* The session from its first line to its last: reads commands whole, has them run, answers. */
#ifndef IMAPD_SERVE_H
#define IMAPD_SERVE_H

#include "imapd/session.h"

/* Answers the login, serves, says goodbye.  The store is open, the jail shut. */
void serve_session(struct session *s);

#endif
