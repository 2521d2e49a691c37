/* SPDX-License-Identifier: ISC */
#include "master/authd/known.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { NEIGHBOURS = 4 };

static const int64_t lifetime_ms = (int64_t)KNOWN_DAYS * 86400 * 1000;

struct entry {
	uint64_t tag;
	int64_t until_ms; /* 0: free */
};

/* What lives on. */
struct remembered {
	unsigned char key[crypto_shorthash_KEYBYTES]; /* nobody can choose a neighbour, nor read who
	                                                 it is */
	uint64_t keyed;                               /* 0: nobody has made the key yet */
	struct entry entries[];
};

struct known {
	size_t sets;
	struct remembered *remembered;
	bool own;
};

size_t known_bytes(unsigned entries)
{
	return sizeof(struct remembered) + entries * sizeof(struct entry);
}

struct known *known_new(unsigned entries, void *kept)
{
	struct known *k = memory_get(sizeof *k);

	k->sets = entries / NEIGHBOURS;
	k->own = kept == NULL;
	k->remembered = k->own ? memory_get(known_bytes(entries)) : kept;
	if (!k->remembered->keyed)
		crypto_shorthash_keygen(k->remembered->key);
	k->remembered->keyed = 1;
	return k;
}

void known_free(struct known **known)
{
	if (*known == NULL)
		return;
	if ((*known)->own)
		free((*known)->remembered);
	free(*known);
	*known = NULL;
}

/* Where the account has its place, "": whoever logs in from the network. */
static struct entry *set_of(const struct known *k, const struct net_address *client,
                            struct view account, uint64_t *tag)
{
	/* The first byte of a key is the family, and its length goes with it. */
	unsigned char bytes[SHARE_KEY_MAX + AUTH_ADDRESS_MAX];
	struct share_path owners;

	net_address_owners(client, &owners);
	const struct share_key *network = &owners.keys[NET_NETWORK];
	size_t len = account.len < AUTH_ADDRESS_MAX ? account.len : AUTH_ADDRESS_MAX;

	memcpy(bytes, network->bytes, network->len);
	memcpy(bytes + network->len, account.data, len);
	crypto_shorthash((unsigned char *)tag, bytes, network->len + len, k->remembered->key);
	return k->remembered->entries + *tag % k->sets * NEIGHBOURS;
}

static void add(struct known *k, const struct net_address *client, struct view account,
                int64_t now_ms)
{
	uint64_t tag;
	struct entry *set = set_of(k, client, account, &tag), *place = set;

	for (size_t i = 0; i < NEIGHBOURS; i++) {
		if (set[i].until_ms && set[i].tag == tag) {
			place = &set[i];
			break;
		}
		if (set[i].until_ms < place->until_ms)
			place = &set[i];
	}
	*place = (struct entry){ .tag = tag, .until_ms = now_ms + lifetime_ms };
}

/* A predecessor that was taken over may have left any time. */
static bool has(const struct known *k, const struct net_address *client, struct view account,
                int64_t now_ms)
{
	uint64_t tag;
	const struct entry *set = set_of(k, client, account, &tag);

	for (size_t i = 0; i < NEIGHBOURS; i++)
		if (set[i].tag == tag && set[i].until_ms > now_ms &&
		    set[i].until_ms <= now_ms + lifetime_ms)
			return true;
	return false;
}

void known_add(struct known *k, const struct net_address *client, struct view account,
               int64_t now_ms)
{
	add(k, client, account, now_ms);
	add(k, client, VIEW(""), now_ms);
}

enum trust known_trust(const struct known *k, const struct net_address *client, struct view account,
                       const struct delay_failures *failures, int64_t now_ms)
{
	if (has(k, client, account, now_ms))
		return TRUST_FAMILIAR;
	if (failures->network == 0 && failures->account == 0)
		return TRUST_CLEAN;
	return failures->network <= KNOWN_FREE_FAILURES && has(k, client, VIEW(""), now_ms)
	               ? TRUST_CLEAN
	               : TRUST_DOUBTFUL;
}
