/* SPDX-License-Identifier: ISC */
#include "master/dnsd/sharing.h"

#include <sodium.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/net/address.h"

/* Is it known, and a wide owner, and one in that. */
enum { LEVELS = 3, KNOWN_LEVELS = 1 };

void sharing_start(struct sharing *s)
{
	*s = (struct sharing){ .waiting = shares_new(LEVELS), .working = shares_new(LEVELS) };
}

void sharing_free(struct sharing *s)
{
	shares_free(&s->waiting);
	shares_free(&s->working);
}

static struct view last_label(struct view *before)
{
	size_t at = before->len;

	while (at > 0 && before->data[at - 1] != '.')
		at--;
	struct view label = view_skip(*before, at);

	before->len = at > 0 ? at - 1 : 0;
	return label;
}

/* The end of a name that somebody has registered. */
static struct view registered(struct view name)
{
	struct view before = name;

	last_label(&before);
	if (last_label(&before).len <= SHARING_SHORT_LABEL)
		last_label(&before);
	return view_skip(name, before.len ? before.len + 1 : 0);
}

static void add_digest(struct share_path *path, struct view v)
{
	unsigned char digest[SHARE_KEY_MAX];

	crypto_generichash(digest, sizeof digest, (const unsigned char *)v.data, v.len, NULL, 0);
	share_path_add(path, digest, sizeof digest);
}

static void set_owners(struct share_path *path, const char *name, bool known)
{
	struct net_address address;
	struct share_path networks;
	uint8_t is_known = known;

	*path = (struct share_path){ 0 };
	share_path_add(path, &is_known, sizeof is_known);
	if (net_address_parse(view_of(name), &address)) {
		net_address_owners(&address, &networks);
		for (unsigned i = NET_WIDE; i <= NET_NETWORK; i++)
			share_path_add(path, networks.keys[i].bytes, networks.keys[i].len);
	} else {
		add_digest(path, registered(view_of(name)));
		add_digest(path, view_of(name));
	}
}

static void stand_in(struct shares *shares, struct sharer *sharer)
{
	if (!shares_add(shares, &sharer->owners, &sharer->share))
		log_fatal("out of memory");
}

void sharing_add(struct sharing *s, struct sharer *sharer, const char *name, bool known)
{
	sharer->known = known;
	set_owners(&sharer->owners, name, known);
	stand_in(s->waiting, sharer);
}

/* Of its owner and of those that are known as little as it: may one more be at work? */
static bool may_work(const struct sharing *s, const struct sharer *sharer)
{
	size_t alike = shares_weight(s->working, &sharer->owners, KNOWN_LEVELS);

	return shares_weight(s->working, &sharer->owners, KNOWN_LEVELS + 1) < SHARING_OWNER &&
	       (sharer->known || alike < SHARING_WORKERS);
}

struct sharer *sharing_next(struct sharing *s)
{
	for (unsigned pass = 0; pass < SHARING_PASSES; pass++) {
		struct sharer *next =
			list_owner_or_null(shares_next(s->waiting), struct sharer, share);

		if (next == NULL || may_work(s, next))
			return next;
		shares_passed(&next->share);
	}
	return NULL;
}

void sharing_taken(struct sharing *s, struct sharer *sharer)
{
	shares_served(&sharer->share);
	stand_in(s->working, sharer);
}

void sharing_leave(struct sharer *sharer)
{
	shares_remove(&sharer->share);
}

size_t sharing_count(const struct sharing *s)
{
	return shares_count(s->waiting) + shares_count(s->working);
}
