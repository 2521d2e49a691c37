/* SPDX-License-Identifier: ISC */
#include "master/authd/delay.h"

#include <stdlib.h>

#include "lib/base/neighbours.h"

enum { FAILURES_MAX = 64 };

struct entry {
	uint64_t tag;
	int64_t last_ms,
		next_ms; /* the last failure; of a network: no guess is looked at before next_ms */
	unsigned failures; /* 0: free */
	uint32_t account;  /* of an address's failures at accounts known there: of the last one */
};

struct delay {
	int64_t base_ms;
	struct neighbours table;
};

size_t delay_bytes(unsigned entries)
{
	return neighbours_bytes(entries, sizeof(struct entry));
}

struct delay *delay_new(unsigned entries, int64_t base_ms, void *kept)
{
	struct delay *d = memory_get(sizeof *d);

	d->base_ms = base_ms;
	neighbours_init(&d->table, entries, sizeof(struct entry), kept);
	return d;
}

void delay_free(struct delay **d)
{
	if (*d == NULL)
		return;
	neighbours_free(&(*d)->table);
	free(*d);
	*d = NULL;
}

static int64_t within(int64_t ms, int64_t most_ms)
{
	return ms < 0 ? 0 : ms < most_ms ? ms : most_ms;
}

/* A predecessor that was taken over may have left anything. */
static void make_possible(struct entry *e, int64_t now_ms)
{
	e->last_ms = within(e->last_ms, now_ms);
	e->next_ms = within(e->next_ms, now_ms + DELAY_MAX_MS);
	e->failures = e->failures < FAILURES_MAX ? e->failures : FAILURES_MAX;
}

static void forget_with_time(struct entry *e, int64_t now_ms)
{
	make_possible(e, now_ms);
	while (e->failures && now_ms - e->last_ms >= DELAY_HALF_LIFE_MS) {
		e->failures /= 2;
		e->last_ms += DELAY_HALF_LIFE_MS;
	}
}

/* Without failures when it is new. */
static struct entry *place_of(struct delay *d, struct view key, int64_t now_ms)
{
	uint64_t tag = neighbours_tag(&d->table, key);
	struct entry *set = neighbours_set(&d->table, tag), *place = set;

	for (size_t i = 0; i < NEIGHBOURS; i++) {
		forget_with_time(&set[i], now_ms);
		if (set[i].failures && set[i].tag == tag) {
			place = &set[i];
			break;
		}
		if (set[i].failures == 0 || (place->failures && set[i].last_ms < place->last_ms))
			place = &set[i];
	}
	if (place->tag != tag)
		*place = (struct entry){ .tag = tag };
	return place;
}

/* Counts one failure of this key; how many it has now. */
static unsigned count(struct delay *d, struct view key, int64_t now_ms)
{
	struct entry *place = place_of(d, key, now_ms);

	place->last_ms = now_ms;
	if (place->failures < FAILURES_MAX)
		place->failures++;
	return place->failures;
}

/* {NULL, 0} for a client without an address. */
static struct view network_key(const struct share_path *owners, enum net_owner which)
{
	const struct share_key *key = &owners->keys[which];
	bool has_address = key->len > 1; /* the family stands first */

	return has_address ? (struct view){ (const char *)key->bytes, key->len }
	                   : (struct view){ NULL, 0 };
}

static int64_t wait_of(const struct delay *d, unsigned failures)
{
	int64_t wait_ms = d->base_ms;

	while (--failures && wait_ms < DELAY_MAX_MS)
		wait_ms *= 2;
	return wait_ms < DELAY_MAX_MS ? wait_ms : DELAY_MAX_MS;
}

int64_t delay_failed(struct delay *d, const struct net_address *client, struct view account,
                     int64_t now_ms)
{
	struct share_path owners;

	net_address_owners(client, &owners);
	struct view site = network_key(&owners, NET_SITE);
	unsigned of_site = site.len ? count(d, site, now_ms) : 1;
	/* An address has a "@" and no byte below a space: it cannot be taken for a network's
	 * key. */
	unsigned of_account = account.len ? count(d, account, now_ms) : 1;

	if (site.len)
		count(d, network_key(&owners, NET_NETWORK), now_ms);
	return wait_of(d, of_site > of_account ? of_site : of_account);
}

/* The key of an address's failures at accounts that are known there: no family, and no account,
 * begins so. */
static void familiar_key(const struct net_address *client, struct text *key)
{
	struct share_path owners;

	net_address_owners(client, &owners);
	struct view site = network_key(&owners, NET_SITE);

	text_init(key, 1 + SHARE_KEY_MAX);
	if (site.len) {
		text_add_byte(key, '\0');
		text_add(key, site);
	}
}

/* Halved from its first one on, whatever follows: an address of many users has always some. */
void delay_failed_familiar(struct delay *d, const struct net_address *client, struct view account,
                           int64_t now_ms)
{
	struct text key;
	uint32_t which = (uint32_t)neighbours_tag(&d->table, account);

	familiar_key(client, &key);
	if (text_view(&key).len) {
		struct entry *e = place_of(d, text_view(&key), now_ms);

		if (e->failures == 0)
			e->last_ms = now_ms;
		if ((e->failures == 0 || e->account != which) && e->failures < FAILURES_MAX)
			e->failures++;
		e->account = which;
	}
	text_free(&key);
}

static struct entry *find(struct delay *d, struct view key, int64_t now_ms)
{
	uint64_t tag = neighbours_tag(&d->table, key);
	struct entry *set = neighbours_set(&d->table, tag);

	for (size_t i = 0; key.len && i < NEIGHBOURS; i++) {
		if (set[i].tag != tag)
			continue;
		forget_with_time(&set[i], now_ms);
		if (set[i].failures)
			return &set[i];
	}
	return NULL;
}

static unsigned failures_of(struct delay *d, struct view key, int64_t now_ms)
{
	const struct entry *e = find(d, key, now_ms);

	return e != NULL ? e->failures : 0;
}

struct delay_failures delay_failures(struct delay *d, const struct net_address *client,
                                     struct view account, int64_t now_ms)
{
	struct share_path owners;

	net_address_owners(client, &owners);
	return (struct delay_failures){
		.network = failures_of(d, network_key(&owners, NET_NETWORK), now_ms),
		.account = failures_of(d, account, now_ms),
	};
}

static bool lets_one(struct delay *d, struct view key, int64_t now_ms)
{
	struct entry *e = find(d, key, now_ms);

	if (e == NULL || e->failures <= DELAY_FREE_FAILURES)
		return true;
	if (now_ms < e->next_ms)
		return false;
	e->next_ms = now_ms + wait_of(d, e->failures) / DELAY_GUESSES;
	return true;
}

bool delay_lets_guess(struct delay *d, const struct net_address *client, int64_t now_ms)
{
	struct share_path owners;

	net_address_owners(client, &owners);
	return lets_one(d, network_key(&owners, NET_SITE), now_ms);
}

bool delay_lets_familiar(struct delay *d, const struct net_address *client, struct view account,
                         int64_t now_ms)
{
	struct text key;

	familiar_key(client, &key);
	unsigned failures = failures_of(d, text_view(&key), now_ms);

	text_free(&key);
	return failures <= DELAY_FREE_FAMILIAR && lets_one(d, account, now_ms);
}
