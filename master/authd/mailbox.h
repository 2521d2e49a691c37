/* SPDX-License-Identifier: ISC */
/* A client whose password is right goes to master, for the program that may open this mailbox
 * (lib/wire/owner.h). */
#ifndef MASTER_AUTHD_MAILBOX_H
#define MASTER_AUTHD_MAILBOX_H

#include "lib/conf/users.h"
#include "lib/wire/auth.h"
#include "lib/wire/wire.h"

struct mailbox_session {
	const struct auth_begin *begin; /* pop3 or imap, with the client's descriptors */
	const char *address;            /* the account */
	struct view pending;            /* what the client has sent behind its command */
	const struct user *user;
	uint64_t stamp; /* account_stamp */
};

/* WIRE_OK; WIRE_AGAIN: master's wire, which does not block, has no room for it now; else it has
 * been logged why not. The descriptors stay the caller's. */
enum wire_result mailbox_hand_over(int master_fd, const struct mailbox_session *m);

#endif
