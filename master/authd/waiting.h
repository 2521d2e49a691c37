/* SPDX-License-Identifier: ISC */
/*
 * The passwords that wait for a worker: whose is checked next, and who gives way when too many
 * wait.
 *
 * Guessers come in two ways: many guesses from one network at many accounts, and guesses from many
 * networks at one account. So turns go alternately by networks (a wide one, a network in it, a
 * site: net_address_owners) and by accounts; whoever is served in one goes behind in both. A guess
 * from everywhere at everything looks like everybody: against that each degree of trust has a turn
 * of its own before all that, and a third of the places when all three want them; inside each they
 * alternate.
 *
 * Pure: no descriptors, no clock.
 */
#ifndef MASTER_AUTHD_WAITING_H
#define MASTER_AUTHD_WAITING_H

#include "lib/net/address.h"

/* How likely it is that a password that is not remembered is right; known.h says who is what. */
enum trust {
	TRUST_FAMILIAR, /* of an account that has logged in from this network before */
	TRUST_CLEAN,    /* no failures lately that speak against it */
	TRUST_DOUBTFUL,
	TRUSTS
};

struct waiter {
	struct share_path networks, accounts;
	struct share by_network, by_account;
};

struct waiting {
	size_t most;
	struct shares *by_network, *by_account;
	bool account_is_next[TRUSTS];
};

void waiting_start(struct waiting *w, size_t most);
void waiting_free(struct waiting *w);

/* A zeroed one. NULL: nobody has to give way. The one that has to waits no more, and is the
 * newcomer itself where nobody has more than it. */
struct waiter *waiting_add(struct waiting *w, struct waiter *newcomer, enum trust trust,
                           const struct net_address *client, const char *account);
/* NULL: nobody waits. The same one until it is served or leaves. */
struct waiter *waiting_next(const struct waiting *w);
/* That one gets a worker, and waits no more. */
void waiting_served(struct waiting *w, struct waiter *next);
/* Harmless when it does not wait. */
void waiting_leave(struct waiter *waiter);
bool waiting_has(const struct waiter *waiter);

#endif
