/* SPDX-License-Identifier: ISC */
#include "master/porter/turns.h"

#include "lib/base/log.h"
#include "lib/net/address.h"

static struct turn *turn_of(struct share *share)
{
	return list_owner_or_null(share, struct turn, share);
}

static struct turn *first_promised(const struct turns *t)
{
	return list_owner_or_null(t->promised.first, struct turn, promised);
}

void turns_start(struct turns *t, size_t most)
{
	*t = (struct turns){ .most = most };
	t->waiting = shares_new(1 + NET_OWNERS);
	t->yielding = shares_new(NET_OWNERS);
}

size_t turns_waiting(const struct turns *t)
{
	return shares_count(t->waiting) + t->promised.count;
}

static void stand_in(struct shares *shares, const struct share_path *owners, struct turn *turn)
{
	if (!shares_add(shares, owners, &turn->share))
		log_fatal("out of memory");
}

/* Of its owners while it waits the outermost is whether it is known. */
static void set_waiting_owners(struct share_path *path, const struct turn *turn)
{
	uint8_t known = turn->known;

	*path = (struct share_path){ 0 };
	share_path_add(path, &known, sizeof known);
	for (unsigned i = 0; i < turn->owners.levels; i++)
		share_path_add(path, turn->owners.keys[i].bytes, turn->owners.keys[i].len);
}

static void wait(struct turns *t, struct turn *turn)
{
	struct share_path owners;

	set_waiting_owners(&owners, turn);
	stand_in(t->waiting, &owners, turn);
}

static void hold(struct turns *t, struct turn *turn)
{
	stand_in(t->yielding, &turn->owners, turn);
}

void turns_wait(struct turns *t, struct turn *turn, int64_t now_ms)
{
	if (turns_waiting(t) == 0)
		t->idle_ms = now_ms;
	wait(t, turn);
}

struct turn *turns_giving_way(const struct turns *t, const struct turn *newcomer)
{
	struct share_path owners;

	set_waiting_owners(&owners, newcomer);
	return turn_of(shares_giving_way(t->waiting, &owners));
}

/* Has an owner of it as much as it may have while places are few? Those around a crowd, as the
 * other customers of its provider, do not have less for its sake as long as they hold little. */
static bool holds_much(const struct turns *t, const struct turn *turn)
{
	size_t of_network = shares_weight(t->yielding, &turn->owners, NET_NETWORK + 1);
	size_t of_wide = shares_weight(t->yielding, &turn->owners, NET_WIDE + 1);

	return of_network > t->most / TURNS_NETWORK_PART ||
	       (of_network > t->most / TURNS_LITTLE_PART && of_wide > t->most / TURNS_WIDE_PART);
}

bool turns_may(const struct turns *t, const struct turn *turn, size_t held)
{
	return turn->holds || held < t->most - t->most / TURNS_LAST_PART || !holds_much(t, turn);
}

struct turn *turns_next(struct turns *t, size_t held)
{
	if (t->promised.first != NULL)
		return first_promised(t);
	for (unsigned pass = 0; pass < TURNS_PASSES; pass++) {
		struct turn *turn = turn_of(shares_next(t->waiting));

		if (turn == NULL || turns_may(t, turn, held))
			return turn;
		shares_passed(&turn->share);
	}
	return NULL;
}

/* It has said something, or what it waited for is over. */
static void stand_still(struct turns *t, struct turn *turn, int64_t now_ms)
{
	if (turn->standing.list == NULL || now_ms - turn->stands_ms < TURNS_WORDS_MS) {
		turn->silent_ms = now_ms;
		list_remove(&turn->standing);
	}
	list_add_last(&t->standing, &turn->standing);
}

/* It has to give its place. */
static struct turn *give(struct turn *turn)
{
	list_remove(&turn->standing);
	shares_remove(&turn->share);
	turn->gone = true;
	return turn;
}

void turns_serve(struct turns *t, struct turn *turn, int64_t now_ms)
{
	t->idle_ms = now_ms;
	list_remove(&turn->promised);
	turn->stands_ms = now_ms;
	stand_still(t, turn, now_ms);
	if (turn->holds)
		return;
	shares_served(&turn->share);
	turn->holds = true;
	hold(t, turn);
}

void turns_progress(struct turns *t, struct turn *turn, bool progress, int64_t now_ms)
{
	if (turn->gone)
		return;
	if (progress) {
		list_remove(&turn->standing);
		shares_remove(&turn->share);
		turn->gets_on = true;
	} else {
		if (turn->gets_on)
			turn->stands_ms = now_ms;
		turn->gets_on = false;
		stand_still(t, turn, now_ms);
		hold(t, turn);
	}
}

void turns_busy(struct turn *turn, int64_t now_ms)
{
	if (now_ms - turn->stands_ms < TURNS_WORDS_MS)
		list_remove(&turn->standing);
}

void turns_leave(struct turn *turn)
{
	list_remove(&turn->promised);
	list_remove(&turn->standing);
	shares_remove(&turn->share);
	turn->holds = turn->gets_on = false;
}

bool turns_are_stuck(struct turns *t, size_t held, int64_t now_ms)
{
	return turns_waiting(t) > 0 &&
	       (now_ms - t->idle_ms >= TURNS_NO_WORKER_MS || turns_next(t, held) == NULL);
}

/* Would it have no more than the other one's network has, or wide network? Of the latter a little
 * is nobody's fault. */
static bool is_no_heavier(const struct turns *t, const struct turn *newcomer,
                          const struct turn *than)
{
	size_t little = t->most / TURNS_LITTLE_PART;
	size_t wide = shares_weight(t->yielding, &newcomer->owners, NET_WIDE + 1);

	return shares_weight(t->yielding, &newcomer->owners, NET_NETWORK + 1) <
	               shares_weight(t->yielding, &than->owners, NET_NETWORK + 1) &&
	       (wide < little || wide < shares_weight(t->yielding, &than->owners, NET_WIDE + 1));
}

/* The one that has been silent for longest, and at least for so long. */
static struct turn *silent_for(const struct turns *t, int64_t silent_ms, int64_t now_ms)
{
	struct turn *first = list_owner_or_null(t->standing.first, struct turn, standing);

	return first != NULL && now_ms - first->silent_ms >= silent_ms ? first : NULL;
}

/* The same among equals. */
static struct turn *silent_equal(const struct turns *t, const struct turn *newcomer, int64_t now_ms)
{
	struct turn *first = silent_for(t, TURNS_SILENT_MS, now_ms);

	return first != NULL && is_no_heavier(t, newcomer, first) ? first : NULL;
}

/* Who gives a place to this one. Whoever was only promised one waits again, and nobody else has to
 * give anything. */
static struct turn *claim_for(struct turns *t, struct turn *newcomer, int64_t now_ms)
{
	struct turn *giver = turn_of(shares_giving_way(t->yielding, &newcomer->owners));

	if (giver == NULL && (giver = silent_equal(t, newcomer, now_ms)) == NULL)
		return NULL;
	if (giver->promised.list == NULL)
		return give(giver);
	list_remove(&giver->promised);
	shares_remove(&giver->share);
	giver->holds = false;
	wait(t, giver);
	return giver;
}

/* It counts among those that hold from now on: its network gets no more than its share. */
static void promise(struct turns *t, struct turn *newcomer, int64_t now_ms)
{
	shares_served(&newcomer->share);
	newcomer->holds = true;
	newcomer->asked_ms = now_ms;
	hold(t, newcomer);
	list_add_last(&t->promised, &newcomer->promised);
}

struct turn *turns_claim(struct turns *t, int64_t now_ms)
{
	struct turn *newcomer;

	for (unsigned pass = 0; pass < TURNS_PASSES; pass++) {
		if ((newcomer = turn_of(shares_next(t->waiting))) == NULL)
			return NULL;
		struct turn *giver = claim_for(t, newcomer, now_ms);

		if (giver == NULL) {
			shares_passed(&newcomer->share);
			continue;
		}
		promise(t, newcomer, now_ms);
		if (giver->gone)
			return giver;
	}
	return NULL;
}

struct turn *turns_claim_again(struct turns *t, int64_t now_ms)
{
	struct turn *newcomer = first_promised(t);

	if (newcomer == NULL || now_ms - newcomer->asked_ms < TURNS_PROMISE_MS)
		return NULL;
	newcomer->asked_ms = now_ms;
	list_remove(&newcomer->promised);
	list_add_last(&t->promised, &newcomer->promised);
	shares_remove(&newcomer->share); /* the place that it counts for is not there */
	struct turn *giver = turn_of(shares_giving_way(t->yielding, &newcomer->owners));

	hold(t, newcomer);
	if (giver == NULL || giver->promised.list != NULL)
		return NULL;
	return give(giver);
}

struct turn *turns_expired(struct turns *t, int64_t now_ms, int64_t most_ms)
{
	struct turn *first = silent_for(t, most_ms, now_ms);

	return first != NULL ? give(first) : NULL;
}
