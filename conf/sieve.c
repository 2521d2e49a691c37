/* SPDX-License-Identifier: ISC */
#include "conf/sieve.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "lib/conf/value.h"

enum { BYTES_MIN = 1 << 16, PROBES = 8 };

void sieve_init(struct sieve *s, size_t keys)
{
	size_t bytes = BYTES_MIN;

	while (bytes < SIEVE_BYTES_MAX && bytes < keys * SIEVE_BITS_EACH / 8)
		bytes *= 2;
	*s = (struct sieve){ .bits = memory_get(bytes), .bytes = bytes };
}

static void remember(struct sieve *s, uint64_t hash)
{
	s->more = memory_grow_for(s->more, s->more_count, sizeof *s->more);
	s->more[s->more_count++] = hash;
}

static bool are_bits(struct view bits)
{
	return bits.len >= BYTES_MIN && bits.len <= SIEVE_BYTES_MAX &&
	       (bits.len & (bits.len - 1)) == 0;
}

bool sieve_lay(struct sieve *s, struct view bits, struct view more)
{
	struct value_reader r = { .rest = more };

	if (!are_bits(bits) || more.len % sizeof *s->more != 0 ||
	    more.len / sizeof *s->more > SIEVE_MORE_MAX)
		return false;
	*s = (struct sieve){ .bits = (unsigned char *)bits.data, .bytes = bits.len, .over = true };
	while (r.rest.len)
		remember(s, value_get_u64(&r));
	return true;
}

void sieve_put_more(const struct sieve *s, struct text *out)
{
	for (size_t i = 0; i < s->more_count; i++)
		value_put_u64(out, s->more[i]);
}

void sieve_free(struct sieve *s)
{
	if (!s->over)
		free(s->bits);
	free(s->more);
	*s = (struct sieve){ .bits = NULL };
}

/* The probe'th of its bits. */
static size_t bit_of(const struct sieve *s, uint64_t hash, unsigned probe)
{
	uint64_t step = (hash >> 32) | 1;

	return (size_t)((hash + probe * step) & (s->bytes * 8 - 1));
}

/* One whose bits are independent, also of keys that differ in a digit. */
static uint64_t hash_of(char kind, struct view key)
{
	const unsigned char seed[crypto_shorthash_KEYBYTES] = { (unsigned char)kind };
	unsigned char hash[crypto_shorthash_BYTES];

	crypto_shorthash(hash, (const unsigned char *)key.data, key.len, seed);
	return number_get_little((const char *)hash, sizeof hash);
}

static void set_bits(struct sieve *s, uint64_t hash)
{
	for (unsigned i = 0; i < PROBES; i++) {
		size_t bit = bit_of(s, hash, i);

		s->bits[bit / 8] |= (unsigned char)(1u << bit % 8);
	}
}

static bool knows(const struct sieve *s, uint64_t hash)
{
	bool known = true;

	for (size_t i = 0; i < s->more_count; i++)
		if (s->more[i] == hash)
			return true;
	for (unsigned i = 0; i < PROBES && known && s->bits != NULL; i++) {
		size_t bit = bit_of(s, hash, i);

		known = (s->bits[bit / 8] >> bit % 8 & 1) != 0;
	}
	return known;
}

/* Bits of its own. */
static void settle(struct sieve *s)
{
	unsigned char *bits = memory_get(s->bytes);

	memcpy(bits, s->bits, s->bytes);
	s->bits = bits;
	s->over = false;
	for (size_t i = 0; i < s->more_count; i++)
		set_bits(s, s->more[i]);
	s->more_count = 0;
}

void sieve_add(struct sieve *s, char kind, struct view key)
{
	uint64_t hash = hash_of(kind, key);

	if (s->bits == NULL || (s->over && knows(s, hash)))
		return;
	if (s->over && s->more_count == SIEVE_MORE_MAX)
		settle(s);
	if (s->over)
		remember(s, hash);
	else
		set_bits(s, hash);
}

bool sieve_may_know(const struct sieve *s, char kind, struct view key)
{
	return knows(s, hash_of(kind, key));
}
