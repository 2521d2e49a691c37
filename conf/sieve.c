/* SPDX-License-Identifier: ISC */
#include "conf/sieve.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES_MIN = 1 << 16, PROBES = 8 };

void sieve_init(struct sieve *s, size_t keys)
{
	size_t bytes = BYTES_MIN;

	while (bytes < SIEVE_BYTES_MAX && bytes < keys * SIEVE_BITS_EACH / 8)
		bytes *= 2;
	*s = (struct sieve){ memory_get(bytes), bytes };
}

bool sieve_copy(struct sieve *s, struct view bits)
{
	if (bits.len < BYTES_MIN || bits.len > SIEVE_BYTES_MAX || (bits.len & (bits.len - 1)) != 0)
		return false;
	*s = (struct sieve){ memory_get(bits.len), bits.len };
	memcpy(s->bits, bits.data, bits.len);
	return true;
}

void sieve_free(struct sieve *s)
{
	free(s->bits);
	*s = (struct sieve){ NULL, 0 };
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

void sieve_add(struct sieve *s, char kind, struct view key)
{
	uint64_t hash = hash_of(kind, key);

	for (unsigned i = 0; i < PROBES && s->bits != NULL; i++) {
		size_t bit = bit_of(s, hash, i);

		s->bits[bit / 8] |= (unsigned char)(1u << bit % 8);
	}
}

bool sieve_may_know(const struct sieve *s, char kind, struct view key)
{
	uint64_t hash = hash_of(kind, key);
	bool known = true;

	for (unsigned i = 0; i < PROBES && known && s->bits != NULL; i++) {
		size_t bit = bit_of(s, hash, i);

		known = (s->bits[bit / 8] >> bit % 8 & 1) != 0;
	}
	return known;
}
