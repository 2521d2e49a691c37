/* SPDX-License-Identifier: ISC */
/*
 * authd, queued -> master: work for a program that runs under a mailbox owner's uid.
 *
 * One message on the wire to master. master reads only program, uid and gid (which program may be
 * asked for by whom stands in master/house.c; never uid 0, only mailbox.uid-min..max) and passes
 * the rest and the descriptors as they are to that program under that uid, starting it first when
 * it does not run.
 *
 * pop3d, imapd: `rest` is a struct owner_session. local: the message carries one descriptor, the
 * private end of a new wire between queued and that local (protocol "job"; rest is empty): local's
 * parent takes it as its "queued".
 */
#ifndef LIB_WIRE_OWNER_H
#define LIB_WIRE_OWNER_H

#include "lib/wire/auth.h"

enum owner_type { OWNER_WORK = 16 };

enum owner_program { OWNER_POP3D, OWNER_IMAPD, OWNER_LOCAL, OWNER_PROGRAMS };

struct owner_work {
	enum owner_program program;
	uint32_t uid, gid;
	struct view rest;
	int fds[WIRE_FDS_MAX]; /* passed on untouched */
	unsigned fd_count;
};

void owner_work_put(struct wire_out *out, const struct owner_work *w);
bool owner_work_get(struct wire_in *in, struct owner_work *w); /* takes the descriptors */

/* What pop3d and imapd are given. */
struct owner_session {
	int fd;    /* the client; the receiver's now */
	int token; /* closed at the end of the session, -1: none (connection.h) */
	char address[AUTH_ADDRESS_MAX]; /* the account, for the log and as identity */
	char home[HOME_MAX];            /* absolute; the Maildir is home/Maildir */
	char tag[AUTH_TAG_MAX];
	struct view pending;
	uint64_t id;
	struct net_address client;
	struct connection_tls tls;
	uint64_t quota_bytes; /* 0: none */
	uint64_t stamp;       /* of the account (session.h) */
};

/* The message that reaches the program (type OWNER_WORK): these fields and the descriptors. authd
 * sends master the same bytes behind the type as `rest`. get: the views live as long as the
 * packet. */
void owner_session_put(struct wire_out *out, const struct owner_session *s);
bool owner_session_get(struct wire_in *in, struct owner_session *s);

#endif
