/* SPDX-License-Identifier: ISC */
/* Who gets dnsd's next worker, beside lookups that hold theirs for ever. */
#include "master/dnsd/sharing.h"

#include "lib/base/bytes.h"
#include "t/tap.h"

enum { CROWD = 200 };

static struct sharing sharing;
static struct sharer crowd[CROWD], one;

static void come(struct sharer *sharer, const char *name, bool known)
{
	*sharer = (struct sharer){ 0 };
	sharing_add(&sharing, sharer, name, known);
}

/* As many as may be at work; how many. */
static unsigned take_all(void)
{
	unsigned taken = 0;

	for (struct sharer *s; (s = sharing_next(&sharing)) != NULL; taken++)
		sharing_taken(&sharing, s);
	return taken;
}

/* h0, h1 and so on below it. */
static void come_all(const char *below, bool known)
{
	sharing_start(&sharing);
	for (unsigned i = 0; i < CROWD; i++) {
		char name[64];

		string_print(name, sizeof name, "h%u%s", i, below);
		come(&crowd[i], name, known);
	}
}

/* That one comes, beside what holds its workers; is it the next one? */
static bool is_next(const char *name, bool known)
{
	come(&one, name, known);
	bool next = sharing_next(&sharing) == &one;

	sharing_leave(&one);
	return next;
}

static void end(void)
{
	sharing_free(&sharing);
	memset(crowd, 0, sizeof crowd);
}

int main(void)
{
	sharing_start(&sharing);
	ok(sharing_next(&sharing) == NULL, "nobody waits");
	end();
	come_all(".hoster.test", false);
	ok(take_all() == SHARING_OWNER, "the names of one domain hold a quarter of the workers");
	ok(is_next("mx.other.test", false) && !is_next("mx.hoster.test", false),
	   "another one has the next");
	sharing_leave(&crowd[0]);
	ok(take_all() == 1 && sharing_count(&sharing) == CROWD - 1, "one ends, one begins");
	end();
	come_all(".co.uk", false);
	ok(take_all() == SHARING_WORKERS,
	   "those below \"co.uk\" are each of their own, and hold all but what is kept");
	ok(!is_next("other.test", false) && is_next("other.test", true),
	   "which a name that has been answered before has");
	end();
	come_all(".hoster.test", true);
	ok(take_all() == SHARING_OWNER && is_next("other.test", true) &&
	           is_next("strange.test", false),
	   "known names of one domain hold no more than others");
	end();
	sharing_start(&sharing);
	for (unsigned i = 0; i < CROWD; i++) {
		char name[32];

		string_print(name, sizeof name, "192.0.%u.%u", i % 4, i);
		come(&crowd[i], name, false);
	}
	ok(take_all() == SHARING_OWNER && is_next("198.51.100.1", false) &&
	           !is_next("192.0.99.1", false),
	   "so with the addresses of a wide network");
	for (unsigned i = 0; i < CROWD; i++)
		sharing_leave(&crowd[i]);
	ok(sharing_count(&sharing) == 0 && sharing_next(&sharing) == NULL, "all have left");
	end();
	return tap_done();
}
