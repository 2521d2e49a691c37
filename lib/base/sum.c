/* SPDX-License-Identifier: ISC */
#include "lib/base/sum.h"

#include <endian.h>
#include <string.h>

enum { LANES = 4, WORD = 8 };

/* For a given word one-to-one in the sum, for a given sum one-to-one in the word: a difference that
 * came in by one word stays to the end. */
static uint64_t mix(uint64_t sum, uint64_t word)
{
	sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return sum ^ sum >> 32;
}

/* The last word may be shorter. */
static uint64_t word_at(struct view data, size_t at)
{
	uint64_t word = 0;

	memcpy(&word, data.data + at, data.len - at < WORD ? data.len - at : WORD);
	return le64toh(word);
}

/* Four lanes, since each step has to wait for the one before it. */
uint64_t sum64(struct view data)
{
	uint64_t lanes[LANES] = { 1, 2, 3, 4 }, sum = data.len;
	size_t at = 0;

	for (; data.len - at >= LANES * WORD; at += LANES * WORD)
		for (size_t i = 0; i < LANES; i++)
			lanes[i] = mix(lanes[i], word_at(data, at + i * WORD));
	for (size_t i = 0; at < data.len; i++, at += WORD)
		lanes[i % LANES] = mix(lanes[i % LANES], word_at(data, at));
	for (size_t i = 0; i < LANES; i++)
		sum = mix(sum, lanes[i]);
	return sum;
}
