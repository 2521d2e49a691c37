/* SPDX-License-Identifier: ISC */
#include "master/house.h"

#include "lib/wire/owner.h"

#define OWNS(program) (1u << OWNER_##program)

const struct house_row house[HOUSE_PROGRAMS] = {
	/* clang-format off */
	[HOUSE_LOGD]       = { "logd",       ACCOUNT_logd,    ROOT_EMPTY, .stage = STAGE_LOG, .lives_on = true },
	[HOUSE_KEYD]       = { "keyd",       ACCOUNT_keyd,    ROOT_EMPTY, .stage = STAGE_SERVANTS, .keys = true },
	[HOUSE_DNSD]       = { "dnsd",       ACCOUNT_dnsd,    ROOT_EMPTY, .stage = STAGE_SERVANTS },
	[HOUSE_RESOLVED]   = { "resolved",   ACCOUNT_resolve, ROOT_EMPTY, .stage = STAGE_SERVANTS },
	[HOUSE_AUTHD]      = { "authd",      ACCOUNT_authd,   ROOT_EMPTY, .stage = STAGE_SERVANTS, .kept_kb = 4096, .may_ask = OWNS(POP3D) | OWNS(IMAPD) },
	[HOUSE_QUEUED]     = { "queued",     ACCOUNT_queue,   ROOT_QUEUE, .stage = STAGE_QUEUE, .lives_on = true, .may_ask = OWNS(LOCAL) },
	[HOUSE_BOUNCE]     = { "bounce",     ACCOUNT_bounce,  ROOT_EMPTY, .stage = STAGE_AGENTS },
	[HOUSE_REMOTE]     = { "remote",     ACCOUNT_remote,  ROOT_EMPTY, .stage = STAGE_AGENTS },
	[HOUSE_PICKUP]     = { "pickup",     ACCOUNT_drop,    ROOT_DROP,  .stage = STAGE_SESSIONS, .submit = true },
	[HOUSE_SMTPD]      = { "smtpd",      ACCOUNT_smtpd,   ROOT_EMPTY, .stage = STAGE_SESSIONS, .sessions = true },
	[HOUSE_POP3_LOGIN] = { "pop3-login", ACCOUNT_login,   ROOT_EMPTY, .stage = STAGE_SESSIONS },
	[HOUSE_IMAP_LOGIN] = { "imap-login", ACCOUNT_login,   ROOT_EMPTY, .stage = STAGE_SESSIONS },
	[HOUSE_PORTER]     = { "porter",     ACCOUNT_porter,  ROOT_EMPTY, .stage = STAGE_PORTER, .listens = true, .several = true, .kept_kb = 4 },
	[HOUSE_POP3D]      = { "pop3d",      ACCOUNT_vmail,   ROOT_NONE,  .stage = STAGE_SESSIONS, .sessions = true },
	[HOUSE_IMAPD]      = { "imapd",      ACCOUNT_vmail,   ROOT_NONE,  .stage = STAGE_SESSIONS, .sessions = true },
	[HOUSE_LOCAL]      = { "local",      ACCOUNT_vmail,   ROOT_NONE,  .stage = STAGE_AGENTS, .by_wire = true },
	/* clang-format on */
};

/* What has no wire cannot be reached.  Every program has one more, to master. Of a wire that begins
 * at owners' programs, which are of many uids, master keeps that end, and dials for them. */
const struct house_wire house_wires[] = {
	{ HOUSE_PORTER, HOUSE_KEYD, "sign" },
	{ HOUSE_PORTER, HOUSE_SMTPD, "connection" },
	{ HOUSE_PORTER, HOUSE_POP3_LOGIN, "connection" },
	{ HOUSE_PORTER, HOUSE_IMAP_LOGIN, "connection" },
	{ HOUSE_SMTPD, HOUSE_AUTHD, "auth" },
	{ HOUSE_POP3_LOGIN, HOUSE_AUTHD, "auth" },
	{ HOUSE_IMAP_LOGIN, HOUSE_AUTHD, "auth" },
	{ HOUSE_SMTPD, HOUSE_AUTHD, "session" },
	{ HOUSE_POP3D, HOUSE_AUTHD, "session" },
	{ HOUSE_IMAPD, HOUSE_AUTHD, "session" },
	{ HOUSE_SMTPD, HOUSE_RESOLVED, "resolve" },
	{ HOUSE_PICKUP, HOUSE_RESOLVED, "resolve" },
	{ HOUSE_QUEUED, HOUSE_RESOLVED, "resolve" },
	{ HOUSE_SMTPD, HOUSE_QUEUED, "spool" },
	{ HOUSE_PICKUP, HOUSE_QUEUED, "spool" },
	{ HOUSE_BOUNCE, HOUSE_QUEUED, "spool" },
	{ HOUSE_QUEUED, HOUSE_REMOTE, "job" },
	{ HOUSE_QUEUED, HOUSE_BOUNCE, "job" },
	{ HOUSE_REMOTE, HOUSE_DNSD, "dns" },
	{ HOUSE_SMTPD, HOUSE_DNSD, "dns" },
};
const unsigned house_wire_count = sizeof house_wires / sizeof house_wires[0];
