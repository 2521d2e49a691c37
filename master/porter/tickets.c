/* SPDX-License-Identifier: ISC */
#include "master/porter/tickets.h"

#include <openssl/rand.h>
#include <stdbool.h>
#include <string.h>

/* Another process may have read the clock a little later than we did. */
enum { AHEAD_SECONDS = 1 };

/* One from the future would never be over. */
static bool is_over(int64_t since_s, int64_t now_s, int64_t seconds)
{
	return since_s <= 0 || since_s > now_s + AHEAD_SECONDS || now_s - since_s >= seconds;
}

static bool enter(struct tickets *t, int64_t now_s)
{
	int64_t busy_s = t->busy_s;

	return is_over(busy_s, now_s, TICKETS_BUSY_SECONDS) &&
	       atomic_compare_exchange_strong(&t->busy_s, &busy_s, now_s);
}

static int copy(struct tickets *t, int64_t now_s, int64_t *since_s,
                unsigned char keys[TICKET_KEY_BYTES])
{
	int64_t shared_s = t->since_s;

	if (is_over(shared_s, now_s, TICKET_KEY_SECONDS)) {
		if (RAND_bytes(t->keys, sizeof t->keys) != 1)
			return -1;
		t->since_s = shared_s = now_s;
	}
	memcpy(keys, t->keys, TICKET_KEY_BYTES);
	*since_s = shared_s;
	return 1;
}

int tickets_take(struct tickets *t, int64_t now_s, int64_t *since_s,
                 unsigned char keys[TICKET_KEY_BYTES])
{
	if (*since_s == t->since_s && !is_over(*since_s, now_s, TICKET_KEY_SECONDS))
		return 0;
	if (!enter(t, now_s))
		return 0;
	int result = copy(t, now_s, since_s, keys);

	atomic_store(&t->busy_s, 0);
	return result;
}
