/* SPDX-License-Identifier: ISC */
/* authd's parts: every kind of hash with known vectors, the mechanisms, the cache, the delays, the
 * workers. */
#include <sodium.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/conf/passwords.h"
#include "master/authd/cache.h"
#include "master/authd/checker.h"
#include "master/authd/delay.h"
#include "master/authd/mechanism.h"
#include "t/tap.h"

static struct view view_string(const char *s)
{
	return view_of(s);
}

/* ---- hashes ---- */

static const struct {
	const char *name, *stored, *password;
	enum hash_result result;
} hashes[] = {
#include "t/unit/authd-hashes.h"
};

static void test_hashes(void)
{
	for (size_t i = 0; i < sizeof hashes / sizeof hashes[0]; i++) {
		struct view stored = view_string(hashes[i].stored), hash;
		enum hash_result got = hash_check(stored, view_string(hashes[i].password));

		ok(got == hashes[i].result, "hash: %s (%d)", hashes[i].name, got);
		if (hashes[i].result == HASH_MATCHES) {
			char wrong[AUTH_PASSWORD_MAX];
			struct reason why;

			snprintf(wrong, sizeof wrong, "%sx", hashes[i].password);
			ok(hash_check(stored, view_string(wrong)) == HASH_DIFFERS,
			   "hash: %s, wrong password", hashes[i].name);
			ok(hash_check(stored, VIEW("")) ==
			           (hashes[i].password[0] ? HASH_DIFFERS : HASH_MATCHES),
			   "hash: %s, empty password", hashes[i].name);
			ok(password_parse(stored, &hash, &why) == 0,
			   "hash: %s is taken into the map", hashes[i].name);
		}
	}
	static char huge[AUTH_PASSWORD_MAX + 100];

	memset(huge, 'a', sizeof huge);
	ok(hash_check(VIEW("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="),
	              (struct view){ huge, sizeof huge }) != HASH_MATCHES,
	   "hash: a password that is too long");
	ok(hash_check(
		   VIEW("$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"),
		   (struct view){ huge, 600 }) == HASH_DIFFERS,
	   "hash: longer than crypt takes");
	ok(hash_check(VIEW("$1$O3JMY.Tw$AdLnLjQ/5jXF9.MTp3gHv/"),
	              (struct view){ "password\0x", 10 }) == HASH_DIFFERS,
	   "hash: crypt does not stop at a NUL");
}

/* ---- mechanisms ---- */

#define INPUT(literal) true, VIEW(literal)

static const struct {
	const char *name;
	enum auth_mechanism mechanism;
	bool has_input;
	struct view input;
	enum sasl_result result;
	const char *user, *password;
} first_steps[] = {
	{ "PLAIN", AUTH_PLAIN, INPUT("\0anna\0pw"), SASL_CHECK, "anna", "pw" },
	{ "PLAIN with the same identity", AUTH_PLAIN, INPUT("Anna\0anna\0pw"), SASL_CHECK, "anna",
	  "pw" },
	{ "PLAIN for another", AUTH_PLAIN, INPUT("bert\0anna\0pw"), SASL_DENIED, "anna", "pw" },
	{ "PLAIN without a password", AUTH_PLAIN, INPUT("\0anna\0"), SASL_DENIED, "anna", "" },
	{ "PLAIN without a name", AUTH_PLAIN, INPUT("\0\0pw"), SASL_DENIED, "", "pw" },
	{ "PLAIN with one NUL", AUTH_PLAIN, INPUT("anna\0pw"), SASL_MALFORMED, "", "" },
	{ "PLAIN with three", AUTH_PLAIN, INPUT("\0anna\0pw\0x"), SASL_MALFORMED, "anna", "" },
	{ "PLAIN, empty", AUTH_PLAIN, INPUT(""), SASL_MALFORMED, "", "" },
	{ "PLAIN, no initial response", AUTH_PLAIN, false, { "", 0 }, SASL_CHALLENGE, "", "" },
	{ "LOGIN with the name", AUTH_LOGIN, INPUT("anna"), SASL_CHALLENGE, "anna", "" },
	{ "LOGIN with an empty name", AUTH_LOGIN, INPUT(""), SASL_DENIED, "", "" },
	{ "LOGIN with a NUL in the name", AUTH_LOGIN, INPUT("an\0na"), SASL_MALFORMED, "", "" },
	{ "LOGIN, no initial response", AUTH_LOGIN, false, { "", 0 }, SASL_CHALLENGE, "", "" },
};

static void test_mechanisms(void)
{
	struct sasl s;
	struct view challenge;

	for (size_t i = 0; i < sizeof first_steps / sizeof first_steps[0]; i++) {
		sasl_start(&s, first_steps[i].mechanism);
		ok(sasl_step(&s, first_steps[i].has_input, first_steps[i].input, &challenge) ==
		           first_steps[i].result,
		   "%s", first_steps[i].name);
		is_string(s.user, first_steps[i].user, "%s: the name", first_steps[i].name);
		is_string(s.password, first_steps[i].password, "%s: the password",
		          first_steps[i].name);
	}
	sasl_start(&s, AUTH_PLAIN);
	ok(sasl_step(&s, false, VIEW(""), &challenge) == SASL_CHALLENGE && challenge.len == 0,
	   "PLAIN asks with an empty challenge");
	ok(sasl_step(&s, true, VIEW("\0anna\0pw"), &challenge) == SASL_CHECK, "and is answered");

	sasl_start(&s, AUTH_LOGIN);
	ok(sasl_step(&s, false, VIEW(""), &challenge) == SASL_CHALLENGE &&
	           view_equal(challenge, VIEW("Username:")),
	   "LOGIN asks for a name");
	ok(sasl_step(&s, true, VIEW("anna"), &challenge) == SASL_CHALLENGE &&
	           view_equal(challenge, VIEW("Password:")),
	   "then for a password");
	ok(sasl_step(&s, true, VIEW("p w"), &challenge) == SASL_CHECK && s.password_len == 3,
	   "and has both");

	static char long_one[AUTH_PASSWORD_MAX + 2] = "";

	memset(long_one, 'a', sizeof long_one);
	sasl_start(&s, AUTH_LOGIN);
	ok(sasl_step(&s, true, (struct view){ long_one, AUTH_ADDRESS_MAX }, &challenge) ==
	           SASL_MALFORMED,
	   "a name that is too long");
	sasl_start(&s, AUTH_LOGIN);
	sasl_step(&s, true, VIEW("anna"), &challenge);
	ok(sasl_step(&s, true, (struct view){ long_one, AUTH_PASSWORD_MAX }, &challenge) ==
	           SASL_CHECK,
	   "the longest password");
	sasl_start(&s, AUTH_LOGIN);
	sasl_step(&s, true, VIEW("anna"), &challenge);
	ok(sasl_step(&s, true, (struct view){ long_one, AUTH_PASSWORD_MAX + 1 }, &challenge) ==
	           SASL_DENIED,
	   "one byte more");
}

/* ---- cache ---- */

static void test_cache(void)
{
	struct cache *c = cache_new(64, 1000, NULL);
	struct view anna = VIEW("anna@example.test"), hash = VIEW("$6$x"), pw = VIEW("pw");

	ok(!cache_has(c, anna, hash, pw, 0), "cache: empty");
	cache_add(c, anna, hash, pw, 0);
	ok(cache_has(c, anna, hash, pw, 999), "cache: the same again");
	ok(!cache_has(c, anna, hash, pw, 1000), "cache: not after its lifetime");
	cache_add(c, anna, hash, pw, 2000);
	ok(cache_has(c, anna, hash, pw, 2001), "cache: renewed");
	ok(!cache_has(c, anna, VIEW("$6$y"), pw, 2001),
	   "cache: not when the stored hash is another");
	ok(!cache_has(c, anna, hash, VIEW("pW"), 2001), "cache: not with another password");
	ok(!cache_has(c, VIEW("bert@example.test"), hash, pw, 2001), "cache: not for another user");
	ok(!cache_has(c, anna, VIEW("$6$xp"), VIEW("w"), 2001),
	   "cache: the parts keep their borders");
	unsigned found = 0;
	char name[32];

	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "u%04d", i);
		cache_add(c, view_string(name), hash, pw, 3000 + i % 7);
	}
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "u%04d", i);
		found += cache_has(c, view_string(name), hash, pw, 3006);
	}
	ok(found > 32 && found <= 64, "cache: bounded (%u of 64 places)", found);
	cache_free(&c);
	void *kept = memory_get(cache_bytes(64));

	c = cache_new(64, 1000, kept);
	cache_add(c, anna, hash, pw, 0);
	cache_free(&c);
	c = cache_new(64, 1000, kept);
	ok(cache_has(c, anna, hash, pw, 500), "cache: what was left to it it has");
	cache_free(&c);
	c = cache_new(64, 400, kept);
	ok(!cache_has(c, anna, hash, pw, 500) && cache_has(c, anna, hash, pw, 700),
	   "cache: but for no longer than its own lifetime");
	cache_free(&c);
	free(kept);
	c = cache_new(64, 0, NULL);
	cache_add(c, anna, hash, pw, 0);
	ok(!cache_has(c, anna, hash, pw, 0), "cache: a lifetime of 0 keeps nothing");
	cache_free(&c);
}

/* ---- delays ---- */

/* Entries as delay.c has them, with the greatest numbers there are. */
static void left_by_another(struct delay *d, void *kept, const struct net_address *a)
{
	struct {
		uint64_t tag;
		int64_t last_ms, next_ms;
		unsigned failures;
	} entry;
	size_t head = delay_bytes(64) - 64 * sizeof entry;

	for (size_t i = 0; i < 64; i++) {
		char *at = (char *)kept + head + i * sizeof entry;

		memcpy(&entry, at, sizeof entry);
		if (entry.failures == 0)
			continue;
		entry.last_ms = entry.next_ms = INT64_MAX;
		entry.failures = UINT_MAX;
		memcpy(at, &entry, sizeof entry);
	}
	ok(!delay_lets_guess(d, a, 0) && delay_lets_guess(d, a, DELAY_MAX_MS),
	   "delay: nor is it believed for ever");
	ok(delay_lets_guess(d, a, DELAY_HALF_LIFE_MS * 8) &&
	           delay_failed(d, a, VIEW("c@d"), DELAY_HALF_LIFE_MS * 8) == 2000,
	   "delay: and forgotten with time");
}

/* Guesses of one address at many accounts that are known there, for so long; how many are looked
 * at. */
static unsigned looked_at(unsigned accounts, int64_t each_ms, int64_t for_ms)
{
	struct delay *d = delay_new(DELAY_ENTRIES, 2000, NULL);
	struct net_address client = { .family = 4, .bytes = { 203, 0, 113, 1 } };
	unsigned looked = 0, n = 0;

	for (int64_t now = 0; now < for_ms; now += each_ms) {
		char account[32];

		snprintf(account, sizeof account, "u%u@example.test", n++ % accounts);
		if (!delay_lets_guess(d, &client, now) &&
		    !delay_lets_familiar(d, &client, view_of(account), now))
			continue;
		looked++;
		delay_failed(d, &client, view_of(account), now);
		delay_failed_familiar(d, &client, view_of(account), now);
	}
	delay_free(&d);
	return looked;
}

static void familiar_guesses(void)
{
	int64_t hour_ms = 3600000, spaced_ms = DELAY_MAX_MS / DELAY_GUESSES;
	unsigned looked = looked_at(200, 25, hour_ms);

	ok(looked < hour_ms / spaced_ms + 3 * DELAY_FREE_FAMILIAR,
	   "delay: guesses at all who are known at an address are as few as at others (%u)",
	   looked);
	looked = looked_at(1, 25, hour_ms);
	ok(looked > hour_ms / spaced_ms * 3 / 2, "delay: and of one of them beside them (%u)",
	   looked);
	struct delay *d = delay_new(64, 2000, NULL);
	struct net_address client = { .family = 6, .bytes = { 0x20, 1, 0xd, 0xb8 } };
	struct view anna = VIEW("anna@example.test"), bert = VIEW("bert@example.test");

	for (int i = 0; i <= DELAY_FREE_FAMILIAR; i++)
		delay_failed_familiar(d, &client, anna, 0);
	ok(delay_lets_familiar(d, &client, bert, 0), "delay: one that fails holds up no other");
	for (int i = 0; i < DELAY_FREE_FAMILIAR; i++)
		delay_failed_familiar(d, &client, i % 2 ? anna : bert, DELAY_HALF_LIFE_MS - 1);
	ok(!delay_lets_familiar(d, &client, bert, DELAY_HALF_LIFE_MS - 1),
	   "delay: many by turns do");
	ok(delay_lets_familiar(d, &client, bert, DELAY_HALF_LIFE_MS),
	   "delay: half of them are forgotten, though the last was a moment ago");
	delay_free(&d);
}

static void test_delay(void)
{
	struct delay *d = delay_new(65536, 2000, NULL);
	struct net_address a = { .family = 4, .bytes = { 192, 0, 2, 1 } },
			   b = { .family = 4, .bytes = { 192, 0, 2, 2 } };
	struct net_address six = { .family = 6, .bytes = { 0x20, 1, 0xd, 0xb8 } }, near = six,
			   far = six;
	static const int64_t want[] = { 2000, 4000, 8000, 16000, DELAY_MAX_MS, DELAY_MAX_MS };

	near.bytes[15] = 9;
	far.bytes[5] = 9;
	for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
		char account[32];

		snprintf(account, sizeof account, "u%zu@example.test", i);
		int64_t got = delay_failed(d, &a, view_string(account), 0);

		ok(got == want[i], "delay: failure %zu of an address waits %lld ms", i + 1,
		   (long long)got);
	}
	ok(delay_failed(d, &b, VIEW("anna@example.test"), 0) == 2000,
	   "delay: another address begins anew");
	ok(delay_failed(d, &b, VIEW("x@example.test"), DELAY_HALF_LIFE_MS * 2) == 2000,
	   "delay: forgotten with time");
	ok(delay_failed(d, &a, VIEW("y@example.test"), DELAY_HALF_LIFE_MS) == 16000,
	   "delay: of six failures three are left, and one more");
	ok(delay_failed(d, &six, VIEW("v@example.test"), 0) == 2000, "delay: IPv6");
	ok(delay_failed(d, &near, VIEW("w@example.test"), 0) == 4000, "delay: the same /64");
	ok(delay_failed(d, &far, VIEW("u@example.test"), 0) == 2000, "delay: another /64");
	for (int i = 0; i < 3; i++) {
		struct net_address each = { .family = 4, .bytes = { 10, 0, 0, (uint8_t)i } };

		ok(delay_failed(d, &each, VIEW("target@example.test"), 0) == 2000 << i,
		   "delay: an account that is tried from everywhere");
	}
	struct net_address guesser = { .family = 4, .bytes = { 203, 0, 113, 1 } }, local = { 0 };

	for (int i = 0; i < DELAY_FREE_FAILURES; i++) {
		delay_failed(d, &guesser, VIEW(""), 0);
		ok(delay_lets_guess(d, &guesser, 0),
		   "delay: after %d failures a guess is looked at", i + 1);
	}
	delay_failed(d, &guesser, VIEW(""), 0);
	ok(delay_lets_guess(d, &guesser, 0), "delay: one more too");
	ok(!delay_lets_guess(d, &guesser, 0), "delay: but none beside it");
	ok(!delay_lets_guess(d, &guesser, DELAY_MAX_MS / DELAY_GUESSES - 1), "delay: for a while");
	ok(delay_lets_guess(d, &guesser, DELAY_MAX_MS / DELAY_GUESSES), "delay: then the next");
	ok(delay_lets_guess(d, &b, 0) && delay_lets_guess(d, &local, 0),
	   "delay: others are not held up");
	for (int i = 0; i <= DELAY_FREE_FAILURES; i++)
		delay_failed(d, &far, VIEW("known@example.test"), 0);
	ok(delay_lets_familiar(d, &guesser, VIEW("anna@example.test"), 0) &&
	           delay_lets_familiar(d, &guesser, VIEW("known@example.test"), 0) &&
	           !delay_lets_familiar(d, &guesser, VIEW("known@example.test"), 0),
	   "delay: of who is known the failures of the account count");
	ok(delay_lets_guess(d, &guesser, DELAY_HALF_LIFE_MS * 4) &&
	           delay_lets_guess(d, &guesser, DELAY_HALF_LIFE_MS * 4),
	   "delay: forgotten with time");
	delay_free(&d);
	void *kept = memory_get(delay_bytes(64));

	d = delay_new(64, 2000, kept);
	delay_failed(d, &a, VIEW("a@b"), 0);
	delay_free(&d);
	d = delay_new(64, 2000, kept);
	ok(delay_failed(d, &a, VIEW("a@b"), 0) == 4000, "delay: what was left to it goes on");
	left_by_another(d, kept, &a);
	delay_free(&d);
	free(kept);
	d = delay_new(64, 0, NULL);
	delay_failed(d, &a, VIEW("a@b"), 0);
	ok(delay_failed(d, &a, VIEW("a@b"), 0) == 0, "delay: a base of 0 never waits");
	delay_free(&d);
}

/* ---- workers ---- */

static struct loop *loop;
static unsigned outstanding;
static enum hash_result last_result;

static void count_done(struct check *check, enum hash_result result)
{
	(void)check;
	last_result = result;
	if (--outstanding == 0)
		loop_stop(loop);
}

static bool submit(struct check *check)
{
	static const struct net_address client = { .family = 4, .bytes = { 192, 0, 2, 1 } };

	return checker_submit(check, TRUST_CLEAN, &client, "anna@example.test") == NULL;
}

static void forget_nothing(void)
{
}

static void run_checks(void)
{
	if (outstanding)
		loop_run(loop);
}

static void test_workers(void)
{
	enum { MANY = CHECKS_PER_WORKER };
	static struct check checks[MANY + 1];
	static const struct view cheap = { "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", 33 };

	fflush(stdout);
	loop = loop_new();
	checker_start(loop, 1, forget_nothing);

	checks[0] =
		(struct check){ .stored = cheap, .password = VIEW("password"), .done = count_done };
	outstanding = 1;
	ok(submit(&checks[0]), "workers: a check is taken");
	run_checks();
	ok(last_result == HASH_MATCHES, "workers: and answered");
	checks[0].password = VIEW("Password");
	outstanding = 1;
	submit(&checks[0]);
	run_checks();
	ok(last_result == HASH_DIFFERS, "workers: a wrong one too");

	unsigned taken = 0;

	for (unsigned i = 0; i <= MANY; i++) {
		checks[i] = (struct check){ .stored = cheap,
			                    .password = VIEW("password"),
			                    .done = count_done };
		taken += submit(&checks[i]);
	}
	ok(taken == MANY, "workers: the queue ends at %d (%u)", MANY, taken);
	/* The first of those that were taken, the second and the last leave. */
	checker_cancel(&checks[0]);
	checker_cancel(&checks[1]);
	checker_cancel(&checks[MANY - 1]);
	checker_cancel(&checks[MANY]);
	outstanding = MANY - 3;
	last_result = HASH_DIFFERS;
	run_checks();
	ok(outstanding == 0 && last_result == HASH_MATCHES,
	   "workers: cancelled checks are not answered, all others are");
	checks[0] = (struct check){ .stored = VIEW("$y$nonsense"),
		                    .password = VIEW("x"),
		                    .done = count_done };
	outstanding = 1;
	submit(&checks[0]);
	run_checks();
	ok(last_result == HASH_UNUSABLE, "workers: a damaged hash is unusable");
	checks[0] =
		(struct check){ .stored = cheap, .password = VIEW("password"), .done = count_done };
	outstanding = 1;
	submit(&checks[0]);
	run_checks();
	ok(last_result == HASH_MATCHES, "workers: and the worker goes on");
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	alarm(120);
	test_hashes();
	test_mechanisms();
	test_cache();
	test_delay();
	familiar_guesses();
	test_workers();
	return tap_done();
}
