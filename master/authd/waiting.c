/* SPDX-License-Identifier: ISC */
#include "master/authd/waiting.h"

#include <sodium.h>
#include <string.h>

#include "lib/base/log.h"

/* Of by_network: the trust and the networks; of by_account: the trust and the account. */
enum { NETWORK_LEVELS = 1 + NET_OWNERS, ACCOUNT_LEVELS = 2, UP_TO_NETWORK = 1 + NET_NETWORK + 1 };

void waiting_start(struct waiting *w, size_t most)
{
	*w = (struct waiting){ .most = most };
	w->by_network = shares_new(NETWORK_LEVELS);
	w->by_account = shares_new(ACCOUNT_LEVELS);
}

void waiting_free(struct waiting *w)
{
	shares_free(&w->by_network);
	shares_free(&w->by_account);
}

static struct waiter *of_network(struct share *share)
{
	return list_owner_or_null(share, struct waiter, by_network);
}

static struct waiter *of_account(struct share *share)
{
	return list_owner_or_null(share, struct waiter, by_account);
}

static void set_owners(struct waiter *waiter, enum trust trust, const struct net_address *client,
                       const char *account)
{
	uint8_t first = (uint8_t)trust;
	unsigned char digest[SHARE_KEY_MAX];
	struct share_path networks = { 0 };

	net_address_owners(client, &networks);
	share_path_add(&waiter->networks, &first, sizeof first);
	for (unsigned i = 0; i < networks.levels; i++)
		share_path_add(&waiter->networks, networks.keys[i].bytes, networks.keys[i].len);
	crypto_generichash(digest, sizeof digest, (const unsigned char *)account, strlen(account),
	                   NULL, 0);
	share_path_add(&waiter->accounts, &first, sizeof first);
	share_path_add(&waiter->accounts, digest, sizeof digest);
}

/* Of the heaviest network and the heaviest account the heavier one. */
static struct waiter *giving_way(const struct waiting *w, const struct waiter *to)
{
	struct waiter *network = of_network(shares_giving_way(w->by_network, &to->networks));
	struct waiter *account = of_account(shares_giving_way(w->by_account, &to->accounts));

	if (network == NULL || account == NULL)
		return network != NULL ? network : account;
	return shares_weight(w->by_account, &account->accounts, ACCOUNT_LEVELS) >
	                       shares_weight(w->by_network, &network->networks, UP_TO_NETWORK)
	               ? account
	               : network;
}

struct waiter *waiting_add(struct waiting *w, struct waiter *newcomer, enum trust trust,
                           const struct net_address *client, const char *account)
{
	struct waiter *gives_way = NULL;

	set_owners(newcomer, trust, client, account);
	if (shares_count(w->by_network) >= w->most) {
		gives_way = giving_way(w, newcomer);
		if (gives_way == NULL)
			return newcomer;
		waiting_leave(gives_way);
	}
	if (!shares_add(w->by_network, &newcomer->networks, &newcomer->by_network) ||
	    !shares_add(w->by_account, &newcomer->accounts, &newcomer->by_account))
		log_fatal("out of memory");
	return gives_way;
}

static enum trust trust_of(const struct waiter *waiter)
{
	return (enum trust)waiter->networks.keys[0].bytes[0];
}

/* The trusts take their turns in the same order in both. */
struct waiter *waiting_next(const struct waiting *w)
{
	struct waiter *next = of_network(shares_next(w->by_network));

	return next != NULL && w->account_is_next[trust_of(next)]
	               ? of_account(shares_next(w->by_account))
	               : next;
}

void waiting_served(struct waiting *w, struct waiter *next)
{
	bool *account_is_next = &w->account_is_next[trust_of(next)];

	*account_is_next = !*account_is_next;
	shares_served(&next->by_network);
	shares_served(&next->by_account);
}

void waiting_leave(struct waiter *waiter)
{
	shares_remove(&waiter->by_network);
	shares_remove(&waiter->by_account);
}

bool waiting_has(const struct waiter *waiter)
{
	return waiter->by_network.owner != NULL;
}
