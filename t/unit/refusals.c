/* SPDX-License-Identifier: ISC */
/* What is remembered of where mail cannot go: for how long, how much, and of which messages. */
#include "lib/queue/refusals.h"

#include <stdio.h>

#include "t/tap.h"

enum { HOUR = 3600 * 1000, START = 1000 };

static struct refusals refusals;

static bool knows(enum resolve_refusal_kind kind, const char *key, int64_t now_ms)
{
	return refusals_find(&refusals, kind, view_of(key), now_ms) != NULL;
}

static void add(enum resolve_refusal_kind kind, const char *key, uint64_t size, int64_t now_ms,
                int64_t keep_ms)
{
	refusals_add(&refusals, kind, view_of(key), size, now_ms, keep_ms);
}

static void times(void)
{
	refusals_begin(&refusals);
	ok(!knows(RESOLVE_MAILBOX_FULL, "/mail/a", START), "nothing is known at first");
	add(RESOLVE_MAILBOX_FULL, "/mail/a", 100, START, 500);
	ok(knows(RESOLVE_MAILBOX_FULL, "/mail/a", START + 499), "until its time is over");
	ok(!knows(RESOLVE_MAILBOX_FULL, "/mail/a", START + 500), "and no longer");
	ok(!knows(RESOLVE_ADDRESS_UNKNOWN, "/mail/a", START), "each kind has its own keys");
	add(RESOLVE_MAILBOX_FULL, "/mail/a", 100, START + 400, 500);
	ok(knows(RESOLVE_MAILBOX_FULL, "/mail/a", START + 899), "once more, and it lasts anew");
	ok(refusals.by_age[RESOLVE_MAILBOX_FULL].count == 1, "as the same one");
	add(RESOLVE_MAILBOX_FULL, "/mail/a", 100, START, 0);
	ok(!knows(RESOLVE_MAILBOX_FULL, "/mail/a", START), "no time ends it");
	add(RESOLVE_ADDRESS_UNKNOWN, "x@dept.test", 0, START, 100 * HOUR);
	ok(knows(RESOLVE_ADDRESS_UNKNOWN, "x@dept.test", START + REFUSAL_UNKNOWN_MS - 1) &&
	           !knows(RESOLVE_ADDRESS_UNKNOWN, "x@dept.test", START + REFUSAL_UNKNOWN_MS),
	   "nothing lasts longer than its kind does");
	add(RESOLVE_MAILBOX_FULL, "/mail/b", 0, START, INT64_C(1000) * HOUR);
	ok(knows(RESOLVE_MAILBOX_FULL, "/mail/b", START + REFUSAL_FULL_MAX_MS - 1) &&
	           !knows(RESOLVE_MAILBOX_FULL, "/mail/b", START + REFUSAL_FULL_MAX_MS),
	   "a full mailbox no longer than two hours, however seldom its messages are tried");
}

/* A large message that did not fit says nothing of small ones. */
static void sizes(void)
{
	const struct refusal *r;

	refusals_free(&refusals);
	refusals_begin(&refusals);
	add(RESOLVE_MAILBOX_FULL, "/mail/a", 10 << 20, START, HOUR);
	r = refusals_find(&refusals, RESOLVE_MAILBOX_FULL, VIEW("/mail/a"), START);
	ok(!refusal_holds_for(r, 0) && !refusal_holds_for(r, (10 << 20) - 1) &&
	           refusal_holds_for(r, 10 << 20),
	   "room for what is smaller than the one that did not fit");
	add(RESOLVE_MAILBOX_FULL, "/mail/a", 20 << 20, START, HOUR);
	r = refusals_find(&refusals, RESOLVE_MAILBOX_FULL, VIEW("/mail/a"), START);
	ok(r->size_bytes == 10 << 20, "the smallest counts");
	add(RESOLVE_MAILBOX_FULL, "/mail/a", REFUSAL_ROOM_BYTES, START, HOUR);
	r = refusals_find(&refusals, RESOLVE_MAILBOX_FULL, VIEW("/mail/a"), START);
	ok(refusal_holds_for(r, 0) && refusal_holds_for(r, 1),
	   "without room for %d bytes it is full for all", REFUSAL_ROOM_BYTES);
	add(RESOLVE_MAILBOX_FULL, "/mail/a", 20 << 20, START + HOUR, HOUR);
	r = refusals_find(&refusals, RESOLVE_MAILBOX_FULL, VIEW("/mail/a"), START + HOUR);
	ok(r->size_bytes == 20 << 20, "what is over does not count");
}

static void many(void)
{
	char key[64];

	refusals_free(&refusals);
	refusals_begin(&refusals);
	add(RESOLVE_MAILBOX_FULL, "/mail/a", 0, START, HOUR);
	for (unsigned i = 0; i <= REFUSALS_MAX; i++) {
		snprintf(key, sizeof key, "u%u@dept.test", i);
		add(RESOLVE_ADDRESS_UNKNOWN, key, 0, START + i, HOUR);
	}
	ok(refusals.by_age[RESOLVE_ADDRESS_UNKNOWN].count == REFUSALS_MAX &&
	           refusals.known.count == REFUSALS_MAX + 1,
	   "%d of a kind", REFUSALS_MAX);
	ok(!knows(RESOLVE_ADDRESS_UNKNOWN, "u0@dept.test", START) &&
	           knows(RESOLVE_ADDRESS_UNKNOWN, "u1@dept.test", START) &&
	           knows(RESOLVE_ADDRESS_UNKNOWN, key, START),
	   "the oldest gives way");
	ok(knows(RESOLVE_MAILBOX_FULL, "/mail/a", START), "of its own kind");
	add(RESOLVE_ADDRESS_UNKNOWN, "late@dept.test", 0, START + 10 * HOUR, HOUR);
	ok(refusals.by_age[RESOLVE_ADDRESS_UNKNOWN].count == 1,
	   "what is over goes first, all of it");
	refusals_free(&refusals);
}

int main(void)
{
	times();
	sizes();
	many();
	return tap_done();
}
