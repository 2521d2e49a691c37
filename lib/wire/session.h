/* SPDX-License-Identifier: ISC */
/*
 * What is known of an open session of somebody who has logged in, and who tells whom: smtpd's
 * workers, the parents of session programs (attendance.h), authd; protocol "session" between the
 * last two.
 *
 *     SESSION_OPEN    smtpd's worker -> its parent, on their line (dial.h): struct session_facts
 *     SESSION_CHECK   parent -> authd: struct session_facts, one behind the other, as many as the
 * packet holds SESSION_END     authd -> parent: u64 id of those that are to end, since their
 * account is not what it was
 *     SESSION_AGAIN   authd -> parent: string account ("": of all): it has another map; tell it of
 * these sessions again
 */
#ifndef LIB_WIRE_SESSION_H
#define LIB_WIRE_SESSION_H

#include "lib/wire/auth.h"

enum session_type { SESSION_OPEN = 16, SESSION_CHECK, SESSION_END, SESSION_AGAIN };

enum { SESSION_BATCH_BYTES = 32768 };

struct owner_session;

struct session_facts {
	uint64_t id; /* connection.id */
	enum connection_service service;
	char account[AUTH_ADDRESS_MAX];
	struct net_address client;
	bool tls;
	uint64_t stamp; /* auth_result.stamp */
};

/* Appends the facts to a packet that has been begun. */
void session_facts_put(struct wire_out *out, const struct session_facts *f);
/* The next ones of a packet; call while in->rest.len. */
bool session_facts_get(struct wire_in *in, struct session_facts *f);

/* Those of a session that master passes on. */
void session_facts_of(const struct owner_session *s, enum connection_service service,
                      struct session_facts *f);

#endif
