/* SPDX-License-Identifier: ISC */
#include "master/porter/limits.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"

enum {
	IPV4_NETWORK_BYTES = 3,
	IPV6_NETWORK_BYTES = 7,
	RATE_WINDOW_MS = 1000,
	BUCKETS_FIRST = 256,
	SWEEP_STEPS = 4
};

struct key {
	uint8_t family, bits;
	uint8_t bytes[16];
};

struct entry {
	struct entry *chain;
	struct key key;
	unsigned clients;
	unsigned arrivals; /* in the window; addresses only */
	int64_t window_ms; /* when it began */
};

struct limits {
	struct limits_most most;
	unsigned clients, entries, buckets, sweep_at;
	struct entry **table;
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
	l->buckets = BUCKETS_FIRST;
	l->table = memory_get(l->buckets * sizeof *l->table);
	randombytes_buf(l->secret, sizeof l->secret);
	return l;
}

void limits_free(struct limits **limits)
{
	struct limits *l = *limits;

	if (l == NULL)
		return;
	for (unsigned i = 0; i < l->buckets; i++)
		while (l->table[i] != NULL) {
			struct entry *e = l->table[i];

			l->table[i] = e->chain;
			free(e);
		}
	free(l->table);
	free(l);
	*limits = NULL;
}

static unsigned bucket_of(const struct limits *l, const struct key *key)
{
	unsigned char hash[crypto_shorthash_BYTES];
	uint32_t n;

	crypto_shorthash(hash, (const unsigned char *)key, sizeof *key, l->secret);
	memcpy(&n, hash, sizeof n);
	return n & (l->buckets - 1);
}

static struct key address_key(const struct net_address *a)
{
	struct key key = { .family = a->family, .bits = a->family == 4 ? 32 : 128 };

	memcpy(key.bytes, a->bytes, a->family == 4 ? 4 : 16);
	return key;
}

static struct key network_key(const struct net_address *a)
{
	unsigned bytes = a->family == 4 ? IPV4_NETWORK_BYTES : IPV6_NETWORK_BYTES;
	struct key key = { .family = a->family, .bits = (uint8_t)(bytes * 8) };

	memcpy(key.bytes, a->bytes, bytes);
	return key;
}

static void grow(struct limits *l)
{
	struct entry **old = l->table;
	unsigned old_buckets = l->buckets;

	l->buckets *= 2;
	l->table = memory_get(l->buckets * sizeof *l->table);
	for (unsigned i = 0; i < old_buckets; i++)
		while (old[i] != NULL) {
			struct entry *e = old[i];
			unsigned at = bucket_of(l, &e->key);

			old[i] = e->chain;
			e->chain = l->table[at];
			l->table[at] = e;
		}
	free(old);
}

static struct entry *find(const struct limits *l, const struct key *key)
{
	struct entry *e = l->table[bucket_of(l, key)];

	while (e != NULL && memcmp(&e->key, key, sizeof *key) != 0)
		e = e->chain;
	return e;
}

static struct entry *find_or_make(struct limits *l, const struct key *key)
{
	struct entry *e = find(l, key);

	if (e != NULL)
		return e;
	if (l->entries >= l->buckets)
		grow(l);
	unsigned at = bucket_of(l, key);

	e = memory_get(sizeof *e);
	e->key = *key;
	e->window_ms = INT64_MIN / 2;
	e->chain = l->table[at];
	l->table[at] = e;
	l->entries++;
	return e;
}

/* A few buckets at each arrival: entries without clients whose window is over go. */
static void sweep(struct limits *l, int64_t now_ms)
{
	for (unsigned step = 0; step < SWEEP_STEPS; step++) {
		struct entry **place = &l->table[l->sweep_at++ & (l->buckets - 1)];

		while (*place != NULL) {
			struct entry *e = *place;

			if (e->clients || now_ms - e->window_ms < RATE_WINDOW_MS) {
				place = &e->chain;
				continue;
			}
			*place = e->chain;
			free(e);
			l->entries--;
		}
	}
}

static bool over_rate(const struct limits *l, struct entry *e, int64_t now_ms)
{
	if (now_ms - e->window_ms >= RATE_WINDOW_MS) {
		e->window_ms = now_ms;
		e->arrivals = 0;
	}
	if (e->arrivals < UINT32_MAX)
		e->arrivals++;
	return l->most.per_second && e->arrivals > l->most.per_second;
}

static bool reached(unsigned count, unsigned most)
{
	return most && count >= most;
}

enum limit limits_enter(struct limits *l, const struct net_address *client, int64_t now_ms)
{
	struct key address = address_key(client), network = network_key(client);

	sweep(l, now_ms);
	struct entry *from = find_or_make(l, &address);

	if (over_rate(l, from, now_ms))
		return LIMIT_RATE;
	if (reached(l->clients, l->most.clients))
		return LIMIT_CLIENTS;
	if (reached(from->clients, l->most.per_address))
		return LIMIT_ADDRESS;
	struct entry *around = find_or_make(l, &network);

	if (reached(around->clients, l->most.per_network))
		return LIMIT_NETWORK;
	l->clients++;
	from->clients++;
	around->clients++;
	return LIMIT_NONE;
}

static void leave(struct limits *l, const struct key *key)
{
	struct entry *e = find(l, key);

	if (e == NULL || e->clients == 0)
		log_panic("limits: a client is removed that was not counted");
	e->clients--; /* the sweep takes the entry */
}

void limits_leave(struct limits *l, const struct net_address *client)
{
	struct key address = address_key(client), network = network_key(client);

	leave(l, &address);
	leave(l, &network);
	l->clients--;
}

unsigned limits_entries(const struct limits *l)
{
	return l->entries;
}
