/* SPDX-License-Identifier: ISC */
#include "queue/queued/sayings.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/base/hash.h"

struct saying {
	struct hashed known;
	uint32_t references, len;
	char bytes[]; /* status, host, text, each terminated */
};

/* Other hosts choose the texts: the hash has a key. */
static struct {
	struct hash known;
	unsigned char key[crypto_shorthash_KEYBYTES];
} all;

void sayings_start(void)
{
	memset(&all.known, 0, sizeof all.known);
	randombytes_buf(all.key, sizeof all.key);
}

static uint32_t hash_of(const struct saying *s)
{
	unsigned char sum[crypto_shorthash_BYTES];
	uint32_t hash;

	crypto_shorthash(sum, (const unsigned char *)s->bytes, s->len, all.key);
	memcpy(&hash, sum, sizeof hash);
	return hash;
}

static struct saying *make(const struct view parts[3])
{
	size_t len = parts[0].len + parts[1].len + parts[2].len + 3;
	struct saying *s = memory_get(sizeof *s + len);
	char *to = s->bytes;

	s->len = (uint32_t)len;
	for (unsigned i = 0; i < 3; i++) {
		if (parts[i].len)
			memcpy(to, parts[i].data, parts[i].len);
		to += parts[i].len + 1;
	}
	return s;
}

struct saying *saying_new(const char *status, const char *host, const char *text)
{
	const struct view parts[] = { view_of(status), view_of(host), view_of(text) };
	struct saying *made = make(parts);
	uint32_t hash = hash_of(made);

	HASH_EACH(s, &all.known, hash, struct saying, known) {
		if (s->known.hash != hash || s->len != made->len ||
		    memcmp(s->bytes, made->bytes, s->len) != 0)
			continue;
		free(made);
		s->references++;
		return s;
	}
	made->references = 1;
	hash_add(&all.known, &made->known, hash);
	return made;
}

void saying_drop(struct saying **s)
{
	if (*s && --(*s)->references == 0) {
		hash_remove(&all.known, &(*s)->known);
		free(*s);
	}
	*s = NULL;
}

static const char *part(const struct saying *s, unsigned number)
{
	const char *at = s ? s->bytes : "";

	while (s && number--)
		at += strlen(at) + 1;
	return at;
}

const char *saying_status(const struct saying *s)
{
	return part(s, 0);
}

const char *saying_host(const struct saying *s)
{
	return part(s, 1);
}

const char *saying_text(const struct saying *s)
{
	return part(s, 2);
}
