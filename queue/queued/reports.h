/* SPDX-License-Identifier: ISC */
/*
 * Which reports are owed to the sender of a message (RFC 3461, RFC 3464), and which could not be
 * made. Reports are deliveries to the bounce agent, which writes them as messages of their own.
 *
 * The sender of mail from the network is whoever a stranger has named there. A stranger can make
 * mail fail at will (by what it says, by its size, by an address that is known to lead nowhere); a
 * report of that would be mail that we send on their order to whom they choose. So such failures
 * are logged and nobody is told; who is told is a sender with an account, on this machine or in a
 * network that may relay, and of mail from the network what no stranger brings about: trouble of
 * systems, networks, protocols and of our own configuration (5.3.n, 5.4.n, 5.5.n, 5.1.2; remote has
 * made 5.1.1 of those with which hosts say that there is no such recipient, refusal.h) at once, and
 * at the end of its lifetime whatever kept putting it off, but for what may be theirs: a loop by
 * what the message says of itself (X.4.6), a size, a full mailbox, a signature. Loops of our maps
 * or of the DNS are X.3.5 for that reason; those of an alias are the postmaster's.
 *
 * That a target of an alias does not exist is no doing of the stranger: it is ours to correct, and
 * mail for somebody here would vanish with every message. The same where it is refused before the
 * text was there, for whatever reason (disabled, relaying denied, our address is in a list): most
 * of these last, and what one stranger's sender brings about costs one report. The postmaster is
 * told, of each target and status once in so long (REFUSAL_UNKNOWN_MS), however many messages it
 * costs.
 */
#ifndef QUEUE_QUEUED_REPORTS_H
#define QUEUE_QUEUED_REPORTS_H

#include "lib/conf/settings.h"
#include "lib/queue/refusals.h"
#include "queue/queued/delivery.h"
#include "queue/queued/journal.h"

struct reports {
	/* Set by the caller. */
	const struct settings *settings;
	struct journal *journal;
	/* Its own. */
	struct refusals told; /* targets of aliases of which the postmaster was told */
};

void reports_start(struct reports *rs);
/* May the sender hear that it failed; status: of the attempt that was the last. */
bool reports_may_tell(const struct message *m, const struct recipient *r, const char *status);
/* May the sender not, and is it the postmaster's to know?  before_text: as in struct job_result. */
bool reports_is_postmasters(const struct message *m, const struct recipient *r, const char *status,
                            bool before_text);

/* Both add what they make to m->deliveries; the caller gives it to the agent.
 * Of everybody who failed, or was delivered and asked for a report, and is in none yet. */
void reports_make(struct reports *rs, struct message *m);
/* The delay notice, when it is due: nothing else of the message may be on its way. */
void reports_notice(struct reports *rs, struct message *m);
/* A report that goes back without an attempt: of this recipient it is still owed. */
void reports_given_back(struct reports *rs, const struct delivery *d, const struct recipient *r);
/* What became of a report, for one of its recipients. */
void reports_result(struct reports *rs, struct delivery *d, struct recipient *r,
                    const struct job_result *result);

#endif
