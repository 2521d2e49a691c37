/* SPDX-License-Identifier: ISC */
/* A 64-bit multiply-and-fold hash: finds torn and scribbled bytes at memory speed. The index is its
 * owner's own file, so nobody gains by forging one. */
#include <string.h>

#include "lib/store/internal.h"

static uint64_t mix(uint64_t a, uint64_t b)
{
	__extension__ typedef unsigned __int128 wide;
	wide product = (wide)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t store_hash(uint64_t seed, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;
	uint64_t h = seed ^ 0x9e3779b97f4a7c15ull, words[2];
	size_t left = len;

	for (; left >= sizeof words; left -= sizeof words, p += sizeof words) {
		memcpy(words, p, sizeof words);
		h = mix(words[0] ^ 0xa0761d6478bd642full, words[1] ^ h);
	}
	words[0] = words[1] = 0;
	if (left)
		memcpy(words, p, left);
	h = mix(words[0] ^ 0xe7037ed1a0b428dbull, words[1] ^ h);
	return mix(h ^ len, 0x8ebc6af09c88c6e3ull);
}
