/* SPDX-License-Identifier: ISC */
/* Which keys there may be: a Bloom filter, in a few bits for each.  What it does not know is surely
 * not there; of what is not there it takes one in a hundred thousand for known. */
#ifndef CONF_SIEVE_H
#define CONF_SIEVE_H

#include "lib/base/bytes.h"

enum { SIEVE_BITS_EACH = 32, SIEVE_BYTES_MAX = 1 << 26 };

enum { SIEVE_MORE_MAX = 4096 };

struct sieve {
	unsigned char *bits; /* NULL: none; nothing is added, everything may be known */
	size_t bytes;        /* a power of two */
	/* Over bits that stay what they are: what was added, by its hashes. When they are too many
	 * it gets bits of its own. */
	bool over;
	uint64_t *more;
	size_t more_count;
};

/* For so many keys.  Of many more it takes too much for known, until the next build. */
void sieve_init(struct sieve *s, size_t keys);
/* Over the bits and hashes of one that was written, which outlive it; false: they are none of one.
 */
bool sieve_lay(struct sieve *s, struct view bits, struct view more);
/* The hashes, as they are written. */
void sieve_put_more(const struct sieve *s, struct text *out);
void sieve_free(struct sieve *s);
/* kind: a byte that keeps keys of one kind from those of another. */
void sieve_add(struct sieve *s, char kind, struct view key);
bool sieve_may_know(const struct sieve *s, char kind, struct view key);

#endif
