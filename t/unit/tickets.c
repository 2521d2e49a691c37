/* SPDX-License-Identifier: ISC */
/* Keys of session tickets: shared, made anew in time, and not believed for ever. */
#include "master/porter/tickets.h"

#include <string.h>

#include "t/tap.h"

enum { NOW_S = 1000000 };

/* A porter. */
struct user {
	int64_t since_s;
	unsigned char keys[TICKET_KEY_BYTES];
};

static int take(struct tickets *t, struct user *u, int64_t now_s)
{
	return tickets_take(t, now_s, &u->since_s, u->keys);
}

static bool same(const unsigned char *a, const unsigned char *b)
{
	return memcmp(a, b, TICKET_KEY_BYTES) == 0;
}

static void shared(void)
{
	struct tickets t = { 0 };
	struct user a = { 0 }, b = { 0 };
	unsigned char first[TICKET_KEY_BYTES];

	ok(take(&t, &a, NOW_S) == 1 && take(&t, &b, NOW_S + 1) == 1 && same(a.keys, b.keys),
	   "porters have the same keys");
	memcpy(first, a.keys, sizeof first);
	ok(take(&t, &a, NOW_S + TICKET_KEY_SECONDS - 1) == 0, "for hours");
	ok(take(&t, &a, NOW_S + TICKET_KEY_SECONDS) == 1 && !same(a.keys, first),
	   "then there are new ones");
	ok(take(&t, &b, NOW_S + TICKET_KEY_SECONDS) == 1 && same(a.keys, b.keys),
	   "which the other one takes");
}

/* What one that was taken over may have left. */
static void left(int64_t since_s, int64_t busy_s, bool used, const char *what)
{
	struct tickets t = { .since_s = since_s, .busy_s = busy_s, .keys = "known to others" };
	struct user a = { 0 };
	unsigned char before[TICKET_KEY_BYTES];

	memcpy(before, t.keys, sizeof before);
	ok(take(&t, &a, NOW_S) == 1 && same(a.keys, before) == used, "%s", what);
	ok(take(&t, &a, NOW_S + 1) == 0 && take(&t, &a, NOW_S + TICKET_KEY_SECONDS) == 1 &&
	           !same(a.keys, before),
	   "and are over in time");
}

int main(void)
{
	struct tickets t = { .busy_s = NOW_S - 1 };
	struct user a = { 0 };

	shared();
	left(NOW_S - TICKET_KEY_SECONDS + 10, 0, true, "keys that were left are used");
	left(NOW_S - TICKET_KEY_SECONDS, 0, false, "old ones are not");
	left(NOW_S + 2, 0, false, "nor those from the future");
	left(INT64_MAX, 0, false, "however far");
	left(INT64_MIN, 0, false, "nor those of no time");
	left(0, NOW_S - TICKETS_BUSY_SECONDS, false,
	     "who died while it was busy is not waited for");
	left(0, INT64_MAX, false, "nor who says so for ever");
	ok(take(&t, &a, NOW_S) == 0, "one that is busy is not disturbed");
	return tap_done();
}
