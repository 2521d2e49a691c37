/* SPDX-License-Identifier: ISC */
/*
 * The one skeleton of every service: a parent that forks workers, each of which
 * serves one session or job after another, straight-line and blocking. (What a
 * hub has workers of its own for is in tasks.h.)
 *
 * Two ways, by who knows how many are needed:
 *   asks    each worker has a line of its own to the hub (porter, queued), waits
 *           there for work, and says WIRE_DONE when idle again; the hub tells the
 *           parent to grow.
 *   forks   the parent itself receives each message from the wire and forks a
 *           worker for it, which ends with it: mailbox sessions, which narrow
 *           themselves to one mailbox and so can serve only one.
 *
 * The parent holds the wires and "master"; a worker holds none. It has its line to the hub, its
 * job's descriptors, and, where there are `dials` (dial.h), a line to its parent, over which it
 * asks for lines to what stands there: a captured worker has at most one line to each of them, gets
 * no more clients or jobs than one worker, reads none of what is meant for others, and spoils no
 * socket that another one uses. It is jailed (jail.h) before it does anything else.
 *
 * SIGTERM (stop) and SIGHUP (a successor has been started: finish and go):
 * the parent takes no more work (one that forks takes at SIGHUP what is already in its wire, which
 * nobody else reads), tells its workers, and exits 0 when the last has gone; those that are still
 * there some seconds after SIGTERM are killed.  A worker in a job finishes it; on SIGTERM the input
 * of a session registered with worker_session is shut down, so that it sees its client leave.
 * So it is on SIGUSR1, which ends this one session.
 */
#ifndef LIB_WIRE_WORKER_H
#define LIB_WIRE_WORKER_H

#include "lib/base/sandbox.h"
#include "lib/wire/dial.h"
#include "lib/wire/owner.h"
#include "lib/wire/session.h"
#include "lib/wire/wire.h"

struct worker_service {
	const char *wire; /* the shared wire to the hub: "porter.connection" (one or, with suffixes
	                   * .0 .1 ..., several: a worker belongs to one of them), "queued.job",
	                   * "master" */
	const char *protocol;         /* of wire_dial; "asks" only */
	struct dial dials[DIALS_MAX]; /* what else a worker reaches; wires that this house lacks are
	                               * passed over */
	/* What a worker may: its parent's promises are less SANDBOX_FORK what they are for it too;
	 * limits as in jail.h. A session that is shut into one mailbox narrows it in work(), before
	 * it has read a byte of a stranger's. */
	struct sandbox_profile profile;
	bool forks;
	/* Whose sessions they are: the parent keeps their attendance (attendance.h). "forks": each
	 * message is a struct owner_session of this service. "asks": workers say of whom they have
	 * learnt who it is (worker_knows). */
	bool sessions;
	enum connection_service service;
	/* "forks": what the client of a session that is one too many is told. NULL: further
	 * messages wait in the wire. */
	void (*full)(const struct owner_session *s, struct text *words);
	bool answers; /* work() itself sends the message that tells the hub the job is over: no
	                 WIRE_DONE is sent */
	unsigned workers_min; /* started at once and kept, for each wire; "asks" only */
	unsigned workers_max;
	/* Descriptors that all processes of its uid may have sent and nobody received yet: the
	 * kernel counts them for the uid, against the limit of the one who sends (unix(7),
	 * ETOOMANYREFS). For workers that send some: each may have as many, beside its
	 * own, if the profile does not say more. */
	unsigned in_flight;
	unsigned reuse; /* sessions or jobs before a worker ends; 0: no end */
	int idle_ms;    /* a worker above workers_min ends after this long without work; 0: never */
	int quit_when_idle_ms; /* the parent exits 0 after this long without a worker; 0: never
	                          (owner services) */
	/* The hub (porter) is replaced by the same reload: workers stay until the old one lets them
	 * go, since it has clients of its own for them that have been greeted and have not spoken
	 * yet. */
	bool stays_for_hub;
	/* Once, when an "asks" worker has been idle for pause_ms: let go of what only the next job
	 * could have used (remote's kept connection). NULL: none. */
	int pause_ms;
	void (*pause)(void);
	/* In the parent before the first fork, for each wire, and again when a hub that was started
	 * anew asks (WIRE_ANNOUNCE): what it must be told (porter's greeting); may be NULL. */
	void (*announce)(int shared_fd);
	/* One session or job: message and (for "asks") the private end to the hub, -1 else. Takes
	 * the descriptors it wants out of `in`; the rest is closed behind it. */
	void (*work)(struct wire_in *in, int hub);
};

/* Does not return: exits 0 after an orderly stop. */
void worker_run(const struct worker_service *service) __attribute__((noreturn));

/* The client socket of the session in work, -1 at its end (see above). */
void worker_session(int fd);
/* Has the worker been told to stop (SIGTERM: not by a reload), or its session to end? For loops
 * that are not waiting for a client. */
bool worker_stopping(void);
/* Was it that session alone, by the administrator's order? */
bool worker_session_ended(void);
/* "asks": who has logged in. The worker ends with this session, so that an order to end it meets no
 * other. */
void worker_knows(const struct session_facts *facts);

#endif
