/* SPDX-License-Identifier: ISC */
/* A POP3 session behind the login: what pop3d.c opens and ends, and what its commands do. */
#ifndef POP3D_SESSION_H
#define POP3D_SESSION_H

#include "lib/net/stream.h"
#include "lib/store/folder.h"
#include "lib/wire/owner.h"

enum mark { MARK_NONE = 0, MARK_DELETED = 1, MARK_READ = 2, MARK_UNREADABLE = 4 };

struct session {
	struct stream stream;
	const struct owner_session *who;
	const char *command; /* the one in work, for the log */
	struct store *store;
	struct folder *inbox;
	uint32_t count;       /* messages of this session: numbers never change */
	unsigned char *marks; /* enum mark, by message */
	unsigned errors;
	uint64_t retrieved;
	uint32_t removed;
	bool begun, over;
};

/* One line of the client's. */
void session_command(struct session *s, struct view line);
/* -ERR; too many of them end the session. */
void session_bad(struct session *s, const char *text);
/* The world's fault, not the client's (RFC 3206). */
void session_say_unavailable(struct session *s);
const char *session_account(const struct session *s); /* for the log */

#endif
