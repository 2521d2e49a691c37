/* SPDX-License-Identifier: ISC */
/* The table of the house: every program and every wire. Reading house.c is reading the
 * architecture. */
#ifndef MASTER_HOUSE_H
#define MASTER_HOUSE_H

#include <stdbool.h>

#include "lib/conf/accounts.h"

enum house_program {
	HOUSE_LOGD,
	HOUSE_KEYD,
	HOUSE_DNSD,
	HOUSE_RESOLVED,
	HOUSE_AUTHD,
	HOUSE_QUEUED,
	HOUSE_BOUNCE,
	HOUSE_REMOTE,
	HOUSE_PICKUP,
	HOUSE_SMTPD,
	HOUSE_POP3_LOGIN,
	HOUSE_IMAP_LOGIN,
	HOUSE_PORTER,
	HOUSE_RESIDENT, /* their number; the ones below run under mailbox owners, at need */
	HOUSE_POP3D = HOUSE_RESIDENT,
	HOUSE_IMAPD,
	HOUSE_LOCAL,
	HOUSE_PROGRAMS
};

/* The directory a program is jailed in. */
enum house_root { ROOT_NONE, ROOT_EMPTY, ROOT_QUEUE, ROOT_DROP };

/* What ends first at an orderly stop: those who bring work, then those who do it, then those they
 * ask. */
enum house_stage {
	STAGE_SESSIONS,
	STAGE_PORTER,
	STAGE_AGENTS,
	STAGE_QUEUE,
	STAGE_SERVANTS,
	STAGE_LOG, /* so that the last words of all others are in it */
	STAGES
};

struct house_row {
	const char *name;
	enum account account; /* vmail stands for "the mailbox's owner" */
	enum house_root root;
	enum house_stage stage;
	bool listens;     /* gets the Internet listeners */
	bool several;     /* porter.processes of them */
	bool submit;      /* gets the local submission socket */
	bool keys;        /* gets the directory of private keys */
	bool lives_on;    /* told of a reload (lib/wire/master.h), not replaced */
	bool by_wire;     /* an owner's: each word starts one, with the wire that came with it */
	unsigned kept_kb; /* of memory that outlives it at a reload (kept.h) */
	bool sessions;    /* its parents know who is there (lib/wire/attendance.h) */
	unsigned may_ask; /* owner programs that it may have started: bits of 1 << enum
	                     owner_program */
};

struct house_wire {
	enum house_program from, to;
	const char *protocol;
};

extern const struct house_row house[HOUSE_PROGRAMS];
extern const struct house_wire house_wires[];
extern const unsigned house_wire_count;

#endif
