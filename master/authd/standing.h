/* SPDX-License-Identifier: ISC */
/*
 * Do the accounts of open sessions still stand as they did at their login? The parents of smtpd,
 * pop3d and imapd ask once for each session, and anew when this authd, or the one before it, had
 * another map (lib/wire/session.h).
 */
#ifndef MASTER_AUTHD_STANDING_H
#define MASTER_AUTHD_STANDING_H

struct loop;

/* Serves the wires "PROGRAM.session" that this house has. */
void standing_start(struct loop *loop);
/* The sessions of this account ("": all) are to be told of again: its entry is another. */
void standing_again(const char *account);

#endif
