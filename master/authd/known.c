/* SPDX-License-Identifier: ISC */
#include "master/authd/known.h"

#include <string.h>

/* The network and the account, "": whoever logs in from there. The first byte of a network is its
 * family, and its length goes with that. */
struct key {
	char bytes[SHARE_KEY_MAX + AUTH_ADDRESS_MAX];
	size_t len;
};

static struct view key_of(struct key *key, const struct net_address *client, struct view account)
{
	struct share_path owners;

	net_address_owners(client, &owners);
	const struct share_key *network = &owners.keys[NET_NETWORK];
	size_t len = account.len < AUTH_ADDRESS_MAX ? account.len : AUTH_ADDRESS_MAX;

	memcpy(key->bytes, network->bytes, network->len);
	memcpy(key->bytes + network->len, account.data, len);
	return (struct view){ key->bytes, network->len + len };
}

struct recent *known_new(unsigned entries, void *kept)
{
	return recent_new(entries, (int64_t)KNOWN_DAYS * 86400 * 1000, kept);
}

void known_add(struct recent *known, const struct net_address *client, struct view account,
               int64_t now_ms)
{
	struct key key;

	recent_add(known, key_of(&key, client, account), now_ms);
	recent_add(known, key_of(&key, client, VIEW("")), now_ms);
}

enum trust known_trust(const struct recent *known, const struct net_address *client,
                       struct view account, const struct delay_failures *failures, int64_t now_ms)
{
	struct key key;

	if (recent_has(known, key_of(&key, client, account), now_ms))
		return TRUST_FAMILIAR;
	if (failures->network == 0 && failures->account == 0)
		return TRUST_CLEAN;
	return failures->network <= KNOWN_FREE_FAILURES &&
	                       recent_has(known, key_of(&key, client, VIEW("")), now_ms)
	               ? TRUST_CLEAN
	               : TRUST_DOUBTFUL;
}
