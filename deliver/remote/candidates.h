/* SPDX-License-Identifier: ISC */
/*
 * The addresses that a message may go to, and which of them one attempt tries: a limit counts what
 * costs time, and no host, family or preference uses up what the others need.
 */
#ifndef DELIVER_REMOTE_CANDIDATES_H
#define DELIVER_REMOTE_CANDIDATES_H

#include "deliver/remote/reply.h"
#include "lib/wire/dns.h"
#include "lib/wire/resolve.h"

enum {
	CANDIDATES_MAX = 200,      /* of one destination; what is beyond them is not known */
	CANDIDATES_SLOW_MAX = 8,   /* addresses of one attempt that may take their time (RFC 5321
	                              section 5.1 asks for two at least) */
	CANDIDATES_QUICK_MS = 500, /* who says no within this costs nothing */
	/* So many of their refusals wait for a better host: some hours, by the defaults. Longer
	 * than a reboot, and not as long as a message may wait. */
	CANDIDATES_PATIENCE = 8
};

struct candidate {
	char host[RESOLVE_HOST_MAX];
	struct net_address address; /* with its port */
	uint16_t preference;        /* smaller ones first */
	uint16_t round;             /* which of its host's addresses of this family */
	bool refused;               /* for good, before any message was offered */
	bool passed_over;           /* its family has no route */
};

/* Why nothing was delivered, in the order in which one is worth telling more than another. */
enum candidates_trouble {
	CANDIDATES_NONE,      /* nobody to ask, and nobody has said why */
	CANDIDATES_REFUSED,   /* for good */
	CANDIDATES_OWN_FAULT, /* not all that could be asked was */
	CANDIDATES_LATER,     /* the host did not answer, or wants no mail now */
	CANDIDATES_MESSAGE    /* the host does not want this message now */
};

struct candidates {
	struct candidate rows[CANDIDATES_MAX];
	unsigned count, at, slow;
	uint32_t missing; /* the best preference of hosts whose addresses are not known now */
	enum candidates_trouble kind;
	struct reply trouble;
	char said_by[RESOLVE_HOST_MAX]; /* "": `trouble` is our own words */
};

void candidates_clear(struct candidates *all);
/* What cannot be found at all: a code of SMTP, 0 when it may be found later. */
void candidates_trouble(struct candidates *all, int code, const char *status, const char *text);
/* Nobody could be asked: that says nothing of the destination. */
void candidates_own_fault(struct candidates *all, const char *text);
void candidates_add(struct candidates *all, const struct dns_host *host, uint16_t preference,
                    uint16_t port);
/* One of this preference may have addresses, which are not known now. */
void candidates_missing(struct candidates *all, uint16_t preference);
/*
 * Puts them in the order in which this attempt (0, 1, ...) tries them: by preference, within a host
 * a family after the other. When there are more than an attempt tries, all hosts and families have
 * a turn before any has its second, and each attempt begins, behind the best, where the one before
 * had to stop.
 */
void candidates_arrange(struct candidates *all, unsigned attempt);
/* The next one, NULL when this attempt has tried enough. A family without a route is passed over
 * for a while. */
const struct candidate *candidates_next(struct candidates *all);
/* The host of this name has put the message off: its other addresses have their turn after those of
 * all other hosts. */
void candidates_put_last(struct candidates *all, const char *host, uint16_t port);
/* What a refusal by the last one is worth, by what better ones have said in this attempt. */
enum candidates_standing {
	CANDIDATES_FIRST,  /* none is better */
	CANDIDATES_DEPUTY, /* none of the better ones lets us in, or CANDIDATES_PATIENCE refusals
	                      have waited for them: it speaks for them (RFC 5321 section 5.1), for
	                      this message */
	CANDIDATES_WAITS   /* one could not be reached or found, was not asked, or has come to
	                      nothing: it may know better */
};
/* contested: so many refusals have waited so far. */
enum candidates_standing candidates_standing(const struct candidates *all, unsigned contested);
/* What trying the last one came to. error: of connect, 0 when it was reached. met: it was open, and
 * this is its answer to the message. */
void candidates_tried(struct candidates *all, int64_t took_ms, int error, bool met,
                      const struct reply *reply);
/* Instead of that: the last one is this host. Only better ones may get the message (RFC 5321
 * section 5.1): the others are taken out. */
void candidates_are_us(struct candidates *all);
/* When all have been tried in vain: `kind` and `trouble` are what is to be told of it. One host
 * that wants none of our mail speaks for itself alone (RFC 5321 section 5.1): it is for good only
 * when nothing is to be hoped for from any other, asked now or at another attempt. */
void candidates_conclude(struct candidates *all);

#endif
