/* SPDX-License-Identifier: ISC */
#include "master/porter/limits.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/hash.h"
#include "lib/base/log.h"
#include "lib/base/pace.h"

enum { SWEEP_STEPS = 4 };

struct entry {
	struct hashed hashed;
	struct share_key key; /* of a network or an address: their lengths differ */
	unsigned clients;
	struct window arrivals; /* addresses only */
};

struct limits {
	struct limits_most most;
	unsigned clients;
	uint32_t sweep_at;
	struct hash entries;
	/* Strangers choose the keys (an IPv6 network holds many): a keyed hash keeps the chains
	 * short. */
	unsigned char secret[crypto_shorthash_KEYBYTES];
};

const char *limit_name(enum limit limit)
{
	static const char *const names[] = { "none", "porter.clients-max",
		                             "porter.clients-per-address",
		                             "porter.clients-per-network",
		                             "porter.rate-per-second" };

	return names[limit];
}

struct limits *limits_new(const struct limits_most *most)
{
	struct limits *l = memory_get(sizeof *l);

	l->most = *most;
	randombytes_buf(l->secret, sizeof l->secret);
	return l;
}

void limits_free(struct limits **limits)
{
	struct limits *l = *limits;

	if (l == NULL)
		return;
	for (uint32_t i = 0; i < l->entries.size; i++)
		HASH_EACH(e, &l->entries, i, struct entry, hashed)
			free(e);
	hash_free(&l->entries);
	free(l);
	*limits = NULL;
}

static uint32_t hash_of(const struct limits *l, const struct share_key *key)
{
	unsigned char hash[crypto_shorthash_BYTES];
	uint32_t n;

	crypto_shorthash(hash, (const unsigned char *)key, sizeof *key, l->secret);
	memcpy(&n, hash, sizeof n);
	return n;
}

static struct entry *find(const struct limits *l, const struct share_key *key, uint32_t hash)
{
	HASH_EACH(e, &l->entries, hash, struct entry, hashed)
		if (memcmp(&e->key, key, sizeof *key) == 0)
			return e;
	return NULL;
}

static struct entry *find_or_make(struct limits *l, const struct share_key *key)
{
	uint32_t hash = hash_of(l, key);
	struct entry *e = find(l, key, hash);

	if (e != NULL)
		return e;
	e = memory_get(sizeof *e);
	e->key = *key;
	hash_add(&l->entries, &e->hashed, hash);
	return e;
}

/* A few chains at each arrival: entries without clients whose window is over go. */
static void sweep(struct limits *l, int64_t now_ms)
{
	for (unsigned step = 0; step < SWEEP_STEPS; step++)
		HASH_EACH(e, &l->entries, l->sweep_at++, struct entry, hashed)
			if (e->clients == 0 && now_ms >= e->arrivals.until_ms) {
				hash_remove(&l->entries, &e->hashed);
				free(e);
			}
}

static bool over_rate(const struct limits *l, struct entry *e, int64_t now_ms)
{
	return window_count(&e->arrivals, now_ms) > l->most.per_second && l->most.per_second;
}

static bool reached(unsigned count, unsigned most)
{
	return most && count >= most;
}

enum limit limits_enter(struct limits *l, const struct net_address *client, int64_t now_ms)
{
	struct share_path owners;

	net_address_owners(client, &owners);
	sweep(l, now_ms);
	if (over_rate(l, find_or_make(l, &owners.keys[NET_SITE]), now_ms))
		return LIMIT_RATE;
	return limits_enter_place(l, client);
}

enum limit limits_enter_place(struct limits *l, const struct net_address *client)
{
	struct share_path owners;

	net_address_owners(client, &owners);
	struct entry *from = find_or_make(l, &owners.keys[NET_SITE]);
	struct entry *around = find_or_make(l, &owners.keys[NET_NETWORK]);

	if (reached(from->clients, l->most.per_address))
		return LIMIT_ADDRESS;
	if (reached(around->clients, l->most.per_network))
		return LIMIT_NETWORK;
	if (reached(l->clients, l->most.clients))
		return LIMIT_CLIENTS;
	l->clients++;
	from->clients++;
	around->clients++;
	return LIMIT_NONE;
}

static void leave(struct limits *l, const struct share_key *key)
{
	struct entry *e = find(l, key, hash_of(l, key));

	if (e == NULL || e->clients == 0)
		log_panic("limits: a client is removed that was not counted");
	e->clients--; /* the sweep takes the entry */
}

void limits_leave(struct limits *l, const struct net_address *client)
{
	struct share_path owners;

	net_address_owners(client, &owners);
	leave(l, &owners.keys[NET_SITE]);
	leave(l, &owners.keys[NET_NETWORK]);
	l->clients--;
}

unsigned limits_entries(const struct limits *l)
{
	return (unsigned)l->entries.count;
}
